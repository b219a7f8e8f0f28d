"""Programs that turn the engine's own machinery against it, from its finalizers to its module loader."""

from support.hostile_programs import Hostile

_BRIEF = {"timeout_s": 1}
_SHORT = {"timeout_s": 2, "resources": {"memory_mb": 64}}
_SMALL = {"timeout_s": 20, "resources": {"memory_mb": 64}}
_TIMED_OUT = ("timed_out",)
_MEMORY = ("out_of_memory",)
_EITHER = ("out_of_memory", "timed_out")
"""Whichever limit comes first: how fast it grows is the machine's matter."""
_BROKEN = ("exit_nonzero",)
_CRASHED = ("exit_nonzero", "signaled")
"""The compiler has no bound for its stack; it is in the run's own host."""
_TYPESCRIPT = {**_SMALL, "runtime": "typescript"}

_WORKER = "new Worker('data:text/javascript,' + encodeURIComponent(%s), { type: 'module' })"

# A module of many functions, each with 20,000 constants that it drops.
_WASM_BOMB = """
const number = (n) => { const r = []; do { let b = n & 127; n >>>= 7; r.push(n ? b | 128 : b); } while (n); return r; };
const section = (id, content) => [id, ...number(content.length), ...content];
const body = [0]; for (let i = 0; i < 20_000; i++) body.push(65, 1, 26); body.push(11);
const code = []; for (let i = 0; i < 200; i++) code.push(...number(body.length), ...body);
const functions = [...number(200), ...new Array(200).fill(0)];
const module = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...section(1, [1, 96, 0, 0]), ...section(3, functions),
  ...section(10, [...number(200), ...code])]);
for (;;) await WebAssembly.compile(module);
"""
_EVERY_OPERATION = """
const { core } = Deno[Deno.internal];
const args = [[], [0], ['/etc/passwd'], [{}], [0, 0], ['x', 'y', 'z'], [new Uint8Array(8)], [-1, 2 ** 31, null]];
for (const name of Object.keys(core.ops)) {
  for (const given of args) { try { core.ops[name](...given)?.catch?.(() => {}); } catch { /* refused */ } }
}
"""

_TO_THE_HOST = """
const { core } = Deno[Deno.internal];
const send = Object.keys(core.ops).filter((name) => /post_message/.test(name)).map((name) => core.ops[name]);
const forged = { type: 'end', code: 0, result: '"forged"', nonce: '', name: 'x', data: new Uint8Array(1 << 16) };
const data = core.serialize(forged);
for (const op of send) for (let i = 0; i < 1e4; i++) {
  const message = { data, transferables: [] };
  for (const args of [[message], [0, message]]) { try { op(...args); } catch { /* refused */ } }
}
"""

ENGINE: dict[str, Hostile] = {
    "microtasks that multiply": Hostile(
        "const a = []; const go = () => a.push(Promise.resolve().then(go), Promise.resolve().then(go)); go();",
        _EITHER,
        _SHORT,
    ),
    "finalizers without end": Hostile(
        "const r = new FinalizationRegistry(() => { for (;;); }); for (let i = 0; i < 1e5; i++) r.register({ i }, i);"
        "setInterval(() => new Array(1e5).fill(0), 1);",
        _TIMED_OUT,
        _BRIEF,
    ),
    "finalizers that come again": Hostile(
        "const r = new FinalizationRegistry((n) => r.register({}, n));"
        "setInterval(() => { for (let i = 0; i < 1e4; i++) r.register({}, i); }, 0);",
        _EITHER,
        _SHORT,
    ),
    "finalizers after its end": Hostile(
        "const r = new FinalizationRegistry(() => { for (;;); }); for (let i = 0; i < 1e5; i++) r.register({ i }, i);"
        "export default () => 1;",
        (None, "timed_out"),
        _BRIEF,
    ),
    "weak references": Hostile("const a = []; for (;;) a.push(new WeakRef({ x: new Array(100) }));", _EITHER, _SHORT),
    "text of text": Hostile(
        "const s = 'x'.repeat(2 ** 28); const a = []; for (let i = 0; ; i++) a.push((s + i).slice(1));", _MEMORY, _SMALL
    ),
    "text too long": Hostile("'x'.repeat(2 ** 30);", _BROKEN),
    "a replacement that grows": Hostile(
        "'a'.repeat(1e7).replace(/a/g, 'b'.repeat(1e4));", ("exit_nonzero", "out_of_memory"), _SMALL
    ),
    "a replacement that loops": Hostile(
        "'a'.repeat(1e6).replace(/(?:a|a|a)*?$/gu, () => { for (;;); });", _TIMED_OUT, _BRIEF
    ),
    "Workers that wait": Hostile(
        "const b = new SharedArrayBuffer(4); for (let i = 0; i < 4; i++)"
        + _WORKER % "'onmessage = ({ data }) => Atomics.wait(new Int32Array(data), 0, 0)'"
        + ".postMessage(b); Atomics.wait(new Int32Array(b), 0, 0);",
        _TIMED_OUT,
        _BRIEF,
    ),
    "Workers that spin on one number": Hostile(
        "const b = new SharedArrayBuffer(4); for (let i = 0; i < 3; i++)"
        + _WORKER % "'onmessage = ({ data }) => { for (;;) Atomics.add(new Int32Array(data), 0, 1); }'"
        + ".postMessage(b); for (;;) Atomics.add(new Int32Array(b), 0, 1);",
        _TIMED_OUT,
        _BRIEF,
    ),
    "waits that nobody ends": Hostile(
        "const a = new Int32Array(new SharedArrayBuffer(4)); for (;;) Atomics.waitAsync(a, 0, 0);", _EITHER, _SHORT
    ),
    "a generator in itself": Hostile("async function* g() { yield* g(); } for await (const x of g());", _BROKEN),
    "a promise in itself": Hostile(
        "const f = async (n) => { await 0; return f(n + 1); }; await f(0);", _EITHER, _SHORT
    ),
    "a thenable of itself": Hostile("const t = { then(r) { r(t); } }; await t;", _TIMED_OUT, _BRIEF),
    "a proxy of proxies": Hostile(
        "let p = {}; for (let i = 0; i < 1e6; i++) p = new Proxy(p, {}); p.x;", (*_EITHER, "exit_nonzero"), _SHORT
    ),
    "a storm of rejections": Hostile(
        "addEventListener('unhandledrejection', (e) => e.preventDefault());"
        "setInterval(() => { for (let i = 0; i < 1e4; i++) Promise.reject(i); }, 0);",
        _EITHER,
        _SHORT,
    ),
    "rejections that reject": Hostile(
        "addEventListener('unhandledrejection', (e) => { e.preventDefault(); Promise.reject(1); }); Promise.reject(0);",
        _TIMED_OUT,
        _BRIEF,
    ),
    "errors that throw": Hostile(
        "addEventListener('error', (e) => { e.preventDefault(); throw e.error; }); reportError(new Error('x'));",
        _BROKEN,
    ),
    "getters that it prints": Hostile(
        "for (;;) console.log({ get x() { return 1; }, [Symbol.for('Deno.customInspect')]: () => 'z'.repeat(1e6) });",
        ("output_limit",),
        {"timeout_s": 20, "resources": {"output_mb": 1}},
    ),
    "itself, as it prints it": Hostile(
        "const o = { [Symbol.for('Deno.customInspect')](inspect) { return inspect(o); } }; console.log(o);",
        (None, "exit_nonzero"),
    ),
    "100 MB without a line end": Hostile(
        "const b = new Uint8Array(4 << 20).fill(120); for (let n = 0; n < 25 * b.length;)"
        " n += Deno.stdout.writeSync(b);",
        ("output_limit",),
        {"timeout_s": 20},
    ),
    "stack traces without end": Hostile(
        "Error.prepareStackTrace = () => { for (;;); }; throw new Error('x');", _TIMED_OUT, _BRIEF
    ),
    "stack traces that throw": Hostile("Error.prepareStackTrace = () => { throw 1; }; throw new Error('x');", _BROKEN),
    "a stack trace of everything": Hostile("Error.stackTraceLimit = Infinity; const f = () => f(); f();", _BROKEN),
    "clones of clones": Hostile(
        "let o = {}; for (;;) o = { a: structuredClone(o), b: structuredClone(o) };", _EITHER, _SHORT
    ),
    "a clone too deep": Hostile("let o = []; for (let i = 0; i < 1e6; i++) o = [o]; structuredClone(o);", _BROKEN),
    "modules without number": Hostile(
        "for (let i = 0; ; i++) await import(`data:text/javascript,export default ${i};//${'x'.repeat(1e5)}`);",
        _EITHER,
        _SHORT,
    ),
    "itself, again and again": Hostile("await import(import.meta.url + `?${Math.random()}`);", _EITHER, _SHORT),
    "a module that never ends": Hostile(
        "await import('data:text/javascript,await new Promise(() => {})');", _TIMED_OUT, _BRIEF
    ),
    "a module that loops": Hostile("await import('data:text/javascript,for(;;);');", _TIMED_OUT, _BRIEF),
    "a module that waits for itself": Hostile("await import(import.meta.url);", _TIMED_OUT, _BRIEF),
    "machine code without end": Hostile(
        "for (let i = 0; ; i++) { const f = new Function('a', 'return ' + Array.from({ length: 2000 },"
        " (_, k) => `(a ^ ${(i * 7919 + k) | 0})`).join('+')); for (let k = 0; k < 3000; k++) f(k); }",
        _EITHER,
        _SHORT,
    ),
    "modules of WebAssembly": Hostile(_WASM_BOMB, _EITHER, {"timeout_s": 2, "resources": {"memory_mb": 128}}),
    "tables of WebAssembly": Hostile(
        "const a = []; for (;;) a.push(new WebAssembly.Table({ initial: 1e7, element: 'anyfunc' }));", _MEMORY, _SMALL
    ),
    "shared memory of WebAssembly": Hostile(
        "const m = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });"
        "for (;;) { m.grow(64); new Uint8Array(m.buffer).fill(1); }",
        _EITHER,
        _SHORT,
    ),
    "every operation of the runtime": Hostile(
        _EVERY_OPERATION, (None, "exit_nonzero", "signaled", *_EITHER), {"timeout_s": 2}
    ),
    "messages to its host": Hostile(_TO_THE_HOST, (None, "exit_nonzero", "signaled", *_EITHER), _SHORT),
    "a last word without end": Hostile("try { throw 1; } finally { for (;;); }", _TIMED_OUT, _BRIEF),
    "a last word of each call": Hostile("const f = () => { try { f(); } finally { f(); } }; f();", _TIMED_OUT, _BRIEF),
    "a generator that is not let go": Hostile(
        "function* g() { try { yield 1; } finally { for (;;); } } for (const x of g()) break;", _TIMED_OUT, _BRIEF
    ),
    "a resource that is not let go": Hostile(
        "{ using x = { [Symbol.dispose]() { for (;;); } }; }", _TIMED_OUT, {"timeout_s": 1, "runtime": "typescript"}
    ),
    "a source map to a file": Hostile("throw new Error('x');\n//# sourceMappingURL=file:///etc/passwd", _BROKEN),
    "threads of native code": Hostile(
        "import c from 'node:crypto'; for (let i = 0; i < 1000; i++) c.pbkdf2('a', 'b', 2e9, 64, 'sha512', () => {});",
        (*_TIMED_OUT, "pids_limit"),
        _BRIEF,
    ),
    "native memory": Hostile(
        "import c from 'node:crypto'; for (;;) c.scryptSync('a', 'b', 64, { N: 2 ** 20, r: 8, p: 1, maxmem: 1e12 });",
        _MEMORY,
        _SMALL,
    ),
    "a realm of its own": Hostile(
        "import vm from 'node:vm'; vm.runInNewContext('for (;;);', {}, { timeout: 1e9 });", _TIMED_OUT, _BRIEF
    ),
    "TypeScript too deep": Hostile("const a = " + "(" * 100_000 + "1" + ")" * 100_000 + ";", _CRASHED, _TYPESCRIPT),
    "TypeScript of types": Hostile("type T = " + "Array<" * 50_000 + "1" + ">" * 50_000 + ";", _CRASHED, _TYPESCRIPT),
    "TypeScript that is one line": Hostile("let a = 0;" + "a+=1;" * 130_000, (None,), _TYPESCRIPT),
}
