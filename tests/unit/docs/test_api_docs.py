"""docs/api.md knows every problem code and every field of a spec."""

import re
from pathlib import Path

import msgspec

from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Spec
from vulcan_gateway.domain.refusals import STATUS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")


def test_the_problem_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| .+ \|$", DOCUMENT, re.MULTILINE)
    before_a_request = {"header_too_large": 431}
    assert {code: int(status) for code, status in rows} == {**STATUS, **before_a_request}


def test_the_fields_of_a_spec() -> None:
    section = DOCUMENT.split("### The spec\n")[1].split("\n##")[0]
    first_cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == {field.name for field in msgspec.structs.fields(Spec)}


def test_the_reasons() -> None:
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in DOCUMENT] == []
