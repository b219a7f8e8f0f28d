from support.scheduling import World
from vulcan_contracts.commands import RequestKill
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Retry
from vulcan_contracts.tenants import Quotas
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.orders import Expire, Lose, Offer, Withdraw


def running(world: World, *names: str) -> None:
    for name in names:
        world.submit(name)
    world.release_all()
    for name in names:
        world.start(name)


def test_a_silent_node_is_lost_and_its_runs_with_it() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1", "w2")
    world.time = 9.9
    assert world.chores() == []
    world.time = 10.0
    chores = world.chores()
    assert chores[0] == Withdraw(node="n1")
    losses = [chore for chore in chores if isinstance(chore, Lose)]
    assert {loss.workload_id for loss in losses} == {"w1", "w2"}
    assert world.chores() == []  # ordered once
    for loss in losses:
        world.lose(loss)
    assert {state.state for state in world.states.values()} == {"failed"}
    assert world.idle()
    assert world.plan.counters.lost_nodes == 1


def test_a_node_is_lost_by_its_own_interval() -> None:
    world = World()
    world.beat("quick", interval_s=0.2)
    running(world, "w1")
    world.time = 1.9
    assert world.chores() == []
    world.time = 2.0
    assert [type(chore) for chore in world.chores()] == [Withdraw, Lose]


def test_a_node_that_comes_back_after_a_silence_is_believed_again() -> None:
    world = World()
    world.beat("n1")
    world.submit("w1")
    world.release_all()
    world.time = 10.0
    world.chores()
    world.beat("n1")
    release = world.release()
    assert release is not None
    assert release.node == "n1"


def test_silence_before_an_activation_does_not_count() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    world.time = 60.0
    world.plan.resume(world.now)
    assert world.chores() == []
    world.time = 70.0
    assert [type(chore) for chore in world.chores()] == [Withdraw, Lose]


def test_a_lost_attempt_is_retried_on_another_node_by_policy() -> None:
    world = World()
    world.beat("n1")
    world.submit("w1", retry=Retry(max_attempts=2, backoff_s=5))
    world.release_all()
    world.start("w1")
    world.time = 10
    world.beat("n2")
    (loss,) = [chore for chore in world.chores() if isinstance(chore, Lose)]
    world.lose(loss)
    assert world.states["w1"].state == "pending"
    assert world.release() is None
    assert world.why("w1").startswith("Backing off until")
    world.time = 15
    release = world.release()
    assert release is not None
    assert release.node == "n2"


def test_a_restarted_node_loses_what_its_last_life_ran_at_once() -> None:
    world = World()
    world.beat("n1", "in_1")
    running(world, "w1")
    world.beat("n1", "in_2")
    (loss,) = world.chores()
    assert isinstance(loss, Lose)
    assert loss.incarnation == "in_1"
    world.lose(loss)
    world.beat("n1", "in_1")  # a zombie speaks: not believed
    assert world.plan.registry.nodes["n1"].incarnation == "in_2"


def test_a_goodbye_is_believed_at_once() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    world.beat("n1", state="stopped")
    assert [type(chore) for chore in world.chores()] == [Withdraw, Lose]
    assert not world.plan.registry.nodes


def test_what_was_assigned_to_a_lost_node_goes_elsewhere_without_a_loss() -> None:
    world = World()
    world.beat("n1")
    world.submit("w1")
    assert world.release() is not None
    world.beat("n1", "in_2")
    assert world.chores() == []
    release = world.release()
    assert release is not None
    assert release.incarnation == "in_2"


def test_a_dispatch_that_lies_is_given_to_another_node() -> None:
    world = World()
    world.beat("n1", slots=1)
    world.submit("w1")
    world.release_all()
    world.beat("n2", slots=1)
    world.time = 5
    assert world.chores() == []
    release = world.release()
    assert release is not None
    assert release.node == "n2"
    assert world.plan.counters.expired_dispatches == 1
    world.submit("w2")
    assert world.release() is None  # n1 is not trusted for a while
    world.start("w1")
    world.time = 9
    world.beat("n1")
    world.beat("n2", slots=1)
    world.time = 10
    world.chores()
    release = world.release()
    assert release is not None
    assert release.node == "n1"


def test_a_late_start_wins_over_the_second_dispatch() -> None:
    world = World()
    world.beat("n1", slots=1)
    world.beat("n2", slots=1)
    world.submit("w1")
    world.release_all()
    assert world.states["w1"].node == "n1"
    world.time = 5
    world.chores()
    again = world.plan.next_release(world.now)
    assert again is not None
    assert again.node == "n2"
    world.start("w1")  # on n1, before the second dispatch is on the log
    world.plan.absorb(world.states["w1"], world.seqs["w1"], world.now)  # which is refused, and finds this
    assert world.plan.jobs["w1"].phase == "running"
    assert world.plan.jobs["w1"].node == "n1"
    world.end("w1")
    assert world.idle()


def test_a_lone_node_gets_its_dispatch_again_less_and_less_often() -> None:
    world = World()
    world.submit("w1")
    world.beat("n1")
    world.release_all()
    offered = []
    for second in range(1, 120):
        world.time = float(second)
        world.beat("n1")
        world.chores()
        offered += [second for _ in world.release_all()]
    assert offered == [5, 15, 35, 75, 115]


def test_what_is_dispatched_again_stays_in_its_tenants_quota() -> None:
    world = World()
    world.plan.set_quotas("a", Quotas(max_running=1))
    world.beat("n1")
    world.submit("w1")
    world.submit("w2")
    world.release_all()
    world.time = 5
    world.beat("n1")
    world.chores()
    assert [order.workload_id for order in world.release_all()] == ["w1"]


def test_a_life_that_the_log_names_and_nobody_heard_of_gets_its_time() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    later = World()
    later.time = 100.0
    later.plan.activate(later.now)
    for recorded in world.log:
        later.plan.apply(recorded, later.now)
    later.time = 109.0
    assert later.chores() == []
    later.time = 110.0
    assert [type(chore) for chore in later.chores()] == [Lose]


def test_a_new_life_settles_an_unheard_old_one_at_once() -> None:
    world = World()
    world.beat("n1", "in_1")
    running(world, "w1")
    later = World()
    for recorded in world.log:
        later.plan.apply(recorded, later.now)
    later.beat("n1", "in_2")
    assert [type(chore) for chore in later.chores()] == [Lose]


def test_a_schedule_that_outruns_the_heartbeat_is_no_loss() -> None:
    world = World()
    world.beat("n1", "in_2")
    running(world, "w1")
    standby = World()
    standby.beat("n1", "in_1")
    for recorded in world.log:
        standby.plan.apply(recorded, standby.now)
    assert standby.chores() == []


def test_drained_nodes_take_nothing_new_and_keep_what_they_run() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    world.plan.set_drained({"n1"})
    world.submit("w2")
    assert world.release() is None
    assert "draining" in world.why("w2")
    assert world.chores() == []
    world.end("w1")
    world.plan.set_drained(set())
    assert world.release() is not None


def test_a_node_drains_by_its_own_word_too() -> None:
    world = World()
    world.beat("n1", state="draining")
    world.submit("w1")
    assert world.release() is None
    world.beat("n1")
    assert world.release() is not None


def test_queue_ttl() -> None:
    world = World()
    world.submit("w1", queue_ttl_s=10)
    world.submit("w2", queue_ttl_s=20)
    world.time = 10
    (chore,) = world.chores()
    assert chore == Expire(workload_id="w1", tenant="a", traceparent=None)
    from vulcan_contracts import commands

    world.append("w1", commands.Expire(at=world.moment))
    world.plan.absorb(world.states["w1"], world.seqs["w1"], world.now)
    assert world.states["w1"].outcome is not None
    assert world.states["w1"].outcome.reason is Reason.QUEUE_EXPIRED
    assert "w1" not in world.plan.jobs


def test_queue_ttl_ends_what_is_dispatched_and_never_started() -> None:
    world = World()
    world.beat("n1")
    world.submit("w1", queue_ttl_s=12)
    expired = []
    for second in range(60):
        world.time = float(second)
        world.beat("n1")
        world.release_all()
        expired += [(second, chore) for chore in world.chores() if isinstance(chore, Expire)]
    assert expired[0][0] == 15


def test_an_expiry_that_fails_is_tried_again_a_second_later() -> None:
    world = World()
    world.submit("w1", queue_ttl_s=10)
    world.time = 10
    assert len(world.chores()) == 1
    world.plan.failed("w1", world.now)
    assert world.chores() == []
    world.time = 11
    assert len(world.chores()) == 1


def test_backoff_ends_by_the_wall_clock_and_next_wake_says_when() -> None:
    world = World(Limits(node_check_interval_s=1000))
    world.beat("n1")
    world.submit("w1", retry=Retry(max_attempts=2, on=[Reason.EXIT_NONZERO], backoff_s=3))
    world.release_all()
    world.start("w1")
    world.end("w1", Reason.EXIT_NONZERO)
    world.chores()
    assert world.release() is None
    assert world.plan.next_wake(world.now) == 3.0
    world.time = 3.0
    assert world.release() is not None


def test_killing_a_running_workload_of_a_lost_node_ends_it_killed() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    world.tell("w1", RequestKill())
    world.time = 10
    (loss,) = [chore for chore in world.chores() if isinstance(chore, Lose)]
    world.lose(loss)
    assert world.states["w1"].state == "killed"
    assert world.idle()


def test_what_was_not_started_is_offered_again_after_an_absence_of_nats() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    world.submit("w2")
    world.release_all()
    world.submit("w3")
    in_hand = world.plan.next_release(world.now)
    world.time = 4.9
    world.plan.resume(world.now)
    (offer,) = world.chores()
    assert isinstance(offer, Offer)
    assert (offer.workload_id, offer.node, offer.incarnation) == ("w2", "n1", "in_1")
    assert offer.state == world.states["w2"]
    assert offer.seq == world.seqs["w2"]
    world.time = 5.1  # its time to start it has begun anew
    world.beat("n1")
    assert world.chores() == []
    assert world.release() is None
    assert in_hand is not None


def test_an_activation_takes_up_what_a_task_that_never_ran_had_in_hand() -> None:
    world = World()
    world.beat("n1")
    running(world, "w1")
    world.submit("w2")
    world.submit("w3", queue_ttl_s=1.0)
    world.plan.set_quotas("a", Quotas(max_running=2))
    assert world.plan.next_release(world.now) is not None  # of w2; and nobody carries it out
    world.time = 2.0
    world.beat("n1")
    assert [type(chore) for chore in world.chores()] == [Expire]  # nor this
    world.plan.activate(world.now)
    assert world.plan.in_hand == set()
    again = world.release()
    assert again is not None
    assert again.workload_id == "w2"
    world.time = 3.1
    assert [chore.workload_id for chore in world.chores() if isinstance(chore, Expire)] == ["w3"]
