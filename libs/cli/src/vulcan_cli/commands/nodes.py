"""`vulcan nodes`."""

from typing import Final

from vulcan_cli.common import COMMON, Common, connect, group
from vulcan_cli.output import note, print_json, table, write_line
from vulcan_cli.text import ago

app: Final = group("nodes", "List the executors; drain one.")


@app.default
@app.command
def ls(*, common: Common = COMMON) -> None:
    """List the executors.

    Args:
        common: Options of every command.
    """
    with connect(common) as vulcan:
        found = vulcan.nodes()
    if common.json:
        print_json({"items": found})
    elif not found:
        note("no nodes: no executor has sent a heartbeat")
    else:
        table(
            ("NODE", "STATE", "ISOLATION", "ENGINE", "SLOTS", "MEMORY MB", "SEEN", "VERSION"),
            [
                (
                    node.node,
                    "draining" if node.draining and node.state == "ready" else node.state,
                    node.backend.isolation,
                    node.backend.engine,
                    f"{node.used.slots}/{node.capacity.slots}",
                    f"{node.used.memory_mb}/{node.capacity.memory_mb}",
                    f"{ago(node.last_seen)} ago",
                    node.version,
                )
                for node in found
            ],
        )


@app.command
def drain(node: str, /, *, common: Common = COMMON) -> None:
    """Give a node no new work; what runs there goes on to its end.

    Args:
        node: Its name.
        common: Options of every command.
    """
    _drain(node, common, drain=True)


@app.command
def undrain(node: str, /, *, common: Common = COMMON) -> None:
    """Give a node work again.

    Args:
        node: Its name.
        common: Options of every command.
    """
    _drain(node, common, drain=False)


def _drain(node: str, common: Common, *, drain: bool) -> None:
    with connect(common) as vulcan:
        vulcan.drain(node, drain=drain)
    if common.json:
        print_json({"node": node, "draining": drain})
    else:
        write_line(f"{node} {'drains: it gets no new work' if drain else 'gets work again'}")
