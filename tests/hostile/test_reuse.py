"""What a run leaves behind is not there for the next one of its tenant, nor for any other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.hostile_programs import LOOK, SEEN_UNTOUCHED, SELF_HARM, TAMPERING
from support.neighbours import View, submit

Run = Callable[..., View]
_LATER_RUNS = 2


@pytest.mark.parametrize("name", [*TAMPERING, *SELF_HARM])
def test_the_next_run_finds_nothing_of_the_one_before(run: Run, name: str) -> None:
    before = run({**TAMPERING, **SELF_HARM}[name], timeout_s=2)
    assert before["reason"] in (None, "exit_nonzero", "signaled", "timed_out"), before
    for _ in range(_LATER_RUNS):
        view = run(LOOK)
        assert (view["reason"], view["result"]) == (None, SEEN_UNTOUCHED), (before, view)
        assert view["usage"]["output_bytes"] == len("start\n") + 2 * 150_001, view


def test_a_blob_of_the_run_before_cannot_be_had(run: Run) -> None:
    made = run("export default () => URL.createObjectURL(new Blob(['secret']));")
    for _ in range(4):
        view = run(
            "export default async (url) => { try { return await (await fetch(url)).text(); } catch { return null; } };",
            input=made["result"],
        )
        assert (view["reason"], view["result"]) == (None, None), view


LISTEN = """
const heard = [];
const channel = new BroadcastChannel("common");
channel.onmessage = ({ data }) => heard.push(data);
let free = 0;
for (let round = 0; round < 20; round++) {
  channel.postMessage(Vulcan.input);
  free += await navigator.locks.request("common", { ifAvailable: true }, async (held) => {
    await new Promise((resolve) => setTimeout(resolve, 40));
    return held !== null;
  });
}
channel.close();
export default () => ({ heard, free });
"""


def test_runs_at_the_same_time_share_neither_channels_nor_locks(api: httpx.Client, other: httpx.Client) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(submit, tenant, LISTEN, input=n) for n, tenant in enumerate((api, api, other))]
    assert [run.result()["result"] for run in runs] == [{"heard": [], "free": 20}] * 3
