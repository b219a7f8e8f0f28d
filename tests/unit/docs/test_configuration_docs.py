"""docs/configuration.md lists every setting of every service with its default, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import NODEFAULT, Struct

from vulcan_chassis.service import ServiceSettings
from vulcan_chassis.settings import variables
from vulcan_eventstore.connection import NatsSettings
from vulcan_eventstore.streams import StreamSettings
from vulcan_executor_v8.wiring import ExecutorV8Settings
from vulcan_gateway.settings import GatewaySettings
from vulcan_local.settings import LocalSettings
from vulcan_logstore.settings import LogstoreSettings
from vulcan_scheduler.settings import SchedulerSettings

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


class Shared(Struct):
    """What the services that speak to NATS have in common."""

    nats: NatsSettings = NatsSettings()
    streams: StreamSettings = StreamSettings()


SECTIONS: dict[str, type[Struct]] = {
    "Every service": ServiceSettings,
    "NATS": Shared,
    "Gateway": GatewaySettings,
    "Scheduler": SchedulerSettings,
    "Logstore": LogstoreSettings,
    "V8 executor": ExecutorV8Settings,
    "The stack on one machine": LocalSettings,
}


def settings_of(section: str) -> Iterator[tuple[str, str]]:
    """Each variable with its default as the document writes it; those of NATS have a section of their own."""
    shared = {name for name, _ in variables(Shared)} if section != "NATS" else set()
    for name, field in variables(SECTIONS[section]):
        if name not in shared or section == "The stack on one machine":
            default = field.default_factory() if field.default_factory is not NODEFAULT else field.default
            yield name, shown(default)


def shown(default: Any) -> str:
    if default is NODEFAULT:
        return "needed"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    if isinstance(default, Path):
        return str(default).replace(str(Path.home()), "~")
    return "" if default is None else str(default)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_table_is_complete_and_true(section: str) -> None:
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/configuration.md has no section {section}"
    lines = re.findall(r"^\| (`VULCAN_.*) \|$", found[1], re.MULTILINE)
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in lines]
    assert [(name, default) for name, default, _ in rows] == list(settings_of(section))
    assert [name for name, _, what in rows if not what] == [], "what is it for?"
