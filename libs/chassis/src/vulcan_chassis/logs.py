"""Structured logs on stderr: a JSON object a line, or coloured text on a terminal.

Every record carries service, level, time, and where known trace_id, request_id and workload_id; what a task binds with
`bind` goes with every record of that task and of the tasks it starts. Records of the standard library's logging (of
uvicorn, nats, asyncio) come out in the same form.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from vulcan_chassis import tracing
from vulcan_chassis.log_stream import LogStream

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

_BOUND: Final[ContextVar[Mapping[str, Any]]] = ContextVar("vulcan_bound", default=MappingProxyType({}))

_CHATTY = {"uvicorn.error": logging.WARNING, "nats": logging.WARNING, "asyncio": logging.WARNING}


def configure(
    service: str, *, level: LogLevel = "info", log_format: LogFormat = "auto", stream: TextIO | None = None
) -> None:
    """Set up logging for this process. `auto` means text if `stream` (stderr) is a terminal."""
    out = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and out.isatty())
    lines = LogStream(out)
    minimum = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _fill(service),
        structlog.stdlib.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    ending: list[Processor]
    if as_text:
        ending = [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(),
                timestamp_key="time",
                # Never with local variables: they hold what must not be logged.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    else:
        ending = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.basicConfig(handlers=[handler], level=minimum, force=True)
    for name, floor in _CHATTY.items():
        logging.getLogger(name).setLevel(max(minimum, floor))
    logging.captureWarnings(capture=True)


def get(**bound: Any) -> FilteringBoundLogger:
    """A logger; what is given here goes with its every record."""
    return cast("FilteringBoundLogger", structlog.get_logger(**bound))


def bind(**values: Any) -> AbstractContextManager[Mapping[str, Any]]:
    """While the block runs, every record of this task carries these values, as in `bind(workload_id=id)`."""
    return _Bound(values)


class _Bound(AbstractContextManager[Mapping[str, Any]]):
    """All that is bound is one context variable: structlog's own, one for each name, are slow to set and to read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._before: Token[Mapping[str, Any]] | None = None

    def __enter__(self) -> Mapping[str, Any]:
        bound = {**_BOUND.get(), **self._values}
        self._before = _BOUND.set(bound)
        return bound

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            _BOUND.reset(self._before)


def _json(record: Any, **_: Any) -> str:
    return msgspec.json.encode(record, enc_hook=str).decode("utf-8", "replace")


def _fill(service: str) -> Processor:
    """What every record has beside what it says. In one step: a record is written for every submit."""

    def fill(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in _BOUND.get().items():
            record.setdefault(name, value)
        record["service"] = service
        trace_id = tracing.current_trace_id()
        if trace_id is not None:
            record["trace_id"] = trace_id
        record["time"] = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return record

    return fill


def _add_logger_name(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    origin = record.get("_record")
    if origin is not None:
        record["logger"] = origin.name
    return record
