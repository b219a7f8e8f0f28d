from chaos.killer import Killed
from chaos.load import Pulse
from chaos.summary import Recovery, recoveries


def killed(kind: str, at: float) -> Killed:
    return Killed(kind=kind, pid=1, at=at)


def test_a_recovery_lasts_until_what_was_submitted_after_the_kill_has_ended() -> None:
    pulses = [Pulse(begun=9.0, ended=10.5), Pulse(begun=11.0, ended=12.0), Pulse(begun=13.0, ended=14.0)]
    assert recoveries([killed("nats", 10.0)], pulses) == [Recovery("nats", 2.0)]


def test_a_kill_that_another_followed_too_soon_has_no_recovery_of_its_own() -> None:
    pulses = [Pulse(begun=12.0, ended=13.0), Pulse(begun=21.0, ended=21.5)]
    kills = [killed("nats", 10.0), killed("gateway", 11.0), killed("deno", 20.0)]
    assert recoveries(kills, pulses) == [Recovery("gateway", 2.0), Recovery("deno", 1.5)]


def test_a_kill_without_an_end_has_no_recovery() -> None:
    assert recoveries([killed("nats", 10.0)], [Pulse(begun=9.0, ended=12.0)]) == []
