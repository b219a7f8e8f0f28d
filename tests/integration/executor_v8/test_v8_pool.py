import asyncio

from support.v8_backend import backend
from support.v8_runs import run

AT_ONCE = 6
RUNS = 60


async def test_a_busy_tenant_is_served_by_hosts_of_its_own_and_not_by_ever_new_ones() -> None:
    hosts: list[str] = []
    left = iter(range(RUNS))

    async with backend(warm_hosts=4, max_warm_hosts=32, starters=2, slots=AT_ONCE, return_timeout_s=30.0) as v8:

        async def work() -> None:
            for _ in left:
                ran = await run(v8, "console.log(1);")
                hosts.append(ran.host)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    assert len(hosts) == RUNS
    assert len(set(hosts)) <= 2 * AT_ONCE + 4, hosts


async def test_a_run_does_not_wait_long_for_a_host_that_is_not_ready_again() -> None:
    """Each leaves memory behind, which takes its host the whole time it is given to prove itself clean."""
    keep = "URL.createObjectURL(new Blob([new Uint8Array(64 << 20)]));"
    async with backend(warm_hosts=0, starters=1, clean_timeout_s=20.0, return_timeout_s=0.1) as v8:
        dirty = [(await run(v8, keep)).host for _ in range(2)]
        async with asyncio.timeout(10):
            assert (await run(v8, "console.log(1);")).host not in dirty
