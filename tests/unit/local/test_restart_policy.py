"""How long a crashed service waits, and when the start has failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_local.policy import RestartPolicy, RestartState, after_crash

POLICY = RestartPolicy(initial_delay_s=0.1, max_delay_s=2.0, healthy_after_s=20.0, start_attempts=3)


def crashes(*ready_for_s: float | None) -> list[float | None]:
    """The delays after these lives, one after the other."""
    state, delays = RestartState(), []
    for ready in ready_for_s:
        decided = after_crash(POLICY, state, ready_for_s=ready)
        state = decided.state
        delays.append(decided.delay_s)
    return delays


def test_the_wait_doubles_up_to_its_limit() -> None:
    assert crashes(*[1.0] * 7) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_a_healthy_time_starts_over() -> None:
    assert crashes(1.0, 1.0, 1.0, 20.0, 1.0) == pytest.approx([0.1, 0.2, 0.4, 0.1, 0.2])


def test_a_service_that_serves_and_is_killed_time_and_again_is_always_back_at_once() -> None:
    policy, state, delays = RestartPolicy(), RestartState(), set()
    for _ in range(20):
        restart = after_crash(policy, state, ready_for_s=8.0)
        state = restart.state
        delays.add(restart.delay_s)
    assert delays == {policy.initial_delay_s}


def test_the_start_fails_after_its_attempts() -> None:
    assert crashes(None, None, None)[-1] is None


def test_a_service_that_once_was_ready_is_never_given_up() -> None:
    assert None not in crashes(1.0, *[None] * 50)


def test_an_end_that_would_repeat_itself_fails_the_start_at_once_but_never_a_service_that_was_ready() -> None:
    assert after_crash(POLICY, RestartState(), ready_for_s=None, hopeless=True).delay_s is None
    once_ready = RestartState(was_ready=True)
    assert after_crash(POLICY, once_ready, ready_for_s=None, hopeless=True).delay_s is not None


def test_restarts_are_counted_over_healthy_times_too() -> None:
    state = RestartState()
    for ready in (30.0, 1.0, 30.0):
        state = after_crash(POLICY, state, ready_for_s=ready).state
    assert (state.restarts, state.crashes) == (3, 1)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=200))
def test_every_wait_is_within_its_bounds(lives: list[float | None]) -> None:
    for delay in crashes(*lives):
        assert delay is None or POLICY.initial_delay_s <= delay <= POLICY.max_delay_s
