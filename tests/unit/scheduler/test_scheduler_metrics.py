from prometheus_client import CollectorRegistry, generate_latest

from support.scheduling import World
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.metrics import Metrics


def test_tenants_beyond_the_busiest_share_a_label() -> None:
    world = World()
    desk = Desk(Limits())
    desk.plan = world.plan
    registry = CollectorRegistry()
    Metrics(registry, desk, top_tenants=2)
    for tenant, many in (("a", 5), ("b", 4), ("c", 2), ("d", 1)):
        for number in range(many):
            world.submit(f"{tenant}{number}", tenant)
    world.beat("n1", slots=1)
    world.release_all()
    waiting = {
        tenant: registry.get_sample_value("vulcan_scheduler_waiting", {"tenant": tenant})
        for tenant in ("a", "b", "c", "d", "other")
    }
    assert waiting == {"a": 4, "b": 4, "c": None, "d": None, "other": 3}
    assert registry.get_sample_value("vulcan_scheduler_running", {"tenant": "a"}) == 1
    assert registry.get_sample_value("vulcan_scheduler_nodes", {"backend": "v8"}) == 1
    assert registry.get_sample_value("vulcan_scheduler_active") == 0
    assert b"vulcan_scheduler_lost_nodes_total 0.0" in generate_latest(registry)
