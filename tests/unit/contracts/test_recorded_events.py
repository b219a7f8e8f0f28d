"""What any release wrote, this one still reads: the recorded events fold to the recorded states."""

from pathlib import Path

import msgspec
import pytest

from vulcan_contracts.events import EVENT_TYPES, Recorded, decode_envelope
from vulcan_contracts.workload import Workload, fold

FOLDER = Path(__file__).parents[2] / "fixtures" / "events"
RECORDINGS = sorted(FOLDER.glob("v*/*.jsonl"))


def load(path: Path) -> list[Recorded]:
    lines = path.read_bytes().splitlines()
    return [Recorded(seq=seq, envelope=decode_envelope(line)) for seq, line in enumerate(lines, start=1)]


def test_there_are_recordings_of_every_type() -> None:
    types = {recorded.envelope.type for path in RECORDINGS for recorded in load(path)}
    assert types == set(EVENT_TYPES)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_folds_to_the_recorded_state(path: Path) -> None:
    expected = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Workload)
    assert fold(load(path)) == expected


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_later_releases_fields_and_types_are_passed_over(path: Path) -> None:
    lines = []
    for line in path.read_bytes().splitlines():
        plain = msgspec.json.decode(line)
        plain["of_the_future"] = {"x": 1}
        plain["data"]["of_the_future"] = [1, 2]
        lines.append(plain)
    stranger = {**lines[-1], "type": "hibernated", "version": len(lines) + 1, "data": {"why": "it was late"}}
    lines.append(stranger)
    events = [
        Recorded(seq=seq, envelope=decode_envelope(msgspec.json.encode(plain)))
        for seq, plain in enumerate(lines, start=1)
    ]
    expected = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Workload)
    assert fold(events) == msgspec.structs.replace(expected, version=expected.version + 1)
