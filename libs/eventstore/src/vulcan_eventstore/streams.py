"""The streams and buckets, as they have to be. Every service may make them sure at its start."""

import logging
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from vulcan_contracts import subjects
from vulcan_eventstore.backoff import patiently, within
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import ApiError, EventStoreUnavailableError
from vulcan_eventstore.jetstream import STREAM_NAME_IN_USE, call, nanoseconds

_DAY_S: Final = 86_400
_SERVER_FAULT: Final = 500
_log = logging.getLogger(__name__)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_KEY_VALUE_BUCKETS: Final = (
    subjects.KEYS_BUCKET,
    subjects.TENANTS_BUCKET,
    subjects.NODES_BUCKET,
    subjects.LEASES_BUCKET,
)
_OBJECT_BUCKETS: Final = (subjects.BLOBS_BUCKET, subjects.CHECKPOINTS_BUCKET)

Positive = Annotated[float, Meta(gt=0)]


class StreamSettings(Struct, frozen=True, kw_only=True):
    """How long the streams keep what.

    log_max_age_days has to be at least the longest log retention of any tenant, or a rebuild of the projections loses
    lines. duplicate_window_s has to be longer than any append is retried. ready_timeout_s: how long a cluster may take
    to elect its leaders before a start is given up.
    """

    log_max_age_days: Positive = 31.0
    duplicate_window_s: Positive = 120.0
    dispatch_max_age_s: Positive = 3600.0
    ready_timeout_s: Positive = 30.0


def key_value_stream(bucket: str) -> str:
    """The stream behind a key-value bucket, as every NATS client names it."""
    return f"KV_{bucket}"


def object_stream(bucket: str) -> str:
    """The stream behind an object bucket, as every NATS client names it."""
    return f"OBJ_{bucket}"


async def ensure_streams(bus: Bus, settings: StreamSettings) -> None:
    """Make every stream and bucket, or bring it up to the settings. Safe to repeat, and with several starters.

    Raises:
        EventStoreError: a stream exists and cannot be changed into what it has to be.
        EventStoreUnavailableError: NATS does not answer.
    """
    configs = [
        _events(settings),
        _logs(settings),
        dispatch_config(settings),
        *(_key_value(name) for name in _KEY_VALUE_BUCKETS),
        *(_object_bucket(name) for name in _OBJECT_BUCKETS),
    ]

    async def ensure_all() -> None:
        for config in configs:
            await patiently(bus, "stream", partial(ensure_stream, bus, config))

    await within(settings.ready_timeout_s, ensure_all())


async def ensure_stream(bus: Bus, config: dict[str, Any]) -> None:
    """Make one stream, or bring it up to its configuration; what the configuration does not name stays as it is."""
    name = config["name"]
    config = {**config, "num_replicas": bus.settings.replicas}
    try:
        await call(bus, f"STREAM.CREATE.{name}", config)
    except ApiError as error:
        if error.code >= _SERVER_FAULT:
            # Seen when several services make the same streams at the same moment; the next try finds them.
            _log.warning("%s: %s; trying again", name, error)
            raise EventStoreUnavailableError(f"{name}: {error}") from error
        if error.err_code != STREAM_NAME_IN_USE:
            raise
        current = _decode(await call(bus, f"STREAM.INFO.{name}"))["config"]
        if any(current.get(key) != value for key, value in config.items()):
            await call(bus, f"STREAM.UPDATE.{name}", {**current, **config})


def _events(settings: StreamSettings) -> dict[str, Any]:
    return {
        **_base(subjects.EVENTS_STREAM, [subjects.ALL_EVENTS]),
        "duplicate_window": nanoseconds(settings.duplicate_window_s),
        "republish": {"src": subjects.ALL_EVENTS, "dest": subjects.live(subjects.ALL_EVENTS)},
        "deny_delete": True,
    }


def _logs(settings: StreamSettings) -> dict[str, Any]:
    return {
        **_base(subjects.LOGS_STREAM, [subjects.ALL_LOGS]),
        "duplicate_window": nanoseconds(settings.duplicate_window_s),
        "republish": {"src": subjects.ALL_LOGS, "dest": subjects.live(subjects.ALL_LOGS)},
        "compression": "s2",
        "max_age": nanoseconds(settings.log_max_age_days * _DAY_S),
    }


def dispatch_config(settings: StreamSettings) -> dict[str, Any]:
    """DISPATCH, in memory: what it holds is worthless after seconds, and the scheduler offers again."""
    return {
        **_base(subjects.DISPATCH_STREAM, [subjects.ALL_DISPATCH]),
        "storage": "memory",
        "retention": "workqueue",
        "max_age": nanoseconds(settings.dispatch_max_age_s),
        "duplicate_window": nanoseconds(min(settings.duplicate_window_s, settings.dispatch_max_age_s)),
    }


def _key_value(bucket: str) -> dict[str, Any]:
    config = {
        **_base(key_value_stream(bucket), [f"$KV.{bucket}.>"]),
        "max_msgs_per_subject": 1,
        "discard": "new",
        "deny_delete": True,
        "allow_rollup_hdrs": True,
    }
    if bucket == subjects.LEASES_BUCKET:
        config["allow_msg_ttl"] = True
    return config


def _object_bucket(bucket: str) -> dict[str, Any]:
    return {
        **_base(object_stream(bucket), [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"]),
        "discard": "new",
        "allow_rollup_hdrs": True,
    }


def _base(name: str, stream_subjects: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": stream_subjects,
        "storage": "file",
        "retention": "limits",
        "allow_direct": True,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
    }
