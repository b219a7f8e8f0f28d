"""The commands by name. Each is imported when it is used, so that no command pays for another."""

from importlib.metadata import version
from typing import Final

from cyclopts import App, Group, Parameter

_RUN: Final = Group("Run", sort_key=1)
_LOOK: Final = Group("Look", sort_key=2)
_MANAGE: Final = Group("Manage", sort_key=3)
_HERE: Final = Group("This machine", sort_key=4)
_OPTIONS: Final = Group("Options", sort_key=5)

_EXIT_CODES: Final = """

Exits with the workload's own code; 124: timed out; 137: killed or out of memory; 152: CPU limit; 153: output, disk or
process limit; 126: cannot be run as it is; 125: Vulcan itself failed; 130: Ctrl-C, which kills the workload."""

app = App(
    name="vulcan",
    help="Run code that nobody trusts, in the isolation that fits.",
    help_format="plaintext",  # the list of commands needs no more, and a Markdown renderer takes 0.4 s to import
    version=lambda: version("vulcan-cli"),
    version_flags=["--version"],
    default_parameter=Parameter(negative=(), show_default=False),
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)

for _name, _where, _group, _help in (
    ("run", "run:run", _RUN, "Run code, a file, a folder, an archive or an image." + _EXIT_CODES),
    ("replay", "replay:replay", _RUN, "Run a workload's spec again."),
    ("kill", "kill:kill", _RUN, "Kill workloads."),
    ("rm", "kill:rm", _RUN, "Kill workloads if needed, and hide them from lists."),
    ("status", "status:status", _LOOK, "Show one workload."),
    ("ls", "ls:ls", _LOOK, "List workloads, newest first."),
    ("logs", "logs:logs", _LOOK, "Print what a workload printed."),
    ("events", "events:events", _LOOK, "Show what happened to a workload, or to all as it happens."),
    ("artifacts", "artifacts:artifacts", _LOOK, "List or download the files that a workload left."),
    ("stats", "stats:stats", _LOOK, "Show counts and timings of each backend."),
    ("backends", "backends:backends", _MANAGE, "Show which isolations work, and what is missing where one does not."),
    ("nodes", "nodes:app", _MANAGE, "List the executors; drain one."),
    ("keys", "keys:app", _MANAGE, "Create, list and revoke API keys."),
    ("tenants", "tenants:app", _MANAGE, "List tenants and set their quotas."),
    ("admin", "admin:app", _MANAGE, "Upkeep."),
    ("up", "up:up", _HERE, "Start Vulcan on this machine."),
    ("doctor", "doctor:doctor", _HERE, "Check that everything is in place, and say what to do where not."),
    ("completion", "completion:completion", _HERE, "Print the completion script for a shell."),
):
    app.command(
        f"vulcan_cli.commands.{_where}",
        name=_name,
        group=_group,
        help=_help,
        **({} if _where.endswith(":app") else {"help_format": "markdown"}),
    )

for _flag in ("--help", "--version"):
    app[_flag].group = _OPTIONS
