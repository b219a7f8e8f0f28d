"""What each tenant may have."""

from vulcan_contracts import subjects
from vulcan_contracts.tenants import Tenant
from vulcan_eventstore.buckets import Bucket, Mirror
from vulcan_eventstore.connection import Bus
from vulcan_scheduler.desk import Desk


async def mirror_quotas(bus: Bus, desk: Desk) -> Mirror[Tenant]:
    """Keep the plan told of the tenants' quotas and weights, until the returned mirror is closed."""

    def changed(tenant_id: str, tenant: Tenant | None) -> None:
        desk.plan.set_quotas(tenant_id, None if tenant is None else tenant.quotas)
        desk.ring()

    return await Bucket(bus, subjects.TENANTS_BUCKET, Tenant).mirror(changed)
