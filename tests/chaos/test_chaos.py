"""Thirty kills: the least that every change has to live through."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from chaos.plan import KINDS
from chaos.run import Chaos, Options


@pytest.mark.timeout(600)
async def test_everything_holds_whatever_is_killed(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"seed {seed}: CHAOS_SEED={seed} plans the same")  # noqa: T201  # of a failure, what is needed to repeat it
    options = Options(seed=seed, kills=30, interval_s=2.5)
    summary = await Chaos(options=options, folder=tmp_path / "chaos", say=print).run()
    print(summary.text())  # noqa: T201
    assert summary.kills.keys() == Counter(KINDS).keys()
    assert min(summary.kills.values()) >= 4
    assert summary.workloads > 30
    assert summary.reconnects > 0
