"""Rows of `workloads`: read and written by the batch."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from vulcan_logstore.db.database import Connection
from vulcan_logstore.domain.row import WorkloadRow

_TYPES: Final = {
    **dict.fromkeys(WorkloadRow.__struct_fields__, "text"),
    **dict.fromkeys(("exit_code", "attempt", "priority", "version"), "int"),
    **dict.fromkeys(("submitted_at", "waiting_since", "scheduled_at", "started_at", "ended_at"), "timestamptz"),
    **dict.fromkeys(("kill_requested", "deleted"), "boolean"),
    **dict.fromkeys(("seq", "last_line"), "bigint"),
    **dict.fromkeys(
        ("queued_ms", "dispatched_ms", "sandbox_ready_ms", "first_output_ms", "run_ms", "total_ms"), "double precision"
    ),
}
_COLUMNS: Final = ", ".join(_TYPES)
_VALUES: Final = ", ".join("labels::jsonb" if name == "labels" else name for name in _TYPES)
_ARRAYS: Final = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES.values(), start=1))
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in _TYPES if name != "id")
_SELECT: Final = f"SELECT {_COLUMNS} FROM workloads WHERE id = ANY($1::text[])"
_UPSERT: Final = (
    f"INSERT INTO workloads ({_COLUMNS}) SELECT {_VALUES} FROM unnest({_ARRAYS}) AS new ({_COLUMNS}) "
    f"ON CONFLICT (id) DO UPDATE SET {_CHANGES}"
)


async def load(connection: Connection, ids: Collection[str]) -> dict[str, WorkloadRow]:
    """The rows that there are, by id."""
    if not ids:
        return {}
    return {row["id"]: WorkloadRow(**dict(row)) for row in await connection.fetch(_SELECT, list(ids))}


async def upsert(connection: Connection, rows: Sequence[WorkloadRow]) -> None:
    """Write the rows, each over the one of its id."""
    if rows:
        columns = zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)
        await connection.execute(_UPSERT, *(list(column) for column in columns))
