"""Lists of workloads, from the projection."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from vulcan_contracts.views import WorkloadPage, WorkloadSummary
from vulcan_gateway.db.pool import Database
from vulcan_gateway.domain.cursors import ListCursor, decode_list_cursor, encode_list_cursor
from vulcan_gateway.domain.filters import ListQuery, label_filters

_COLUMNS: Final = (
    "id, state, reason, message, exit_code, isolation, backend, runtime, source_type, node, attempt, priority, labels, "
    "submitted_at, started_at, ended_at, replay_of"
)


class _Where:
    """Conditions with their arguments, numbered as Postgres wants them."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.arguments: list[Any] = []

    def add(self, condition: str, *arguments: Any) -> None:
        """Add `condition`, in which each `{}` stands for the next argument."""
        numbers = range(len(self.arguments) + 1, len(self.arguments) + len(arguments) + 1)
        self.conditions.append(condition.format(*(f"${number}" for number in numbers)))
        self.arguments += arguments


def _where(tenant: str, query: ListQuery) -> _Where:
    where = _Where()
    where.add("tenant = {}", tenant)
    where.add("NOT deleted")
    if query.state and query.reason:
        where.add("state = ANY({})", list(query.state))
    for column in ("isolation", "backend", "runtime"):
        if (wanted := getattr(query, column)) is not None:
            where.add(f"{column} = {{}}", wanted)
    for label in label_filters(query.label):
        if label.value is None:
            where.add("labels ? {}", label.name)
        else:
            where.add("labels @> {}::jsonb", msgspec.json.encode({label.name: label.value}).decode())
    if query.text is not None:
        where.add("(strpos(id, {}) > 0 OR strpos(labels::text, {}) > 0 OR strpos(message, {}) > 0)", *[query.text] * 3)
    if query.submitted_after is not None:
        where.add("submitted_at > {}", query.submitted_after)
    if query.submitted_before is not None:
        where.add("submitted_at < {}", query.submitted_before)
    if query.cursor is not None:
        where.add("(submitted_at, id) < ({}, {})", *decode_list_cursor(query.cursor))
    return where


async def list_workloads(database: Database, tenant: str, query: ListQuery) -> WorkloadPage:
    """A page, newest first.

    Raises:
        Refusal: a cursor or label that cannot be.
        ProjectionUnavailableError: Postgres is away.
    """
    where = _where(tenant, query)
    column, values = ("reason", [str(reason) for reason in query.reason]) if query.reason else ("state", query.state)
    if values:
        # BETWEEN says nothing new but to the planner, which otherwise takes the value for a common one and prefers
        # the index without the column.
        where.add(f"{column} = wanted.value AND {column} BETWEEN wanted.value AND wanted.value")
    newest = f"ORDER BY submitted_at DESC, id DESC LIMIT {query.limit + 1}"
    sql = f"SELECT {_COLUMNS} FROM workloads WHERE {' AND '.join(where.conditions)} {newest}"
    if values:
        # A page of each value, each off the end of its part of an index, however few or many there are: with an
        # "= ANY" Postgres reads all that the tenant ever had, from the newest on, until it has found enough.
        where.arguments.append(sorted(set(values)))
        wanted = f"unnest(${len(where.arguments)}::text[]) AS wanted (value)"
        sql = f"SELECT of_value.* FROM {wanted}, LATERAL ({sql}) AS of_value {newest}"
    rows = await database.fetch(sql, *where.arguments)
    items = _summaries(rows[: query.limit])
    has_more = len(rows) > query.limit
    cursor = encode_list_cursor(ListCursor(items[-1].submitted_at, items[-1].id)) if has_more else None
    return WorkloadPage(items=items, next_cursor=cursor, has_more=has_more)


def _summaries(rows: Sequence[asyncpg.Record]) -> list[WorkloadSummary]:
    return [msgspec.convert({**row, "labels": msgspec.json.decode(row["labels"])}, WorkloadSummary) for row in rows]
