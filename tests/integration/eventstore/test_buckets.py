"""Buckets, and mirrors that stay current whatever the server does."""

import asyncio
from collections.abc import Callable

import pytest

from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.tenants import Tenant
from vulcan_eventstore import jetstream
from vulcan_eventstore.buckets import Bucket, Entry
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreError, KeyExistsError, RevisionConflictError
from vulcan_eventstore.streams import StreamSettings, ensure_streams


@pytest.fixture
def bucket(bus: Bus) -> Bucket[Tenant]:
    return Bucket(bus, subjects.TENANTS_BUCKET, Tenant)


async def _eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - the mirror has no event to wait for
            await asyncio.sleep(0.01)


async def test_put_get_delete(bucket: Bucket[Tenant]) -> None:
    assert await bucket.get("a") is None
    assert await bucket.keys() == []
    revision = await bucket.put("a", Tenant(id="a"))
    assert await bucket.get("a") == Entry(Tenant(id="a"), revision)
    await bucket.put("b", Tenant(id="b"))
    assert await bucket.keys() == ["a", "b"]
    await bucket.delete("a")
    await bucket.delete("never")
    assert await bucket.get("a") is None
    assert await bucket.keys() == ["b"]


async def test_create_only_once(bucket: Bucket[Tenant]) -> None:
    results = await asyncio.gather(
        *(bucket.create("a", Tenant(id=str(number))) for number in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, KeyExistsError) for result in results) == 4
    await bucket.delete("a")
    await bucket.create("a", Tenant(id="again"))
    entry = await bucket.get("a")
    assert entry is not None
    assert entry.value.id == "again"


async def test_update_from_a_revision(bucket: Bucket[Tenant]) -> None:
    first = await bucket.put("a", Tenant(id="1"))
    second = await bucket.update("a", Tenant(id="2"), first)
    with pytest.raises(RevisionConflictError):
        await bucket.update("a", Tenant(id="3"), first)
    assert await bucket.get("a") == Entry(Tenant(id="2"), second)


@pytest.mark.parametrize("key", ["", "a b", "a.", ".a", "a*", "a>", "a\r\nb", "ä"])
async def test_no_key_reaches_another_subject(bucket: Bucket[Tenant], key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await bucket.put(key, Tenant(id="x"))


async def test_a_broken_value_is_said(bus: Bus, bucket: Bucket[Tenant]) -> None:
    await jetstream.publish(bus, "$KV.vulcan_tenants.a", b"{}")
    with pytest.raises(EventStoreError):
        await bucket.get("a")


async def test_a_mirror_is_complete_at_once_and_follows(bucket: Bucket[Tenant]) -> None:
    for number in range(1200):
        if number < 20 or number % 50 == 0:
            await bucket.put(f"t{number}", Tenant(id=str(number)))
    await bucket.put("gone", Tenant(id="gone"))
    await bucket.delete("gone")
    changes: list[tuple[str, Tenant | None]] = []
    async with await bucket.mirror(lambda key, value: changes.append((key, value))) as mirror:
        assert sorted(mirror.values) == await bucket.keys()
        changes.clear()
        await bucket.put("new", Tenant(id="new"))
        await bucket.delete("t0")
        await _eventually(lambda: len(changes) == 2)
        assert changes == [("new", Tenant(id="new")), ("t0", None)]
        assert mirror.get("new") == Tenant(id="new")
        assert mirror.get("t0") is None


async def test_an_empty_bucket_has_an_empty_mirror(bucket: Bucket[Tenant]) -> None:
    async with await bucket.mirror() as mirror:
        assert dict(mirror.values) == {}


async def test_a_mirror_outlives_the_server(nats_server: NatsServer, bucket: Bucket[Tenant]) -> None:
    async with await bucket.mirror() as mirror:
        await bucket.put("a", Tenant(id="a"))
        for key in ("b", "c"):
            await nats_server.bounce(away_s=0.2)
            async with asyncio.timeout(10.0):
                while True:
                    try:
                        await bucket.put(key, Tenant(id=key))
                        break
                    except EventStoreError:
                        await asyncio.sleep(0.05)
            await _eventually(lambda key=key: mirror.get(key) is not None)  # type: ignore[misc] # bound per turn
        assert sorted(mirror.values) == ["a", "b", "c"]


async def test_a_mirror_starts_over_with_a_new_bucket(bus: Bus, bucket: Bucket[Tenant]) -> None:
    for key in "abc":
        await bucket.put(key, Tenant(id=key))
    changes: list[tuple[str, Tenant | None]] = []
    async with await bucket.mirror(lambda key, value: changes.append((key, value))) as mirror:
        changes.clear()
        await jetstream.call(bus, "STREAM.DELETE.KV_vulcan_tenants")
        await ensure_streams(bus, StreamSettings())
        await bucket.put("a", Tenant(id="other"))
        await _eventually(lambda: mirror.get("a") == Tenant(id="other") and len(changes) == 3)
        assert sorted(mirror.values) == ["a"]
        assert sorted(changes[1:], key=lambda change: change[0]) == [("b", None), ("c", None)]
