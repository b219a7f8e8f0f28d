from support.scheduling import World
from vulcan_contracts.queue import Explanation
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.explain import Explainer


def test_places_follow_priority_and_arrival_and_are_the_tenants_own() -> None:
    world = World()
    world.beat("n1", slots=1)
    for name in ("running", "w1", "w2"):
        world.submit(name)
    world.submit("urgent", priority=9)
    world.submit("other", tenant="b")
    world.release_all()
    explainer = Explainer(world.plan)
    places = {}
    for name in ("urgent", "running", "w1", "w2"):
        answer = explainer.explain("a", name, world.now)
        assert answer is not None
        places[name] = answer.position
    assert places == {"urgent": None, "running": 1, "w1": 2, "w2": 3}
    other = explainer.explain("b", "other", world.now)
    assert other == Explanation(
        pending_reason="Waiting for capacity: node n1 has not 1 cpus and 128 MiB free.", position=1
    )


def test_tells_nobody_of_anothers_workloads() -> None:
    world = World()
    world.submit("w1")
    explainer = Explainer(world.plan)
    assert explainer.explain("b", "w1", world.now) is None
    assert explainer.explain("a", "nothing", world.now) is None


def test_a_long_queue_is_sorted_once_a_second() -> None:
    world = World(Limits(keep_state_bytes=0))
    for number in range(1500):
        world.submit(f"w{number}")
    explainer = Explainer(world.plan)
    first = explainer.explain("a", "w1499", world.now)
    assert first is not None
    assert first.position == 1500
    world.submit("urgent", priority=1)
    again = explainer.explain("a", "w1499", world.now)
    assert again == first
    new = explainer.explain("a", "urgent", world.now)  # not in what was sorted: sorted anew
    assert new is not None
    assert new.position == 1
    world.time = 1.0
    later = explainer.explain("a", "w1499", world.now)
    assert later is not None
    assert later.position == 1501
