"""`make chaos`: kill processes at random under load, then see whether everything held."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from chaos.run import Chaos, ChaosFailedError, Options

_INTERRUPTED = 130


def main() -> int:
    """The command: 0 if everything held, 1 if not, 130 after Ctrl-C."""
    # In the background of a shell script it would be ignored, and so by every program that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="vulcan-chaos-"))
    begun = time.monotonic()

    def say(text: str) -> None:
        _write(f"{time.monotonic() - begun:6.1f} s  {text}")

    say(f"seed {options.seed}: {options.kills} kills, {options.clients} clients, in {folder}")
    try:
        summary = asyncio.run(Chaos(options=options, folder=folder, say=say).run())
    except ChaosFailedError as failed:
        _write(f"\n{failed}")
        return 1
    except KeyboardInterrupt:
        say("stopped before its end; nothing was compared")
        shutil.rmtree(folder)
        return _INTERRUPTED
    except BaseException:
        _write(f"\nseed {options.seed}; the data directory is kept: {folder / 'data'}")
        raise
    _write(f"\n{summary.text()}")
    shutil.rmtree(folder)
    return 0


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=Options.kills, help="how many processes to kill")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the plan; else any")
    parser.add_argument("--interval", type=float, default=Options.interval_s, help="seconds between two kills, about")
    parser.add_argument("--clients", type=int, default=Options.clients, help="how many submit at the same time")
    given = parser.parse_args()
    if given.kills < 1 or given.interval <= 0 or given.clients < 1:
        parser.error("kills, interval and clients must be more than nothing")
    return Options(seed=given.seed, kills=given.kills, interval_s=given.interval, clients=given.clients)


if __name__ == "__main__":
    sys.exit(main())
