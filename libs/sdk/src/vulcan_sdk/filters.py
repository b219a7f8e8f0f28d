"""What to look for in lists and logs. Fields that are None do not filter."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from vulcan_contracts.logs import Stream
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend, Isolation, Runtime
from vulcan_contracts.workload import State
from vulcan_sdk.wire import Params


class WorkloadFilter(Struct, frozen=True, kw_only=True):
    """Which workloads. `isolation` is what was asked for, `backend` what it became; of several labels one has all.

    `text` is looked for in ids, labels and messages.
    """

    state: State | None = None
    reason: Reason | None = None
    isolation: Isolation | None = None
    backend: Backend | None = None
    runtime: Runtime | None = None
    labels: dict[str, str] = {}
    text: str | None = None
    submitted_after: datetime | None = None
    submitted_before: datetime | None = None

    def params(self) -> Params:
        """As query parameters."""
        found: Params = {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name in self.__struct_fields__
            if name != "labels" and (value := getattr(self, name)) is not None
        }
        if self.labels:
            found["label"] = [f"{name}={value}" for name, value in self.labels.items()]
        return found


class LineFilter(Struct, frozen=True, kw_only=True):
    """Which log lines: of one stream, that hold a text, from a time on."""

    stream: Stream | None = None
    search: str | None = None
    since: datetime | None = None

    def params(self) -> Params:
        """As query parameters."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        }


ALL_WORKLOADS: Final = WorkloadFilter()
ALL_LINES: Final = LineFilter()
