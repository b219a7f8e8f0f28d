"""Code that takes time, memory, threads, output without end: each ends for its own reason, and its neighbours go on."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from support.hostile_engine import ENGINE
from support.hostile_programs import MEMORY, OUTPUT, SELF_HARM, TIME, Hostile
from support.neighbours import Neighbours, Timed, timed

_AT_ONCE = 3
_STOPPED_WITHIN_S = 10
"""Of its limit, on a machine that has more to do: an end that waits for the program's consent would never come."""
_OWN_END = (None, "exit_nonzero", "signaled", "timed_out")
PROGRAMS: dict[str, Hostile] = {
    **{f"engine: {name}": program for name, program in ENGINE.items()},
    **{f"time: {name}": program for name, program in TIME.items()},
    **{f"memory: {name}": program for name, program in MEMORY.items()},
    **{f"output: {name}": program for name, program in OUTPUT.items()},
    **{f"itself: {name}": Hostile(code, _OWN_END, {"timeout_s": 2}) for name, code in SELF_HARM.items()},
}


@pytest.fixture(scope="module")
def attacks(
    request: pytest.FixtureRequest, api: httpx.Client, neighbours: Neighbours
) -> Iterator[dict[str, "Future[Timed]"]]:
    """All of those that were asked for, some at once."""
    wanted = {item.callspec.params["name"] for item in request.session.items if "attacks" in item.fixturenames}  # type: ignore[attr-defined]  # every one of them has parameters
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {
            name: pool.submit(timed, api, program.code, **program.spec)
            for name, program in PROGRAMS.items()
            if name in wanted
        }


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_reason_fits_and_its_neighbours_are_unhurt(
    attacks: dict[str, "Future[Timed]"], neighbours: Neighbours, name: str
) -> None:
    attack = attacks[name].result(100)
    view = attack.view
    assert view["reason"] in PROGRAMS[name].reasons, view
    assert view["state"] == ("completed" if view["reason"] is None else "failed"), view
    assert view["message"] or view["reason"] is None, view
    assert view["attempt"] == 1, view
    if view["reason"] == "timed_out":
        assert view["usage"]["wall_ms"] < (PROGRAMS[name].spec["timeout_s"] + _STOPPED_WITHIN_S) * 1000, view
    neighbours.assert_unhurt(attack)
