import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scheduling import World
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Retry
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.checkpoint import CheckpointError, Reader, frames


def busy() -> World:
    """Something in every phase."""
    world = World(Limits(keep_state_bytes=600))
    world.beat("n1", slots=3)
    for number in range(600):
        world.submit(f"w{number}", "ab"[number % 2], stdin="x" * (number % 3 * 400), priority=number % 5)
    world.submit("back", retry=Retry(max_attempts=2, on=[Reason.EXIT_NONZERO], backoff_s=100), priority=100)
    world.release_all()
    world.start("back")
    world.end("back", Reason.EXIT_NONZERO)
    first = next(state for state in world.states.values() if state.node is not None and state.state == "pending")
    world.start(first.id)
    return world


def saved(world: World) -> bytes:
    return b"".join(frames(world.plan.seq, list(world.plan.jobs.values())))


def restored(content: bytes, *, piece: int = 1000) -> World:
    reader = Reader()
    for at in range(0, len(content), piece):
        reader.feed(content[at : at + piece])
    reader.finish()
    world = World(Limits(keep_state_bytes=600))
    world.plan.restore(reader.jobs, reader.seq, world.now)
    return world


def facts(world: World) -> dict[str, object]:
    return {
        job.id: (
            job.tenant,
            job.phase,
            job.node,
            job.incarnation,
            job.attempt,
            job.version,
            job.seq,
            job.rank,
            job.state,
        )
        for job in world.plan.jobs.values()
    }


@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_a_restored_plan_is_the_plan(piece: int) -> None:
    world = busy()
    again = restored(saved(world), piece=piece)
    assert facts(again) == facts(world)
    assert again.plan.tenants.snapshot() == world.plan.tenants.snapshot()
    assert again.plan._kept_bytes == world.plan._kept_bytes
    for each in (world, again):
        each.beat("n2", slots=1000, cpus=2000, memory_mb=10**6)
        each.time = 1.0
    order = [(release.tenant, release.workload_id) for release in world.release_all()]
    again.states, again.seqs, again.log = world.states, world.seqs, world.log
    released = []
    while (release := again.plan.next_release(again.now)) is not None:
        released.append((release.tenant, release.workload_id))
    # Who had how much service before is forgotten, so tenants may take turns otherwise; within one nothing changes.
    for tenant in "ab":
        assert [name for owner, name in released if owner == tenant] == [
            name for owner, name in order if owner == tenant
        ]


def test_what_happens_while_it_is_saved_is_folded_again_without_harm() -> None:
    world = busy()
    seq = world.plan.seq
    pieces, jobs = [], list(world.plan.jobs.values())
    for number, piece in enumerate(frames(seq, jobs)):
        pieces.append(piece)
        world.submit(f"new{number}", priority=50)
        for state in [state for state in world.states.values() if state.state == "running"]:
            world.end(state.id)
        world.release_all()
        for state in [state for state in world.states.values() if state.node and state.state == "pending"]:
            world.start(state.id)
    again = restored(b"".join(pieces))
    for recorded in world.log:
        if recorded.seq > seq:
            again.plan.apply(recorded, again.now)
    assert facts(again) == facts(world)
    assert again.plan.tenants.snapshot() == world.plan.tenants.snapshot()


@given(cut=st.integers(0, 10_000))
def test_a_cut_checkpoint_is_refused(cut: int) -> None:
    world = World()
    for number in range(3):
        world.submit(f"w{number}")
    content = saved(world)
    with pytest.raises(CheckpointError):
        restored(content[: cut % len(content)])


def test_a_missing_frame_and_another_format_are_refused() -> None:
    world = busy()
    pieces = list(frames(world.plan.seq, list(world.plan.jobs.values())))
    with pytest.raises(CheckpointError, match="says 601"):
        restored(b"".join([pieces[0], *pieces[2:]]))
    other = pieces[0].replace(b"\xa6format\x01", b"\xa6format\x07")
    assert other != pieces[0]
    with pytest.raises(CheckpointError, match="format 7"):
        restored(b"".join([other, *pieces[1:]]))
