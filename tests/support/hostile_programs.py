"""Programs that mean harm: what they try, and which ends are right. For every test that needs one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Hostile(NamedTuple):
    """A program, what is asked for beside it, and the reasons that it may end with: None for a good end."""

    code: str
    reasons: tuple[str | None, ...]
    spec: Mapping[str, Any] = MappingProxyType({})


_BRIEF = {"timeout_s": 1}
_SMALL = {"timeout_s": 20, "resources": {"memory_mb": 64}}
_QUIET = {"timeout_s": 20, "resources": {"output_mb": 1}}
_TIMED_OUT = ("timed_out",)
_MEMORY = ("out_of_memory",)
_OUTPUT = ("output_limit",)
_OWN_END = (None, "exit_nonzero", "signaled")

# (module (func (export "f") (loop (br 0))))
_WASM_LOOP = (
    "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,"
    "102,0,0,10,9,1,7,0,3,64,12,0,11,11]))).exports.f();"
)
_WORKER = "new Worker('data:text/javascript,' + encodeURIComponent(%s), { type: 'module' })"

TIME: dict[str, Hostile] = {
    "endless loop": Hostile("for (;;) {}", _TIMED_OUT, _BRIEF),
    "CPU time": Hostile("for (;;) {}", ("cpu_limit",), {"timeout_s": 20, "resources": {"cpu_time_s": 0.5}}),
    "waits for ever": Hostile("setInterval(() => {}, 1000);", _TIMED_OUT, _BRIEF),
    "never resolves": Hostile("await new Promise(() => {});", _TIMED_OUT, _BRIEF),
    "regular expression": Hostile("/^(a+)+$/.test('a'.repeat(60) + 'b');", _TIMED_OUT, _BRIEF),
    "microtasks": Hostile("const go = () => Promise.resolve().then(go); go();", _TIMED_OUT, _BRIEF),
    "queueMicrotask": Hostile("const go = () => queueMicrotask(go); go();", _TIMED_OUT, _BRIEF),
    "nextTick": Hostile("const go = () => process.nextTick(go); go();", _TIMED_OUT, _BRIEF),
    "setImmediate": Hostile("const go = () => setImmediate(go); go();", _TIMED_OUT, _BRIEF),
    "thousands of timers": Hostile(
        "for (let i = 0; i < 50_000; i++) setInterval(() => {}, 1);", ("timed_out", "out_of_memory"), _BRIEF
    ),
    "WebAssembly loop": Hostile(_WASM_LOOP, _TIMED_OUT, _BRIEF),
    "Atomics.wait": Hostile("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);", _TIMED_OUT, _BRIEF),
    "native code": Hostile(
        "import c from 'node:crypto'; c.pbkdf2Sync('a', 'b', 2_000_000_000, 64, 'sha512');", _TIMED_OUT, _BRIEF
    ),
    "a big integer": Hostile("let a = 3n ** 4_000_000n; for (;;) a = (a * a) >> 6_000_000n;", _TIMED_OUT, _BRIEF),
    "a getter of its exception": Hostile(
        "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;); } }); throw e;",
        _TIMED_OUT,
        _BRIEF,
    ),
    "an exception's inspector": Hostile(
        "throw { [Symbol.for('Deno.customInspect')]() { for (;;); } };", _TIMED_OUT, _BRIEF
    ),
    "what it prints": Hostile("console.log(new Proxy({}, { ownKeys() { for (;;); } }));", (None, "timed_out"), _BRIEF),
    "toJSON of its result": Hostile("export default () => ({ toJSON() { for (;;); } });", _TIMED_OUT, _BRIEF),
    "an exit handler": Hostile("process.on('exit', () => { for (;;); });", _TIMED_OUT, _BRIEF),
    "an unload handler": Hostile("addEventListener('unload', () => { for (;;); });", _TIMED_OUT, _BRIEF),
    "a Worker": Hostile(_WORKER % "'for (;;);'" + "; await new Promise(() => {});", _TIMED_OUT, _BRIEF),
    "every signal ignored": Hostile(
        "for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT']) Deno.addSignalListener(s, () => {}); for (;;);",
        _TIMED_OUT,
        _BRIEF,
    ),
}

MEMORY: dict[str, Hostile] = {
    "heap": Hostile("const a = []; for (;;) a.push({ n: a.length });", _MEMORY, _SMALL),
    "one array": Hostile(
        "const a = []; a.length = 0; for (;;) { const b = new Array(1 << 22).fill(a.length); a.push(b); }",
        _MEMORY,
        _SMALL,
    ),
    "array buffers": Hostile("const a = []; for (;;) a.push(new Uint8Array(8 << 20).fill(1));", _MEMORY, _SMALL),
    "shared memory": Hostile(
        "const a = []; for (;;) a.push(new Uint8Array(new SharedArrayBuffer(8 << 20)).fill(1));", _MEMORY, _SMALL
    ),
    "a buffer that grows": Hostile(
        "const b = new ArrayBuffer(1, { maxByteLength: 1 << 30 }); const v = new Uint8Array(b);"
        "for (let n = 1; ; n += 8 << 20) { b.resize(n); v.fill(1); }",
        ("out_of_memory", "exit_nonzero"),
        _SMALL,
    ),
    "WebAssembly memory": Hostile(
        "const m = new WebAssembly.Memory({ initial: 1, maximum: 65536 });"
        "for (;;) { m.grow(64); new Uint8Array(m.buffer).fill(1); }",
        _MEMORY,
        _SMALL,
    ),
    "WebAssembly memories": Hostile(
        "const a = []; for (;;) a.push(new WebAssembly.Memory({ initial: 1, maximum: 65536 }));",
        ("out_of_memory", "exit_nonzero", "timed_out"),
        {"timeout_s": 5, "resources": {"memory_mb": 64}},
    ),
    "text": Hostile("let s = 'x'; const a = []; for (;;) { s += s; a.push(s.split('')); }", _MEMORY, _SMALL),
    "promises": Hostile("const a = []; for (;;) a.push(new Promise((r) => a.push(r)));", _MEMORY, _SMALL),
    "timers": Hostile("for (let i = 0; ; i++) setTimeout(() => i, 1e9);", _MEMORY, _SMALL),
    "rejections": Hostile(
        "for (let i = 0; ; i++) Promise.reject(new Error('x'.repeat(100) + i));",
        ("out_of_memory", "timed_out"),
        {"timeout_s": 8, "resources": {"memory_mb": 64}},
    ),
    "messages": Hostile(
        "const { port1 } = new MessageChannel(); for (;;) port1.postMessage(new Uint8Array(1 << 20));", _MEMORY, _SMALL
    ),
    "blobs": Hostile("const a = []; for (;;) a.push(new Blob([new Uint8Array(4 << 20).fill(1)]));", _MEMORY, _SMALL),
    "a bomb to unpack": Hostile(
        "import z from 'node:zlib'; const a = []; const bomb = z.gzipSync(new Uint8Array(16 << 20));"
        "for (;;) a.push(z.gunzipSync(bomb).fill(1));",
        _MEMORY,
        _SMALL,
    ),
    "a database": Hostile(
        "import { DatabaseSync } from 'node:sqlite'; const d = new DatabaseSync(':memory:');"
        "d.exec('create table t (x)'); for (;;) d.exec('insert into t values (randomblob(1000000))');",
        ("out_of_memory", "exit_nonzero"),
        _SMALL,
    ),
    "Workers": Hostile(
        "const a = []; for (;;) { a.push(" + _WORKER % "'setInterval(() => {}, 1e6)'" + ");"
        "await new Promise((r) => setTimeout(r, 5)); }",
        ("pids_limit", "out_of_memory", "exit_nonzero"),
        {"timeout_s": 20, "resources": {"memory_mb": 64, "pids": 8}},
    ),
    "Workers that make Workers": Hostile(
        "const grow = (code, Worker) => { for (let i = 0; i < 2; i++) new Worker('data:text/javascript,' +"
        " encodeURIComponent(`const code = ${JSON.stringify(code)}; (${code})(code, Worker)`), { type: 'module' }); };"
        "grow(`${grow}`, Worker); setInterval(() => {}, 1e6);",
        ("pids_limit", "out_of_memory", "exit_nonzero", "signaled"),
        {"timeout_s": 20, "resources": {"memory_mb": 64, "pids": 16}},
    ),
    "deep recursion": Hostile("const f = () => f() + 1; f();", ("exit_nonzero",)),
    "deep recursion in promises": Hostile("const f = async () => { await f(); }; await f();", ("exit_nonzero",)),
    "deep JSON": Hostile("JSON.parse('['.repeat(5_000_000));", ("exit_nonzero", "out_of_memory"), _SMALL),
    "a deep result": Hostile(
        "export default () => { let a = []; for (let i = 0; i < 1e6; i++) a = [a]; return a; }",
        ("exit_nonzero", "out_of_memory"),
        _SMALL,
    ),
    "a deep expression": Hostile("new RegExp('('.repeat(1e6) + ')'.repeat(1e6));", ("exit_nonzero",)),
    "deep source": Hostile("eval('['.repeat(1e6));", ("exit_nonzero", "out_of_memory"), _SMALL),
}

OUTPUT: dict[str, Hostile] = {
    "stdout": Hostile("for (;;) console.log('x'.repeat(1000));", _OUTPUT, _QUIET),
    "stderr": Hostile("for (;;) console.error('x'.repeat(1000));", _OUTPUT, _QUIET),
    "both": Hostile("for (;;) { console.log('x'.repeat(500)); console.error('y'.repeat(500)); }", _OUTPUT, _QUIET),
    "one line": Hostile(
        "const b = new Uint8Array(65536).fill(120); for (;;) Deno.stdout.writeSync(b);", _OUTPUT, _QUIET
    ),
    "empty lines": Hostile(
        "const b = new Uint8Array(65536).fill(10); for (;;) Deno.stdout.writeSync(b);", _OUTPUT, {"timeout_s": 20}
    ),
    "single bytes": Hostile("const b = new Uint8Array([10]); for (;;) Deno.stderr.writeSync(b);", _OUTPUT, _QUIET),
    "no text": Hostile(
        "const b = crypto.getRandomValues(new Uint8Array(65536)); for (;;) Deno.stdout.writeSync(b);", _OUTPUT, _QUIET
    ),
    "a huge exception": Hostile("throw new Error('x'.repeat(16 << 20));", _OUTPUT, _QUIET),
    "an exception that causes itself": Hostile("const e = new Error('x'); e.cause = e; throw e;", ("exit_nonzero",)),
    "an exception that holds itself": Hostile(
        "const e = new AggregateError([], 'x'); e.errors = [e, e]; throw e;", ("exit_nonzero", "timed_out"), _BRIEF
    ),
    "an exception that is none": Hostile(
        "throw new Proxy({}, { get() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } });",
        ("exit_nonzero",),
    ),
    "nothing thrown": Hostile("throw undefined;", ("exit_nonzero",)),
    "a result too large": Hostile("export default () => 'x'.repeat(400_000);", _OUTPUT),
    "a result far too large": Hostile("export default () => 'x'.repeat(8 << 20);", _OUTPUT),
    "half a character as result": Hostile("export default () => '\\ud800';", ("exit_nonzero",)),
    "NUL as result": Hostile("export default () => ({ '\\u0000': '\\u0000', b: ['\\u001b', '\\u2028'] });", (None,)),
    "control characters everywhere": Hostile(
        "const c = new Uint8Array(70_000).fill(1); Deno.stdout.writeSync(c); Deno.stderr.writeSync(c);"
        "export default () => '\\u0001'.repeat(43_000);",
        (None,),
    ),
    "artifacts without number": Hostile(
        "for (let i = 0; ; i++) Vulcan.artifact(`${i}`, '');", ("disk_limit", "out_of_memory"), {"artifacts": ["**"]}
    ),
    "artifacts without end": Hostile(
        "for (let i = 0; ; i++) Vulcan.artifact('x', new Uint8Array(1 << 20));",
        ("disk_limit", "out_of_memory"),
        {"resources": {"disk_mb": 16}, "artifacts": ["**"]},
    ),
    "artifacts with long names": Hostile(
        "for (let i = 0; i < 4000; i++) Vulcan.artifact(`${i}/${'\"'.repeat(240)}/${'\\u00e9'.repeat(100)}`, 'x');",
        ("disk_limit", "out_of_memory"),
        {"artifacts": ["**"]},
    ),
    "an artifact that grows on its way": Hostile(
        "const b = new SharedArrayBuffer(1, { maxByteLength: 1 << 24 }); new Worker('data:text/javascript,"
        "onmessage = ({ data }) => { for (let n = 1; n < 16777216; n += 7) data.grow(n); }', { type: 'module' })"
        ".postMessage(b); for (let i = 0; i < 200; i++) Vulcan.artifact('x', new Uint8Array(b)); Deno.exit(0);",
        (None, "out_of_memory", "disk_limit", "exit_nonzero"),
        {"artifacts": ["**"]},
    ),
}

# Every way that is known to reach descriptors that a program was not given.
FORGE = """
import fs from 'node:fs';
import net from 'node:net';
const body = new TextEncoder().encode(JSON.stringify({ type: 'end', nonce: '', code: 0, result: '"forged"', size: 0 }));
const frame = new Uint8Array(4 + body.length);
new DataView(frame.buffer).setUint32(0, body.length);
frame.set(body, 4);
for (let fd = 3; fd < 60; fd++) {
  try { fs.writeSync(fd, frame); } catch {}
  try { const s = new net.Socket({ fd }); s.on('error', () => {}); s.write(frame); } catch {}
}
await new Promise((resolve) => setTimeout(resolve, 300));
export default () => 'own';
"""

SELF_HARM: dict[str, str] = {
    "SIGKILL": "process.kill(process.pid, 'SIGKILL'); process.kill(1, 'SIGKILL');",
    "SIGTERM": "process.kill(process.pid, 'SIGTERM');",
    "SIGSEGV": "process.kill(process.pid, 'SIGSEGV');",
    "SIGABRT": "Deno.kill(Deno.pid, 'SIGABRT');",
    "SIGSTOP": "process.kill(process.pid, 'SIGSTOP'); process.kill(-1, 'SIGSTOP');",
    "closes resources": "const { core } = Deno[Deno.internal]; for (let rid = 0; rid < 50; rid++) core.tryClose(rid);",
    "closes descriptors": (
        "import fs from 'node:fs'; for (let fd = 0; fd < 60; fd++) { try { fs.closeSync(fd); } catch {} }"
    ),
    "closes pipes": (
        "const { Pipe } = process.binding('pipe_wrap'); for (let fd = 0; fd < 60; fd++) { try { const p = new Pipe(0);"
        " p.open(fd); p.close(); } catch {} } await new Promise((r) => setTimeout(r, 100));"
    ),
    "forges frames": FORGE,
    "breaks what the runtime uses": (
        "Promise.prototype.then = () => {}; JSON.stringify = () => 'x'; Object.prototype.toJSON = () => 1;"
    ),
    "lets go of operations": (
        "const { core } = Deno[Deno.internal]; for (let id = 0; id < 100; id++) { try { core.unrefOpPromise("
        "{ [core.promiseIdSymbol]: id }); } catch {} } await new Promise((r) => setTimeout(r, 50));"
    ),
    "plays the host": (
        "dispatchEvent(new MessageEvent('message', { data: { url: 'x', folder: '', args: [], input: {} } }));"
    ),
    "an interface that is not there": "Deno.listen({ transport: 'vsock', cid: 1, port: 1 });",
    "exits like a killed process": "process.reallyExit(137);",
    "aborts": "process.abort();",
    "code of its own runtime": "await import('file:///vulcan/host.js');",
    "the inspector": (
        "import { Session } from 'node:inspector'; const s = new Session(); try { s.connectToMainThread(); } catch {}"
        "s.connect(); s.post('Runtime.evaluate', { expression: 'Deno.exit(3)' });"
    ),
    "flags of V8": (
        "import v8 from 'node:v8'; for (const f of ['--stack-size=10', '--max-old-space-size=1', '--jitless'])"
        " v8.setFlagsFromString(f); const f = () => f(); try { f(); } catch {}"
    ),
}
"""Each may end its own run in any way that is the program's own doing, and nobody else's."""

_TAMPER = """
const evil = () => { throw new Error('tampered'); };
for (const type of [Object, Array, Promise, String, Number, Function, Map, Error, RegExp, Uint8Array, URL, Event]) {
  for (const name of Object.getOwnPropertyNames(type.prototype)) {
    try { if (name !== 'constructor') type.prototype[name] = evil; } catch {}
  }
}
"""
TAMPERING: dict[str, str] = {
    "natives": "globalThis.keep = 1; for (const n of ['parse', 'stringify']) JSON[n] = () => 'tampered';"
    "Object.prototype.leak = 1; Array.prototype.push = () => 0; Promise.resolve = () => 'tampered';"
    "Symbol.prototype.leak = 1; Math.random = () => 4; Date.now = () => 0;",
    "everything": _TAMPER,
    "console": "for (const n of Object.keys(console)) console[n] = () => {}; Deno.stdout.writeSync = () => 1e9;",
    "setters of what is sent": "for (const n of ['type', 'code', 'result', 'nonce', 'name', 'data', 'url', 'size'])"
    "Object.defineProperty(Object.prototype, n, { get: () => 'tampered', set() {}, configurable: true });",
    "globals": "for (const n of Object.getOwnPropertyNames(globalThis)) { try { delete globalThis[n]; } catch {} }",
    "environment": "Deno.env.set('LEAK', '1'); Deno.env.set('TZ', 'Asia/Tokyo'); process.env.NODE_OPTIONS = '--leak';",
    "exit code": "Deno.exitCode = 0; process.exitCode = 0; Object.defineProperty(Deno, 'exitCode', { get: () => 0 });",
    "locks": "navigator.locks.request('lock', () => new Promise(() => {})); await 0; Deno.exit(0);",
    "cache": "await (await caches.open('leak')).put('http://a/b', new Response('leak'));",
    "a channel": "const c = new BroadcastChannel('leak'); c.onmessage = () => c.postMessage('leak'); Deno.exit(0);",
    "a blob": "globalThis.url = URL.createObjectURL(new Blob(['leak']));",
    "a Worker that goes on": _WORKER
    % '\'const c = new BroadcastChannel("leak"); setInterval(() => c.postMessage("leak"), 1);\''
    + "; await new Promise((r) => setTimeout(r, 50)); Deno.exit(0);",
    "signal handlers": "Deno.addSignalListener('SIGTERM', () => {}); process.on('SIGINT', () => {}); Deno.exit(0);",
    "output mode": "const { Pipe } = process.binding('pipe_wrap'); new Pipe(0).open(1); new Pipe(0).open(2);",
    "the module of its runtime": "const m = await import('file:///vulcan/worker.js'); globalThis.leak = m;",
}
"""What a run may try to leave for the next one of its tenant; each ends well or by its own doing."""

LOOK = """
const native = (f) => typeof f === 'function' && /\\[native code\\]/.test(Function.prototype.toString.call(f));
const channel = new BroadcastChannel('leak');
const heard = [];
channel.onmessage = ({ data }) => heard.push(data);
await new Promise((resolve) => setTimeout(resolve, 20));
channel.close();
const lock = await navigator.locks.request('lock', { ifAvailable: true }, (held) => held !== null);
const cached = await (await caches.open('leak')).match('http://a/b');
const big = 'x'.repeat(150_000);
Deno.stdout.writeSync(new TextEncoder().encode('start\\n'));
console.log(big);
console.error(big);
export default () => ({
  natives: [JSON.parse, JSON.stringify, Array.prototype.push, Promise.resolve, Promise.prototype.then, Math.random]
    .every(native),
  leaks: [globalThis.keep, globalThis.leak, globalThis.url, ({}).leak, ({}).type, ({}).code].filter((x) => x != null),
  environment: Object.keys(Deno.env.toObject()).length + Object.keys(process.env).length,
  hours: new Date(0).getHours(),
  now: Date.now() > 1e12,
  exit: [Deno.exitCode, process.exitCode ?? 0],
  lock,
  cached: cached === undefined,
  heard,
  sources: [...Deno.readDirSync(new URL('..', import.meta.url))].length,
});
"""
SEEN_UNTOUCHED: dict[str, Any] = {
    "natives": True, "leaks": [], "environment": 0, "hours": 0, "now": True, "exit": [0, 0], "lock": True,
    "cached": True, "heard": [], "sources": 1,
}  # fmt: skip
"""What `LOOK` finds where nobody was before; it also prints more than a pipe holds at once."""
