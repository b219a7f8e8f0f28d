"""`vulcan up`: start the stack, show that it works, keep it running until Ctrl-C or SIGTERM."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
import sysconfig
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from vulcan_chassis.settings import SettingsError, load
from vulcan_local.console import Console
from vulcan_local.datadir import DataDir
from vulcan_local.errors import NO_ROOM, LocalError, StartFailedError
from vulcan_local.orphans import adopt_orphans, reap_orphans
from vulcan_local.settings import LocalSettings
from vulcan_local.stack import Stack

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


def run(
    *,
    data_dir: Path | None = None,
    listen: str | None = None,
    sample: bool | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run the embedded stack until a signal; gives the process's exit code. Call it in the main thread.

    Args:
        data_dir: in place of VULCAN_DATA_DIR.
        listen: in place of VULCAN_LISTEN.
        sample: whether to run the sample programs after the start; in place of VULCAN_SAMPLE.
        environ: in place of the process's environment.
    """
    begun = time.monotonic()
    env = dict(os.environ if environ is None else environ)
    try:
        settings = load(LocalSettings, env)
    except SettingsError as error:
        sys.stderr.writelines(f"vulcan up: {problem}\n" for problem in error.problems)
        return EXIT_SETTINGS
    settings = replace(
        settings,
        data_dir=settings.data_dir if data_dir is None else data_dir.expanduser(),
        listen=settings.listen if listen is None else listen,
        sample=settings.sample if sample is None else sample,
    )
    console = Console(sys.stdout)
    try:
        data = DataDir.open(settings.data_dir)
        holder = f"process {os.getpid()}, for {settings.listen}, since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
        with data.lock(holder), asyncio.Runner() as runner:
            return runner.run(_main(settings, data, console, env, begun))
    except LocalError as error:
        console.say(_told(error))
        return EXIT_FAILED
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        console.say(f"vulcan up: {error}\nMake room on the disk of {settings.data_dir} and start it again.")
        return EXIT_FAILED
    finally:
        console.close()


async def _main(settings: LocalSettings, data: DataDir, console: Console, env: Mapping[str, str], begun: float) -> int:
    console.say(f"Vulcan {version('vulcan-local')}, data in {data.root}")
    adopt_orphans()
    stack = Stack(settings, data, console, env)
    asked = _stop_on_signals(stack, console)
    reaping = asyncio.create_task(reap_orphans(), name="reap orphans")
    serving = asyncio.create_task(_serve(stack, settings, data, console, begun), name="serve")
    stopping = asyncio.create_task(asked.wait(), name="asked to stop")
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ended = serving.exception() if serving.done() else None
        failure = None if asked.is_set() else ended
        serving.cancel()
        await asyncio.wait({serving})
        if failure is not None:
            console.say("\nsomething failed; stopping what runs, the reason follows\n")
    finally:
        reaping.cancel()
        stopping.cancel()
        await stack.stop()
    if failure is None:
        console.say("all stopped; the data stays")
        return 0
    if isinstance(failure, LocalError):
        console.say(f"\n{_told(failure)}")
        return EXIT_FAILED
    raise failure


async def _serve(stack: Stack, settings: LocalSettings, data: DataDir, console: Console, begun: float) -> None:
    await stack.start()
    console.say(f"\nVulcan is ready, {time.monotonic() - begun:.1f} s after the start.\n")
    if settings.sample:
        # Imported where needed: the HTTP client and the tables would hold the services' start up by 0.3 s.
        from vulcan_local.sample import show_samples

        await show_samples(stack.url, data.admin_key, console)
    console.say(_welcome(stack.url, data))
    await stack.watch()


def _welcome(url: str, data: DataDir) -> str:
    command = _command()
    return "\n".join(
        [
            f"address    {url}",
            f"admin key  in {data.admin_key} (the vulcan command finds it by itself)",
            f"logs       in {data.logs}",
            "",
            "try, in another terminal:",
            f"  {command} run -e \"console.log('hello', 6 * 7)\"",
            f"  {command} ls",
            f"  {command} backends",
            f'  curl -H "Authorization: Bearer $(cat {shlex.quote(str(data.admin_key))})" {url}/v1/workloads',
            "",
            "Ctrl-C stops everything; the next start finds all data again.",
            "",
        ]
    )


def _command() -> str:
    installed = Path(sysconfig.get_path("scripts")) / "vulcan"
    found = shutil.which("vulcan")
    if found is not None and Path(found).resolve() == installed.resolve():
        return "vulcan"
    try:
        return str(installed.relative_to(Path.cwd()))
    except ValueError:
        return str(installed)


def _stop_on_signals(stack: Stack, console: Console) -> asyncio.Event:
    asked = asyncio.Event()

    def received() -> None:
        if asked.is_set():
            console.say("not waiting any longer")
            stack.kill()
            return
        console.say("\nstopping; once more to stop at once")
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, received)
    return asked


def _told(error: LocalError) -> str:
    tail = error.tail if isinstance(error, StartFailedError) else ""
    parts = [f"vulcan up: {error}", error.hint]
    if tail:
        parts.insert(1, "\n".join(f"    {line}" for line in tail.splitlines()))
    return "\n".join(part for part in parts if part)
