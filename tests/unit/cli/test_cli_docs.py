"""The documents know every command, option and exit code."""

import re
from pathlib import Path

import pytest
from cyclopts import App

from vulcan_cli import exits
from vulcan_cli.app import app

CLI = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
SDK = (Path(__file__).parents[3] / "docs" / "sdk.md").read_text("utf-8")
EVERYWHERE = {"--json", "--url", "--verbose", "-v"}


def commands(parent: App, prefix: str = "") -> list[tuple[str, App]]:
    found = []
    for name in parent:
        if not name.startswith("-"):
            command = parent[name]
            found += [(f"{prefix}{name}", command), *commands(command, f"{prefix}{name} ")]
    return found


@pytest.mark.parametrize(("name", "command"), commands(app))
def test_the_command_and_its_options_are_described(name: str, command: App) -> None:
    sections = re.split(r"^## ", CLI, flags=re.MULTILINE)
    section = next((s for s in sections if re.match(rf"(.*, )?vulcan {name.split()[0]}\b", s)), "")
    assert section, f"docs/cli.md has no section for vulcan {name}"
    assert name in section
    if command.default_command is None:
        return
    for argument in command.assemble_argument_collection():
        for option in set(argument.names) - set(argument.negatives):
            if option.startswith("-") and option not in EVERYWHERE:
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", section), f"vulcan {name} {option} is not described"


def test_the_exit_codes_are_described() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", CLI, flags=re.MULTILINE)}
    assert described == codes


def test_the_calls_are_described() -> None:
    from vulcan_sdk import AsyncVulcan, Vulcan

    public = {name for name in vars(Vulcan) if not name.startswith("_")} - {"close"}
    assert {name for name in public if f"{name}(" not in SDK} == set()
    assert public == {name for name in vars(AsyncVulcan) if not name.startswith("_")} - {"close"}
