"""A true story for the chaos verifiers, made by the contracts' own rules; tests falsify it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from chaos.plan import Job
from chaos.records import Batch, Event, Submitted
from vulcan_contracts import commands, subjects
from vulcan_contracts.decisions import decide
from vulcan_contracts.events import Envelope, encode_data, type_name
from vulcan_contracts.logs import LogBatch, LogLine, Stream
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import InlineSource, Retry, Spec
from vulcan_contracts.workload import Workload, evolve

TENANT = "default"
NODE = "here-v8"
FIRST, SECOND = "in_1", "in_2"
"""Two lives of the executor."""
PLAIN, RETRIED, KILLED = "wl_plain", "wl_retried", "wl_killed"
_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """Three workloads: one that completes, one whose first executor is lost, one that is killed on request."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches: list[Batch] = []
        self.submitted: dict[str, Submitted] = {}
        self._states: dict[str, Workload] = {}
        self._lines: dict[str, int] = {}
        for name, attempts in ((PLAIN, 1), (RETRIED, 2), (KILLED, 1)):
            self.submit(name, attempts)
        for name in (PLAIN, RETRIED, KILLED):
            self.begin(name, FIRST)
        self.print(PLAIN, [("stdout", 1), ("stdout", 2)], "aaaaaaaa")
        self.print(RETRIED, [("stdout", 1), ("stderr", 1)], "bbbbbbbb")
        self.print(PLAIN, [("stdout", 3), ("stderr", 1)], "aaaaaaaa")
        self.end(PLAIN, FIRST, None)
        self.print(KILLED, [("stdout", 1)], "cccccccc")
        self.command(KILLED, commands.RequestKill())
        self.end(KILLED, FIRST, Reason.KILLED_BY_USER)
        self.seal(RETRIED)
        self.lose(RETRIED, FIRST)
        self.begin(RETRIED, SECOND)
        self.print(RETRIED, [("stdout", 1), ("stdout", 2), ("stdout", 3), ("stderr", 1)], "dddddddd")
        self.end(RETRIED, SECOND, None)

    def submit(self, name: str, attempts: int) -> None:
        """A workload that prints 3 lines to stdout and 1 to stderr."""
        job = Job(key=name, out=3, err=1, pad=2, pause_ms=0, attempts=attempts, way="wait")
        self.submitted[name] = Submitted(id=name, job=job, kill_asked=name == KILLED)
        spec = Spec(source=InlineSource(code=job.code), runtime="javascript", retry=Retry(max_attempts=attempts))
        self.command(name, commands.Submit(spec=spec, fingerprint=name))

    def begin_new(self, name: str, incarnation: str = FIRST) -> None:
        """One more workload, which has printed one line."""
        self.submit(name, 1)
        self.begin(name, incarnation)
        self.print(name, [("stdout", 1)], f"{len(self.submitted):08x}")

    def begin(self, name: str, incarnation: str) -> None:
        """Schedule and start the next attempt."""
        where = {"node": NODE, "incarnation": incarnation}
        self.command(name, commands.Schedule(isolation="v8", isolation_reason="the only one", **where))
        self.command(name, commands.Start(attempt=self._states[name].attempt, **where))

    def end(self, name: str, incarnation: str, reason: Reason | None) -> None:
        """End the attempt with all lines that there are."""
        outcome = Outcome(reason=reason, last_line=self._lines.get(name, 0))
        attempt = self._states[name].attempt
        end = commands.End(node=NODE, incarnation=incarnation, attempt=attempt, outcome=outcome, at=_TIME)
        self.command(name, end)

    def lose(self, name: str, incarnation: str) -> None:
        """The attempt is over with its executor."""
        attempt, last = self._states[name].attempt, self._lines[name]
        self.command(
            name,
            commands.LoseExecutor(node=NODE, incarnation=incarnation, attempt=attempt, at=_TIME, last_line=last),
        )

    def seal(self, name: str) -> None:
        """The scheduler's last line of a lost attempt."""
        text = f"Node {NODE} stopped answering; attempt {self._states[name].attempt} is over."
        self.write(name, [("system", text)])

    def print(self, name: str, numbers: list[tuple[Stream, int]], run: str) -> None:
        """Lines as the program prints them, in one batch."""
        words = {"stdout": "out", "stderr": "err"}
        pad = "x" * self.submitted[name].job.pad
        self.write(name, [(stream, f"{words[stream]} {run} {number} {pad}") for stream, number in numbers])

    def write(self, name: str, lines: list[tuple[Stream, str]]) -> None:
        """One batch of lines."""
        last = self._lines.get(name, 0)
        self._lines[name] = last + len(lines)
        batch = LogBatch(
            workload_id=name,
            tenant=TENANT,
            attempt=self._states[name].attempt,
            lines=[
                LogLine(seq=last + place, time=_TIME, stream=stream, text=text)
                for place, (stream, text) in enumerate(lines, 1)
            ],
        )
        self.batches.append(Batch(len(self.batches) + 1, subjects.log(TENANT, name), batch))

    def command(self, name: str, command: commands.Command) -> None:
        """What the command causes."""
        state = self._states.get(name)
        data = decide(state, command)
        assert data is not None
        seq = len(self.events) + 1
        envelope = Envelope(
            id=f"ev_{seq}",
            type=type_name(data),
            workload_id=name,
            tenant=TENANT,
            actor="test",
            time=_TIME + timedelta(seconds=seq),
            version=1 if state is None else state.version + 1,
            attempt=1 if state is None else state.attempt,
            data=encode_data(data),
        )
        self._states[name] = evolve(state, envelope, data)
        self.events.append(Event(seq, subjects.event(TENANT, name, envelope.type), envelope))

    # Falsified.

    def without(self, name: str, event_type: str) -> list[Event]:
        """The events without one, as if it had never been."""
        found = next(e for e in self.events if (e.envelope.workload_id, e.envelope.type) == (name, event_type))
        return [Event(e.seq - (e.seq > found.seq), *e[1:]) for e in self.events if e is not found]

    def again(self, name: str, event_type: str) -> list[Event]:
        """The events with one of them once more at the end, as its writer would append it a second time."""
        found = [e for e in self.events if e.envelope.workload_id == name]
        twice = next(e for e in found if e.envelope.type == event_type)
        envelope = replace(twice.envelope, id="ev_again", version=len(found) + 1)
        return [*self.events, Event(len(self.events) + 1, twice.subject, envelope)]

    def changed(self, name: str, line: int, change: Callable[[LogLine], list[LogLine]]) -> list[Batch]:
        """The batches with something else in the place of one line."""
        found = []
        for stored in self.batches:
            lines = [
                new
                for each in stored.batch.lines
                for new in (change(each) if (stored.batch.workload_id, each.seq) == (name, line) else [each])
            ]
            found.append(stored._replace(batch=replace(stored.batch, lines=lines)))
        return found
