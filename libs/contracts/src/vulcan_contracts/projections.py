"""Rebuilding the projections from the log: what the gateway asks of the logstore, and what that answers."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

RebuildState = Literal["waiting", "running", "done", "failed"]


class RebuildRequest(Struct, frozen=True, kw_only=True):
    """Rebuild everything in Postgres from the log. `id` comes from the caller, so that a repeat is harmless; while
    another rebuild goes on, that one is the answer."""

    id: str


class RebuildStatusRequest(Struct, frozen=True, kw_only=True):
    """How far is this rebuild? None asks for the newest."""

    id: str | None = None


class RebuildStatus(Struct, frozen=True, kw_only=True):
    """One rebuild. Reads go on from the old content until the new one takes its place, all at once.

    `events_seq` and `logs_seq` are how far it has come in each stream, the targets how far it has to.
    """

    id: str
    state: RebuildState
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    events_seq: int = 0
    events_target: int = 0
    logs_seq: int = 0
    logs_target: int = 0
    message: str = ""


class RebuildAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the logstore replies: the rebuild, or why there is none (`not_found`, `unavailable`)."""

    status: RebuildStatus | None = None
    error: Literal["", "not_found", "unavailable"] = ""
    message: str = ""
