import pytest

from vulcan_contracts.reasons import Reason
from vulcan_executor_v8.verdict import Ended, judge
from vulcan_sandbox.protocol import BackendFaultError

MIB = 1_048_576


def ended(**what: object) -> Ended:
    return Ended(**{"memory_mb": 64, "pids": 8, "limit_bytes": 128 * MIB, "immune": True, **what})  # type: ignore[arg-type]


def test_what_the_host_said_is_the_exit() -> None:
    assert judge(ended(code=0)).exit_code == 0
    assert not judge(ended(code=0)).has_result
    said = judge(ended(code=0, result='{"a":[1]}'))
    assert (said.has_result, said.result) == (True, {"a": [1]})
    null = judge(ended(code=0, result="null"))
    assert (null.has_result, null.result) == (True, None)
    assert (judge(ended(code=3)).exit_code, judge(ended(code=3)).reason) == (3, None)


@pytest.mark.parametrize("result", ["{", "", "[" * 100_000, "nope"])
def test_a_result_that_is_no_json_is_the_users(result: str) -> None:
    exit_ = judge(ended(code=0, result=result))
    assert (exit_.reason, exit_.has_result) == (Reason.EXIT_NONZERO, False)


def test_what_the_backend_stopped_it_for_comes_first() -> None:
    exit_ = judge(ended(code=0, stopped=Reason.CPU_LIMIT, stopped_message="why", oom_kills=1))
    assert (exit_.reason, exit_.message) == (Reason.CPU_LIMIT, "why")


def test_a_kill_that_was_asked_for_has_no_reason_of_ours() -> None:
    exit_ = judge(ended(status=137, asked=True))
    assert (exit_.reason, exit_.signal) == (None, 9)


@pytest.mark.parametrize(
    "how",
    [
        {"status": 137, "oom_kills": 1, "peak_bytes": 128 * MIB},
        {"status": 137, "oom_kills": 1},
        {"status": 133, "stderr_tail": b"... Reached heap limit Allocation failed - JavaScript heap out of memory"},
        {"status": 133, "stderr_tail": b"# Fatal JavaScript out of memory: CALL_AND_RETRY_LAST"},
        {"status": 134, "stderr_tail": b"memory allocation of 1048576 bytes failed"},
    ],
)
def test_out_of_memory(how: dict[str, object]) -> None:
    exit_ = judge(ended(**how))
    assert exit_.reason is Reason.OUT_OF_MEMORY
    assert "64 MiB" in exit_.message


def test_a_machine_without_memory_is_not_the_users_fault() -> None:
    with pytest.raises(BackendFaultError, match="machine ran out of memory"):
        judge(ended(status=137, oom_kills=1, peak_bytes=30 * MIB))


def test_a_kill_from_outside_is_not_the_users_fault() -> None:
    with pytest.raises(BackendFaultError, match="from outside"):
        judge(ended(status=137))


def test_without_a_jail_code_may_have_killed_itself() -> None:
    assert judge(ended(status=137, immune=False)).signal == 9


@pytest.mark.parametrize(("status", "signal"), [(139, 11), (134, 6), (133, 5)])
def test_a_crash_is_the_users(status: int, signal: int) -> None:
    exit_ = judge(ended(status=status))
    assert (exit_.reason, exit_.signal) == (None, signal)
    assert "its own host" in exit_.message


@pytest.mark.parametrize(("status", "code"), [(0, 1), (1, 1), (77, 77)])
def test_a_host_that_was_ended_from_within_is_the_users(status: int, code: int) -> None:
    exit_ = judge(ended(status=status))
    assert (exit_.reason, exit_.exit_code) == (Reason.EXIT_NONZERO, code)


def test_a_broken_channel_is_the_users() -> None:
    assert judge(ended(status=None)).reason is Reason.EXIT_NONZERO


def test_threads() -> None:
    assert judge(ended(code=1, pids_hits=2)).reason is Reason.PIDS_LIMIT
    assert judge(ended(status=134, pids_hits=2)).reason is Reason.PIDS_LIMIT
    assert judge(ended(code=0, pids_hits=2)).reason is None
