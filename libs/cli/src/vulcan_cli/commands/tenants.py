"""`vulcan tenants`."""

from typing import Final

from vulcan_cli.common import COMMON, Common, connect, group
from vulcan_cli.output import print_json, table
from vulcan_contracts.tenants import Quotas, Tenant

app: Final = group("tenants", "List tenants and set their quotas.")


@app.default
@app.command
def ls(*, common: Common = COMMON) -> None:
    """List the tenants.

    Args:
        common: Options of every command.
    """
    with connect(common) as vulcan:
        found = vulcan.tenants()
    if common.json:
        print_json({"items": found})
    else:
        _show(found)


@app.command
def show(tenant: str, /, *, common: Common = COMMON) -> None:
    """Show one tenant's settings.

    Args:
        tenant: Its id.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        found = vulcan.tenant(tenant)
    if common.json:
        print_json(found)
    else:
        _show([found])


@app.command(name="set")
def set_(
    tenant: str,
    /,
    *,
    max_running: int | None = None,
    max_waiting: int | None = None,
    weight: float = 1.0,
    log_retention_days: int | None = None,
    common: Common = COMMON,
) -> None:
    """Store a tenant's settings, making it if it is new. What is left out goes back to the server's default.

    Args:
        tenant: Its id: lower-case letters, digits and hyphens.
        max_running: How many workloads may run at once.
        max_waiting: How many may wait.
        weight: Its part in fair share, relative to the others' (default 1).
        log_retention_days: How long its logs are kept.
        common: Options of every command.
    """
    quotas = Quotas(max_running=max_running, max_waiting=max_waiting, weight=weight)
    with connect(common) as vulcan:
        stored = vulcan.put_tenant(tenant, quotas=quotas, log_retention_days=log_retention_days)
    if common.json:
        print_json(stored)
    else:
        _show([stored])


def _show(found: list[Tenant]) -> None:
    table(
        ("TENANT", "MAX RUNNING", "MAX WAITING", "WEIGHT", "LOG RETENTION"),
        [
            (
                tenant.id,
                _or_default(tenant.quotas.max_running),
                _or_default(tenant.quotas.max_waiting),
                f"{tenant.quotas.weight:g}",
                f"{tenant.log_retention_days} days" if tenant.log_retention_days is not None else "default",
            )
            for tenant in found
        ],
    )


def _or_default(value: int | None) -> str:
    return "default" if value is None else str(value)
