from collections import Counter
from itertools import islice

import pytest

from chaos import plan


@pytest.mark.parametrize("seed", range(20))
def test_thirty_kills_hit_each_kind_several_times(seed: int) -> None:
    hit = Counter(kill.kind for kill in plan.kills(seed, 30, 3.0))
    assert set(hit) == set(plan.KINDS)
    assert min(hit.values()) >= 4


def test_a_seed_repeats_the_plan_and_another_is_another() -> None:
    assert plan.kills(1, 50, 3.0) == plan.kills(1, 50, 3.0) != plan.kills(2, 50, 3.0)
    assert list(islice(plan.jobs(1, 0), 50)) == list(islice(plan.jobs(1, 0), 50)) != list(islice(plan.jobs(1, 1), 50))


def test_a_longer_plan_begins_as_the_shorter() -> None:
    assert plan.kills(5, 200, 3.0)[:30] == plan.kills(5, 30, 3.0)


def test_kills_are_as_far_apart_as_was_asked() -> None:
    gaps = [kill.gap_s for kill in plan.kills(3, 5000, 2.0)]
    assert 1.9 < sum(gaps) / len(gaps) < 2.1
    assert 400 < gaps.count(0.0) < 600


def test_no_two_jobs_share_a_key() -> None:
    keys = [job.key for client in range(4) for job in islice(plan.jobs(9, client), 100)]
    keys += [plan.pulse(9, number).key for number in range(100)]
    assert len(set(keys)) == len(keys)


def test_there_are_jobs_of_every_way() -> None:
    made = list(islice(plan.jobs(1, 0), 300))
    assert {job.way for job in made} == {"wait", "async", "stream"}
    assert any(job.kill_after_s is not None for job in made)
    assert any(job.droppers for job in made)
    assert {job.attempts for job in made} == {1, 2, 10}
