"""`vulcan up`."""

from pathlib import Path

from vulcan_cli.errors import CliError, report


def up(*, data_dir: Path | None = None, listen: str | None = None, no_sample: bool = False, json: bool = False) -> int:
    """Start Vulcan on this machine: event log, database, gateway, scheduler, executors. Ctrl-C stops all.

    Args:
        data_dir: Where it keeps everything; without it VULCAN_DATA_DIR, then ~/.local/share/vulcan.
        listen: The address to serve on; without it VULCAN_LISTEN, then 127.0.0.1:8080.
        no_sample: Do not run a sample on every backend after the start.
        json: Say as JSON on stderr that it failed.
    """
    try:
        from vulcan_local.up import run
    except ModuleNotFoundError as error:
        raise CliError(
            f"the stack is not installed with this command: {error.name} is missing",
            hint="Install all of Vulcan, or point VULCAN_URL at one that runs.",
        ) from error
    code = run(data_dir=data_dir, listen=listen, sample=False if no_sample else None)
    if json and code:
        report(CliError("the stack did not start or stopped by itself; its output says why"), as_json=True)
    return code
