"""Every accepted workload ended once and only once, by a legal way, and nothing is on the log that nobody asked for."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from chaos.records import Attempt, Event, Submitted
from vulcan_contracts import subjects
from vulcan_contracts.errors import CorruptLog
from vulcan_contracts.events import TERMINAL_TYPES, Completed, Failed, Killed, Retrying, decode_data
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.workload import Workload, evolve

_LOST: Final = "executor_lost"
_LEGAL: Final = {
    "pending": {"scheduled", "started", "failed", "killed"},
    "running": {"retrying", "kill_requested", "completed", "failed", "killed"},
    "completed": {"deleted"},
    "failed": {"deleted"},
    "killed": {"deleted"},
}


class Histories:
    """The events of each workload, folded; `states` has those whose log is whole."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events: dict[str, list[Event]] = defaultdict(list)
        self.states: dict[str, Workload] = {}
        self.attempts: dict[str, list[Attempt]] = {}
        self.broken: list[str] = []
        for event in events:
            self.events[event.envelope.workload_id].append(event)
        for workload_id, own in self.events.items():
            self._fold(workload_id, own)

    def _fold(self, workload_id: str, events: list[Event]) -> None:
        state: Workload | None = None
        attempts: list[Attempt] = []
        last_line = 0
        for event in events:
            envelope = event.envelope
            data = decode_data(envelope)
            wrong = None if state is None else _illegal(state, event)
            if wrong is not None:
                self.broken.append(f"{workload_id}: event {event.seq} ({envelope.type}): {wrong}")
                return
            outcome = _outcome(data)
            if state is not None and outcome is not None:
                attempts.append(
                    Attempt(
                        number=state.attempt,
                        first=last_line + 1,
                        last=outcome.last_line,
                        end=envelope.type,
                        reason=outcome.reason,
                        incarnation=state.incarnation if state.state == "running" else None,
                    )
                )
                last_line = outcome.last_line
            try:
                state = evolve(state, envelope, data)
            except CorruptLog as error:
                self.broken.append(f"event {event.seq}: {error}")
                return
        if state is not None:
            self.states[workload_id] = state
            self.attempts[workload_id] = attempts


def _illegal(state: Workload, event: Event) -> str | None:
    """Why the event may not come in this state; `evolve` checks no more than the order."""
    envelope = event.envelope
    if envelope.type not in _LEGAL[state.state]:
        return f"comes when it is {state.state}"
    if envelope.attempt != state.attempt:
        return f"is of attempt {envelope.attempt} while {state.attempt} goes on"
    data = decode_data(envelope)
    if envelope.type == "started":
        held = (getattr(data, "node", None), getattr(data, "incarnation", None))
        if held != (state.node, state.incarnation):
            return f"by {held}, but it was given to {(state.node, state.incarnation)}"
    if isinstance(data, Retrying) and data.next_attempt != state.attempt + 1:
        return f"goes from attempt {state.attempt} to {data.next_attempt}"
    return None


def _outcome(data: object) -> Outcome | None:
    return data.outcome if isinstance(data, Completed | Failed | Killed | Retrying) else None


def violations(submitted: Mapping[str, Submitted], events: Sequence[Event], host_died: Collection[str]) -> list[str]:
    """What is wrong with the event log as a whole and with each workload's part of it. host_died: reasons."""
    histories = Histories(events)
    return [
        *_stream(events),
        *histories.broken,
        *(f"{name}: was accepted and is not on the log" for name in submitted if name not in histories.events),
        *(f"{name}: is on the log and nobody submitted it" for name in histories.events if name not in submitted),
        *(wrong for name in histories.states for wrong in _ending(name, histories, submitted, {*host_died, _LOST})),
    ]


def _stream(events: Sequence[Event]) -> list[str]:
    found: list[str] = []
    ids: dict[str, int] = {}
    for place, event in enumerate(events, 1):
        envelope = event.envelope
        if event.seq != place:
            found.append(f"event {place} is missing from the stream, {event.seq} comes in its place")
            break
        if envelope.id in ids:
            found.append(f"{envelope.workload_id}: event {event.seq} is the same as {ids[envelope.id]}")
        ids[envelope.id] = event.seq
        if event.subject != subjects.event(envelope.tenant, envelope.workload_id, envelope.type):
            found.append(f"{envelope.workload_id}: event {event.seq} ({envelope.type}) lies under {event.subject}")
    return found


def _ending(name: str, histories: Histories, submitted: Mapping[str, Submitted], excuses: Collection[str]) -> list[str]:
    state = histories.states[name]
    ends = [event.seq for event in histories.events[name] if event.envelope.type in TERMINAL_TYPES]
    if len(ends) != 1:
        return [f"{name}: ended {len(ends)} times, by events {ends} (it is {state.state})"]
    return _explained(state, histories.attempts[name], submitted[name], excuses) if name in submitted else []


def _explained(state: Workload, attempts: Sequence[Attempt], known: Submitted, excuses: Collection[str]) -> list[str]:
    """Only the end of a process excuses an end other than by the program's own, and only as often as was agreed."""
    found: list[str] = []
    name = known.id
    for attempt in attempts:
        if attempt.end in ("retrying", "failed") and attempt.reason not in excuses:
            found.append(f"{name}: attempt {attempt.number} ended by {attempt.reason}, which nothing explains")
        if attempt.end == "retrying" and attempt.number >= known.job.attempts:
            found.append(f"{name}: attempt {attempt.number} of at most {known.job.attempts} is tried again")
    if state.state == "failed" and state.attempt < known.job.attempts and not state.kill_requested:
        found.append(f"{name}: failed in attempt {state.attempt}, although {known.job.attempts} were to be made")
    if state.state == "killed" and not known.kill_asked:
        found.append(f"{name}: was killed and nobody asked for it")
    return found
