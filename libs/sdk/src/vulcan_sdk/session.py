"""What both clients do beyond a single call: run to the end, wait, follow, walk pages, download. No input or output."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from vulcan_contracts.views import LogPage, WorkloadView
from vulcan_sdk import api
from vulcan_sdk.errors import ApiError, ConnectError, DeadlineError
from vulcan_sdk.exchange import exchange, refuse_redirect, unreachable
from vulcan_sdk.filters import ALL_LINES, LineFilter, WorkloadFilter
from vulcan_sdk.follow import Cursor, EventCursor, Follower, LogCursor
from vulcan_sdk.retry import RetryPolicy, worth_retrying
from vulcan_sdk.wire import Call, Close, Emit, Flow, Open, Params, Read, Request, Response, Sleep, error_of
from vulcan_sdk.work import Work

T = TypeVar("T")

PAGE: Final = 1000
ENDED: Final = frozenset({"completed", "failed", "killed"})


class Session(Struct, kw_only=True):
    """Where to send, and how patiently. `met` once the server has answered.

    timeout_s: for each call with all its retries; a call on which the server waits on purpose adds that time.
    idle_timeout_s: how long a stream may be silent before it counts as lost; the server sends signs of life.
    sync_wait_s: how long one request waits for a run to end before the client follows its events instead.
    """

    base_url: str
    timeout_s: float = 30.0
    idle_timeout_s: float = 45.0
    sync_wait_s: float = 30.0
    policy: RetryPolicy = RetryPolicy()
    met: bool = False

    def call(self, call: Call[T]) -> Flow[T]:
        """One call with its retries."""
        answer = yield from exchange(
            call, base_url=self.base_url, timeout_s=self.timeout_s, policy=self.policy, met=self.met
        )
        self.met = True
        return answer

    def run(self, work: Work, *, idempotency_key: str | None, timeout_s: float | None) -> Flow[WorkloadView]:
        """Submit and wait for the end."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        wait_s = self.sync_wait_s if timeout_s is None else min(self.sync_wait_s, timeout_s)
        view = yield from self.call(api.submit(work, wait_s=wait_s, idempotency_key=idempotency_key))
        if view.state in ENDED:
            return view
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        return (yield from self.wait(view.id, timeout_s=left_s))

    def wait(self, workload_id: str, *, timeout_s: float | None) -> Flow[WorkloadView]:
        """Follow the workload's events to its end; answers it as it then is."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        path = api.workload_path(workload_id, "events")
        yield from self.follow(EventCursor(), path, {}, deadline=deadline)
        return (yield from self.call(api.get(workload_id)))

    def follow(
        self,
        cursor: Cursor[Any],
        path: str,
        params: Params,
        *,
        at_first: Params | None = None,
        deadline: float | None = None,
    ) -> Flow[None]:
        """Emits the items of a stream until it is finished; `at_first` is asked for while nothing was seen yet."""

        def request(position: str | None) -> Request:
            return api.event_stream(path, params | (at_first or {}) if position is None else params, position)

        follower = Follower(
            cursor,
            request,
            base_url=self.base_url,
            timeout_s=self.timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            policy=self.policy,
            met=self.met,
            deadline=deadline,
        )
        return follower.run()

    def follow_logs(self, workload_id: str, where: LineFilter, *, after: int, tail: int | None) -> Flow[None]:
        """Emits log lines, past and live, until the workload has ended."""
        cursor = LogCursor(after=after if tail is None else None, contiguous=where == ALL_LINES)
        path, params = api.workload_path(workload_id, "logs"), where.params()
        return self.follow(cursor, path, params, at_first=api.present(tail=tail))

    def follow_events(self, workload_id: str, *, after: int | None) -> Flow[None]:
        """Emits a workload's events until its end."""
        return self.follow(EventCursor(after=after), api.workload_path(workload_id, "events"), {})

    def follow_all_events(self, *, after: int | None, types: Sequence[str]) -> Flow[None]:
        """Emits the events of all the tenant's workloads, for ever; from now on, or those after `after` first."""
        return self.follow(EventCursor(after=after), "/v1/events", {"type": list(types)} if types else {})

    def workloads(self, where: WorkloadFilter, *, page: int | None) -> Flow[None]:
        """Emits workloads, newest first."""
        return self.pages(lambda cursor: api.workloads(where, limit=page, cursor=cursor))

    def log_pages(self, workload_id: str, where: LineFilter, *, after: int, tail: int | None) -> Flow[None]:
        """Emits the log lines that there are now."""

        def page(cursor: str | None) -> Call[LogPage]:
            if cursor is None:
                return api.logs(workload_id, where, after=after, limit=PAGE, tail=tail)
            return api.logs(workload_id, where, after=int(cursor), limit=PAGE)

        return self.pages(page)

    def pages(self, page: Callable[[str | None], Call[Any]]) -> Flow[None]:
        """Emits the items of a list, page after page."""
        cursor: str | None = None
        while True:
            answer = yield from self.call(page(cursor))
            yield from _emit(answer.items)
            cursor = answer.next_cursor
            if not answer.has_more or cursor is None:
                return

    def download(self, request: Request) -> Flow[None]:
        """Emits the bytes of an answer. Once some were handed out it cannot start over: then a loss is an error."""
        deadline = time.monotonic() + self.timeout_s
        failures = 0
        while True:
            reply = yield Open(request, self.timeout_s, self.idle_timeout_s)
            if isinstance(reply, Response) and reply.status < 400:
                refuse_redirect(reply, self.base_url)
                yield from self._bytes()
                return
            failures += 1
            error: ApiError | ConnectError
            if isinstance(reply, Response):
                error = error_of(reply)
                again = worth_retrying(error)
            else:
                error = unreachable(self.base_url, reply)
                again = not reply.untrusted
            delay_s = self.policy.delay_s(failures)
            if not again or failures >= self.policy.max_attempts or time.monotonic() + delay_s > deadline:
                raise error
            yield Sleep(delay_s)

    def _bytes(self) -> Flow[None]:
        while (chunk := (yield Read())) is not None:
            if not isinstance(chunk, bytes):
                if chunk.timed_out:
                    raise DeadlineError(f"{self.base_url} stopped sending", hint="Try again.")
                raise unreachable(self.base_url, chunk)
            yield Emit(chunk)
        yield Close()


def _emit(items: Iterable[Any]) -> Flow[None]:
    for item in items:
        yield Emit(item)
