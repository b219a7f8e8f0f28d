import asyncio

import pytest

from support.hostile_programs import FORGE, SELF_HARM
from support.v8_backend import HAS_BWRAP, backend
from support.v8_runs import Ran, program, run
from vulcan_contracts.reasons import Reason
from vulcan_executor_v8.backend import V8Backend

pytestmark = [
    pytest.mark.skipif(
        not HAS_BWRAP, reason="bubblewrap is not installed or makes no jail here: hostile code is NOT tested here"
    ),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.mark.parametrize("name", SELF_HARM)
async def test_code_harms_only_its_own_run_and_is_never_blamed_on_the_platform(v8: V8Backend, name: str) -> None:
    ran = await run(v8, SELF_HARM[name], timed_out_after_s=3)  # a BackendFaultError here would blame the platform
    assert ran.exit.reason in (None, Reason.EXIT_NONZERO, Reason.SIGNALED), ran.exit
    await _next_run_is_untouched(v8, ran)


async def _next_run_is_untouched(v8: V8Backend, before: Ran) -> None:
    for number in range(3):
        after = await run(v8, f"console.log('own {number}'); export default () => {number};")
        assert (after.stdout, after.result, after.stderr) == (f"own {number}\n", number, ""), before.exit


async def test_a_forged_frame_is_no_result(v8: V8Backend) -> None:
    ran = await run(v8, FORGE)
    assert not ran.exit.has_result or ran.exit.result == "own"


async def test_a_flood_of_artifacts_ends_with_its_limit_and_harms_nobody(v8: V8Backend) -> None:
    flood = "for (let i = 0; ; i++) Vulcan.artifact(`${i}`, '');"
    ran = await run(v8, flood)
    assert ran.exit.reason in (Reason.DISK_LIMIT, Reason.OUT_OF_MEMORY, Reason.CPU_LIMIT), ran.exit
    await _next_run_is_untouched(v8, ran)


async def test_descriptors_have_a_limit_of_the_host(v8: V8Backend) -> None:
    code = (
        "const kept = []; try { for (let i = 0; i < 5000; i++) "
        "kept.push(Deno.openSync(new URL(import.meta.url))); } catch {} export default () => kept.length;"
    )
    assert (await run(v8, code)).result < 1024


async def test_the_time_zone_of_one_run_is_not_that_of_the_next(v8: V8Backend) -> None:
    await run(v8, "Deno.env.set('TZ', 'Asia/Tokyo'); console.log(new Date(0).getHours());")
    for _ in range(3):
        assert (await run(v8, "export default () => new Date(0).getHours();")).result == 0


async def test_hostile_file_names_are_only_names(v8: V8Backend) -> None:
    names = ["a b.ts", "ü.ts", "%2e%2e.ts", "x?y#z.ts", "'$(id)`.ts", "-.ts", "'\"<.ts", "a:b.ts"]
    for name in names:
        files = {name: "import { w } from './lib.ts'; console.log(w);", "lib.ts": "export const w = 'ok';"}
        ran = await run(v8, program(files, entrypoint=name))
        assert ran.stdout == "ok\n", (name, ran.stderr)


SURVIVORS = {
    "a Worker that spins": "new Worker('data:text/javascript,for(;;);', { type: 'module' });"
    "await new Promise((r) => setTimeout(r, 100)); Deno.exit(0);",
    "a cache": "await (await caches.open('x')).put('http://a/b', new Response('leak'));",
    "a folder": "Deno.chdir('/src');",
    "output that does not block": "const { Pipe } = process.binding('pipe_wrap'); new Pipe(0).open(1);",
    "a blob URL": "URL.createObjectURL(new Blob(['secret']));",
    "a Worker that is over": "const over = new Worker('data:text/javascript,postMessage(1)', { type: 'module' });"
    "await new Promise((r) => (over.onmessage = r)); over.terminate();",
    "a node Worker that is over": "const { Worker } = await import('node:worker_threads');"
    "const over = new Worker('process.exit(0)', { eval: true }); await new Promise((r) => over.on('exit', r));",
}


@pytest.mark.parametrize("what", SURVIVORS)
async def test_a_host_in_which_something_stayed_is_not_used_again(v8: V8Backend, what: str) -> None:
    dirty = await run(v8, SURVIVORS[what])
    assert dirty.exit.exit_code == 0, dirty.stderr
    await asyncio.sleep(0.6)
    names = {(await run(v8, "console.log(1);")).host for _ in range(3)}
    assert dirty.host not in names


async def test_a_clean_host_is_used_again_and_remembers_nothing() -> None:
    look_and_leave = (
        "console.log(JSON.stringify([globalThis.leak, Deno.env.get('LEAK'), ({}).leak]));"
        "globalThis.leak = 1; Deno.env.set('LEAK', '1'); Object.prototype.leak = 1; Deno.exitCode = 0;"
    )
    async with backend(clean_timeout_s=5.0) as v8:
        hosts: set[str] = set()
        for _ in range(100):
            ran = await run(v8, look_and_leave)
            assert ran.stdout == "[null,null,null]\n"
            if ran.host in hosts:
                return
            hosts.add(ran.host)
            await asyncio.sleep(0.05)
        raise AssertionError("no host was ever used again")


async def test_a_host_never_serves_two_tenants(v8: V8Backend) -> None:
    hosts: dict[str, set[str]] = {}
    for round_ in range(4):
        for tenant in ("a", "b", "c"):
            ran = await run(v8, f"console.log({round_});", tenant=tenant)
            hosts.setdefault(tenant, set()).add(ran.host)
            await asyncio.sleep(0.05)
    assert not hosts["a"] & hosts["b"]
    assert not hosts["b"] & hosts["c"]
    assert not hosts["a"] & hosts["c"]


async def test_reuse_can_be_switched_off() -> None:
    async with backend(reuse=False) as v8:
        names = [(await run(v8, "console.log(1);")).host for _ in range(3)]
        assert len(set(names)) == 3


async def test_stdin_that_nobody_read_is_not_there_for_the_next_run(v8: V8Backend) -> None:
    await run(v8, program("console.log('not reading');", stdin="secret of the first run"))
    await asyncio.sleep(0.3)
    for _ in range(3):
        ran = await run(v8, "console.log(await new Response(Deno.stdin.readable).text());")
        assert ran.stdout == "\n"


async def test_a_node_worker_gains_nothing(v8: V8Backend) -> None:
    code = """
    import { Worker } from 'node:worker_threads';
    const inner = `
      const fs = require('fs'), tried = [];
      const attempt = (name, f) => { try { f(); tried.push(name); } catch {} };
      attempt('passwd', () => fs.readFileSync('/etc/passwd'));
      attempt('host', () => fs.readFileSync('/vulcan/host.js'));
      attempt('write', () => fs.writeFileSync('/tmp/x', 'x'));
      attempt('exec', () => require('child_process').execSync('id'));
      require('worker_threads').parentPort.postMessage(tried);`;
    const worker = new Worker(inner, { eval: true });
    const tried = await new Promise((resolve) => worker.on('message', resolve));
    export default () => tried;
    """
    assert (await run(v8, code)).result == []
