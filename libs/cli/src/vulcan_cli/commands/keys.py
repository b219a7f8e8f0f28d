"""`vulcan keys`."""

from typing import Final

from vulcan_cli.common import COMMON, Common, connect, group
from vulcan_cli.output import note, print_json, table, write_line
from vulcan_cli.text import ago
from vulcan_contracts.tenants import Role

app: Final = group("keys", "Create, list and revoke API keys.")


@app.command
def create(*, role: Role = "writer", name: str = "", tenant: str | None = None, common: Common = COMMON) -> None:
    """Create a key and print it: the only time that it is shown.

    Args:
        role: What it may do: reader, writer (the default) or admin.
        name: What it is for.
        tenant: Whose it is; without it, the caller's own.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        made = vulcan.create_key(role=role, name=name, tenant=tenant)
    if common.json:
        print_json(made)
    else:
        note(f"a {made.role} key of tenant {made.tenant}, id {made.id}; it is not shown again")
        write_line(made.key)


@app.default
@app.command
def ls(*, common: Common = COMMON) -> None:
    """List the keys, without their secrets.

    Args:
        common: Options of every command.
    """
    with connect(common) as vulcan:
        found = vulcan.keys()
    if common.json:
        print_json({"items": found})
    else:
        rows = [(key.id, key.tenant, key.role, key.name, f"{ago(key.created_at)} ago") for key in found]
        table(("ID", "TENANT", "ROLE", "NAME", "CREATED"), rows)


@app.command
def revoke(key: str, /, *, common: Common = COMMON) -> None:
    """End a key, at once.

    Args:
        key: Its id (not the key itself).
        common: Options of every command.
    """
    from vulcan_contracts.tenants import token_id

    with connect(common) as vulcan:
        key_id = token_id(key) or key
        vulcan.revoke_key(key_id)
    if common.json:
        print_json({"id": key_id, "revoked": True})
    else:
        write_line(key_id)
