from hypothesis import given, settings
from hypothesis import strategies as st

from support.scheduling import World
from vulcan_contracts.tenants import Quotas
from vulcan_scheduler.domain.board import Limits


def test_a_tenant_that_comes_late_gets_each_place_that_becomes_free_until_it_is_level() -> None:
    world = World()
    world.beat("n1", slots=4)
    for number in range(20):
        world.submit(f"a{number}", "a", priority=100)
    world.release_all()
    for number in range(20):
        world.submit(f"b{number}", "b", priority=-100)
    for number in range(2):
        world.run(f"a{number}")
        (order,) = world.release_all()
        assert order.tenant == "b"
    world.run("a2")
    world.run("b0")
    assert {order.tenant for order in world.release_all()} == {"a", "b"}


def test_idling_builds_no_credit() -> None:
    world = World()
    world.beat("n1", slots=1)
    for number in range(40):
        world.submit(f"a{number}", "a")
    served = []
    for number in range(60):
        if number == 30:  # the other one has been idle for 30 turns
            for late in range(20):
                world.submit(f"b{late}", "b")
        (order,) = world.release_all()
        world.time += 1
        world.run(order.workload_id)
        served.append(order.tenant)
    assert served[:30] == ["a"] * 30
    assert served[30:50].count("b") == 10


@settings(deadline=None, max_examples=40)
@given(weights=st.lists(st.integers(1, 5), min_size=2, max_size=5), lengths=st.data())
def test_one_place_is_shared_by_weight_over_time(weights: list[int], lengths: st.DataObject) -> None:
    """Between tenants that all wait all the time, time on the one place differs by no more than one run, by weight."""
    world = World(Limits(debt_cap_s=60))
    world.beat("n1", slots=1, interval_s=1e9)
    tenants = [f"t{index}" for index in range(len(weights))]
    length = {tenant: lengths.draw(st.integers(1, 20)) for tenant in tenants}
    for tenant, weight in zip(tenants, weights, strict=True):
        world.plan.set_quotas(tenant, Quotas(weight=weight))
        for number in range(120):
            world.submit(f"{tenant}-{number}", tenant, queue_ttl_s=600_000)
    had = dict.fromkeys(tenants, 0.0)
    for _ in range(100):
        (order,) = world.release_all()
        world.time += length[order.tenant]
        world.run(order.workload_id)
        had[order.tenant] += length[order.tenant] / world.plan.tenants.weight(order.tenant)
        for one in tenants:
            for other in tenants:
                bound = length[one] / world.plan.tenants.weight(one) + length[other] / world.plan.tenants.weight(other)
                assert abs(had[one] - had[other]) <= bound + 1e-6


@settings(deadline=None, max_examples=40)
@given(
    weights=st.lists(st.sampled_from([1, 2, 4]), min_size=2, max_size=4),
    slots=st.integers(4, 24),
    order=st.randoms(use_true_random=False),
)
def test_many_places_are_held_by_weight(weights: list[int], slots: int, order: object) -> None:
    """Whatever ends in whatever order: a tenant that waits never holds a whole run less than its part by weight."""
    world = World()
    world.beat("n1", slots=slots, interval_s=1e9)
    tenants = [f"t{index}" for index in range(len(weights))]
    for tenant, weight in zip(tenants, weights, strict=True):
        world.plan.set_quotas(tenant, Quotas(weight=weight))
        for number in range(slots * 8):
            world.submit(f"{tenant}-{number}", tenant)
    running = [release.workload_id for release in world.release_all()]
    for _ in range(slots * 3):
        assert len(running) == slots
        world.run(running.pop(order.randrange(slots)))  # type: ignore[attr-defined] # random.Random
        running += [release.workload_id for release in world.release_all()]
        held = {tenant: sum(name.startswith(f"{tenant}-") for name in running) for tenant in tenants}
        for tenant, weight in zip(tenants, weights, strict=True):
            assert held[tenant] > slots * weight / sum(weights) - len(tenants)


def test_a_pool_of_another_isolation_takes_nothing_from_a_share() -> None:
    world = World()
    world.beat("n1", slots=1)
    world.beat("g1", isolation="gvisor", slots=100)
    for number in range(50):
        world.submit(f"g{number}", "a", isolation="gvisor")
    world.submit("va0", "a", isolation="v8")
    world.submit("va1", "a", isolation="v8")
    for number in range(3):
        world.submit(f"vb{number}", "b", isolation="v8")
    served = []
    while (order := world.release()) is not None:
        if order.isolation == "v8":
            world.time += 1
            world.run(order.workload_id)
            served.append(order.tenant)
    assert served == ["a", "b", "a", "b", "b"]
