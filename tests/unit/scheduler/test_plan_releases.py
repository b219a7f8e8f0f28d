from support.scheduling import World, spec
from vulcan_contracts.commands import RequestKill
from vulcan_contracts.spec import ImageSource
from vulcan_contracts.tenants import Quotas
from vulcan_scheduler.domain.board import Limits


def released(world: World) -> list[str]:
    return [release.workload_id for release in world.release_all()]


def test_releases_what_fits_and_no_more() -> None:
    world = World()
    world.beat("n1", slots=2)
    for name in ("w1", "w2", "w3"):
        world.submit(name)
    assert released(world) == ["w1", "w2"]
    world.run("w1")
    assert released(world) == ["w3"]


def test_memory_and_cpus_count_not_only_slots() -> None:
    world = World()
    world.beat("n1", slots=100, cpus=4, memory_mb=1000)
    world.submit("w1", cpus=3)
    world.submit("w2", cpus=2)
    world.submit("w3", cpus=1, memory_mb=900)
    world.submit("w4", cpus=1, memory_mb=800)
    assert released(world) == ["w1", "w4"]


def test_priority_then_first_come_first_served() -> None:
    world = World()
    world.submit("low", priority=-5)
    world.submit("first")
    world.submit("second")
    world.submit("high", priority=7)
    world.beat("n1", slots=4)
    assert released(world) == ["high", "first", "second", "low"]


def test_spreads_over_the_least_loaded_nodes() -> None:
    world = World()
    world.beat("n1")
    world.beat("n2")
    for number in range(4):
        world.submit(f"w{number}")
    nodes = [release.node for release in world.release_all()]
    assert sorted(nodes) == ["n1", "n1", "n2", "n2"]


def test_prefers_the_node_that_has_the_image() -> None:
    world = World()
    for node in ("n1", "n2", "n3"):
        world.beat(node, isolation="gvisor")
    beat = world.plan.registry.nodes["n2"].heartbeat
    import msgspec

    world.plan.hear(msgspec.structs.replace(beat, cached_images=["busybox"]), world.now)
    world.submit("w1", source=ImageSource(image="busybox"), runtime=None)
    release = world.release()
    assert release is not None
    assert release.node == "n2"


def test_max_running_is_exact_and_explained() -> None:
    world = World()
    world.plan.set_quotas("a", Quotas(max_running=2))
    world.beat("n1", slots=10)
    for number in range(4):
        world.submit(f"w{number}")
    assert released(world) == ["w0", "w1"]
    assert "limit: 2" in world.why("w2")
    world.run("w0")
    assert released(world) == ["w2"]
    world.plan.set_quotas("a", Quotas(max_running=3))
    assert released(world) == ["w3"]


def test_a_quota_of_nothing_holds_everything() -> None:
    world = World()
    world.plan.set_quotas("a", Quotas(max_running=0))
    world.beat("n1")
    world.submit("w1")
    world.submit("w2", tenant="b")
    assert released(world) == ["w2"]


def test_a_killed_waiting_workload_leaves_the_queue() -> None:
    world = World()
    world.submit("w1")
    world.submit("w2")
    world.tell("w1", RequestKill())
    world.beat("n1")
    assert released(world) == ["w2"]
    world.run("w2")
    assert world.idle()


def test_a_kill_that_overtakes_the_release_gives_the_room_back() -> None:
    world = World()
    world.beat("n1", slots=1)
    world.submit("w1")
    world.submit("w2")
    release = world.plan.next_release(world.now)
    assert release is not None
    assert release.workload_id == "w1"
    killed = world.append("w1", RequestKill())
    assert killed is not None
    world.plan.absorb(world.states["w1"], killed.seq, world.now)  # what the refused append finds on the log
    world.plan.apply(killed, world.now)
    assert released(world) == ["w2"]
    world.run("w2")
    assert world.idle()


def test_a_release_that_fails_is_taken_up_again_in_its_old_place() -> None:
    world = World()
    world.beat("n1", slots=1)
    world.submit("w1")
    world.submit("w2")
    release = world.plan.next_release(world.now)
    assert release is not None
    assert world.plan.next_release(world.now) is None
    world.plan.failed(release.workload_id, world.now)
    assert released(world) == ["w1"]


def test_an_end_that_is_heard_before_the_append_returns() -> None:
    world = World()
    world.beat("n1", slots=1)
    world.submit("w1")
    release = world.plan.next_release(world.now)
    assert release is not None
    from vulcan_contracts.commands import Schedule

    recorded = world.append("w1", Schedule(isolation="v8", isolation_reason="", node="n1", incarnation="in_1"))
    assert recorded is not None
    scheduled = world.states["w1"]
    world.plan.apply(recorded, world.now)
    world.run("w1")
    world.plan.absorb(scheduled, recorded.seq, world.now)
    assert world.idle()


def test_large_states_are_not_kept() -> None:
    world = World(Limits(keep_state_bytes=500, keep_total_bytes=1000))
    world.submit("small")
    world.submit("large", stdin="x" * 600)
    world.beat("n1")
    by_id = {release.workload_id: release for release in world.release_all()}
    assert by_id["small"].state is not None
    assert by_id["large"].state is None
    world.run("small")
    world.run("large")
    assert world.idle()
    assert world.plan._kept_bytes == 0


def test_the_kept_state_is_what_the_log_says() -> None:
    world = World()
    world.submit("w1")
    world.beat("n1", slots=1)
    release = world.plan.next_release(world.now)
    assert release is not None
    assert release.state == world.states["w1"]
    assert release.state.spec == spec()


def test_a_passed_large_workload_gets_a_node_kept_free() -> None:
    world = World(Limits(reserve_after_s=10))
    world.beat("n1", slots=10, cpus=4)
    world.submit("s0")
    world.submit("s1")
    assert released(world) == ["s0", "s1"]
    world.submit("big", cpus=4)
    for number in range(2, 40):
        world.submit(f"s{number}")
    assert released(world) == ["s2", "s3"]  # it does not fit, so the others go past it
    for _ in range(12):
        world.time += 1
        world.beat("n1", slots=10, cpus=4)
        world.chores()
        running = [name for name, state in world.states.items() if state.node and not state.ended]
        world.run(running[0])
        released(world)
        if world.states["big"].node is not None:
            break
    reservation = world.plan.board.pools["v8"].reservation
    assert reservation is not None
    assert reservation.job.id == "big"
    assert "kept free" in world.why("big")
    for name in [name for name, state in world.states.items() if state.node and not state.ended]:
        world.run(name)
    assert released(world) == ["big"]
    world.run("big")
    assert len(released(world)) == 4


def test_one_that_never_fits_holds_up_nobody() -> None:
    world = World(Limits(reserve_after_s=1))
    world.beat("n1", slots=1, cpus=2)
    world.submit("huge", cpus=64)
    for number in range(20):
        world.submit(f"w{number}")
    for number in range(20):
        world.time += 1
        world.beat("n1", slots=1, cpus=2)
        world.chores()
        assert released(world) == [f"w{number}"]
        world.run(f"w{number}")
    assert "as large as 64 cpus" in world.why("huge")
