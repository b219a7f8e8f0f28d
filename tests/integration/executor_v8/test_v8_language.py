import pytest

from support.v8_runs import program, run
from vulcan_executor_v8.backend import V8Backend

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_typescript_with_several_files_json_and_top_level_await(v8: V8Backend) -> None:
    files = {
        "src/main.ts": (
            "import { double } from './lib/math.ts';\n"
            "import data from '../data.json' with { type: 'json' };\n"
            "import { plain } from './plain.js';\n"
            "const { late } = await import('./late.ts');\n"
            "const base: number = await Promise.resolve(data.base);\n"
            "export default async (input: { n: number }) => ({ sum: double(input.n) + base, plain, late });"
        ),
        "src/lib/math.ts": "export function double(n: number): number { return n * 2; }",
        "src/plain.js": "export const plain = 'js';",
        "src/late.ts": "enum E { A = 'a' } export const late = E.A;",
        "data.json": '{"base": 40}',
    }
    ran = await run(v8, program(files, entrypoint="src/main.ts", input={"n": 1}))
    assert ran.result == {"sum": 42, "plain": "js", "late": "a"}


async def test_javascript(v8: V8Backend) -> None:
    ran = await run(v8, program("export default (x) => x.map((n) => n + 1);", runtime="javascript", input=[1, 2]))
    assert ran.result == [2, 3]


@pytest.mark.parametrize(
    ("stdin", "value"),
    [('{"a": [1, "✓"]}', {"a": [1, "✓"]}), ("plain text\n", "plain text\n"), ("", None), ("[1, 2", "[1, 2")],
)
async def test_without_input_a_function_receives_stdin(v8: V8Backend, stdin: str, value: object) -> None:
    assert (await run(v8, program("export default (x) => x;", stdin=stdin))).result == value


async def test_input_wins_over_stdin_which_is_still_there(v8: V8Backend) -> None:
    code = "export default async (x) => [x, Vulcan.input, await new Response(Deno.stdin.readable).text()];"
    assert (await run(v8, program(code, input=7, stdin="in"))).result == [7, 7, "in"]


@pytest.mark.parametrize(
    "code",
    [
        "console.log(await new Response(Deno.stdin.readable).text());",
        "import fs from 'node:fs'; console.log(fs.readFileSync(0, 'utf8'));",
        (
            "let all = ''; process.stdin.setEncoding('utf8'); process.stdin.on('data', (part) => { all += part; });"
            " process.stdin.on('end', () => console.log(all));"
        ),
        "const b = new Uint8Array(99); console.log(new TextDecoder().decode(b.slice(0, Deno.stdin.readSync(b))));",
    ],
)
async def test_stdin_by_every_door(v8: V8Backend, code: str) -> None:
    assert (await run(v8, program(code, stdin="héllo ✓"))).stdout == "héllo ✓\n"


async def test_large_stdin(v8: V8Backend) -> None:
    text = "0123456789" * 60_000
    ran = await run(v8, program("console.log((await new Response(Deno.stdin.readable).text()).length);", stdin=text))
    assert ran.stdout == f"{len(text)}\n"


async def test_no_stdin_is_end_of_file(v8: V8Backend) -> None:
    for _ in range(3):
        assert (await run(v8, "console.log(Deno.stdin.readSync(new Uint8Array(1)));")).stdout == "null\n"


async def test_args_and_environment_are_the_specs_and_nothing_else(v8: V8Backend) -> None:
    code = (
        "import process from 'node:process';"
        "export default () => [Deno.args, globalThis.process.argv.slice(2), Deno.env.toObject(), { ...process.env }];"
    )
    ran = await run(v8, program(code, args=["a b", "ü"], env={"A": "1", "B": "=x"}))
    env = {"A": "1", "B": "=x"}
    assert ran.result == [["a b", "ü"], ["a b", "ü"], env, env]


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("Deno.exit(7); console.log('not here');", 7),
        ("process.exit(8);", 8),
        ("import process from 'node:process'; process.exit(9);", 9),
        ("process.exitCode = 4;", 4),
        ("Deno.exitCode = 5;", 5),
        ("setTimeout(() => Deno.exit(6), 1); setInterval(() => {}, 1000);", 6),
        ("Deno.exit();", 0),
        ("Deno.exit(300);", 44),
    ],
)
async def test_exit_codes(v8: V8Backend, code: str, exit_code: int) -> None:
    ran = await run(v8, code)
    assert (ran.exit.exit_code, ran.exit.reason, ran.stdout) == (exit_code, None, "")


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("setTimeout(() => console.log('late'), 30);", "late"),
        ("(async () => { for (let i = 0; i < 2000; i++) await null; console.log('microtasks'); })();", "microtasks"),
        ("crypto.subtle.digest('SHA-256', new Uint8Array(9e6)).then(() => console.log('op'));", "op"),
        ("let n = 0; const t = setInterval(() => { if (++n === 3) { clearInterval(t); console.log(n); } }, 5);", "3"),
        ("queueMicrotask(() => setTimeout(() => queueMicrotask(() => console.log('deep')), 1));", "deep"),
        ("setImmediate(() => console.log('immediate'));", "immediate"),
        ("import('./other.ts');", "other"),
        (
            (
                "const { port1, port2 } = new MessageChannel(); "
                "port1.onmessage = (e) => { console.log(e.data); port1.close(); };"
                " port2.postMessage('port');"
            ),
            "port",
        ),
        ("process.on('exit', (code) => console.log('exit', code));", "exit 0"),
        ("addEventListener('unload', () => console.log('unload'));", "unload"),
    ],
)
async def test_a_program_ends_when_nothing_is_left_to_do(v8: V8Backend, code: str, printed: str) -> None:
    ran = await run(v8, program({"main.ts": code, "other.ts": "console.log('other');"}))
    assert (ran.stdout, ran.exit.exit_code) == (f"{printed}\n", 0), ran.stderr


async def test_a_timer_that_is_let_go_does_not_hold_the_program(v8: V8Backend) -> None:
    ran = await run(v8, "Deno.unrefTimer(setInterval(() => {}, 1000)); console.log('end');")
    assert (ran.stdout, ran.exit.exit_code) == ("end\n", 0)


async def test_an_interval_runs_until_it_is_killed(v8: V8Backend) -> None:
    ran = await run(v8, "setInterval(() => {}, 10);", timed_out_after_s=0.5)
    assert (ran.exit.signal, ran.exit.reason) == (9, None)


@pytest.mark.parametrize(
    ("code", "stderr"),
    [
        (
            "function f() {\n  throw new Error('boom');\n}\nf();",
            "Error: boom\n    at f (main.ts:2:9)\n    at main.ts:4:1\n",
        ),
        ("await Promise.reject(new TypeError('late'));", "TypeError: late\n    at main.ts:1:22\n"),
        ("Promise.reject(new Error('unheard'));", "Error: unheard\n    at main.ts:1:16\n"),
        (
            "setTimeout(() => { throw new Error('timer'); }, 1);",
            "Error: timer\n    at Timeout._onTimeout (main.ts:1:26)\n",
        ),
        ("throw { odd: 1 };", "{ odd: 1 }\n"),
        ("throw new Error('a', { cause: new Error('b') });", "Caused by: Error: b\n    at main.ts:1:31\n"),
        ("export default () => { throw new RangeError('in default'); };", "RangeError: in default\n    at "),
        ("const x = ;", "Expression expected"),
        ("import './missing.ts';", 'Module not found "missing.ts"'),
    ],
)
async def test_uncaught_errors_end_with_1_and_a_clean_stack(v8: V8Backend, code: str, stderr: str) -> None:
    ran = await run(v8, code)
    assert (ran.exit.exit_code, ran.exit.reason) == (1, None)
    assert stderr in ran.stderr
    assert not any(internal in ran.stderr for internal in ("ext:", "/vulcan/", "file://", "/src/", "blob:", "data:"))


@pytest.mark.parametrize(
    "code",
    [
        "addEventListener('unhandledrejection', (e) => { e.preventDefault(); console.log('mine'); }); Promise.reject()",
        (
            "addEventListener('error', (e) => { e.preventDefault(); console.log('mine'); });"
            " setTimeout(() => { throw 1; }, 1);"
        ),
        "process.on('uncaughtException', () => console.log('mine')); setTimeout(() => { throw new Error('x'); }, 1);",
        "process.on('unhandledRejection', () => console.log('mine')); Promise.reject(new Error('x'));",
    ],
)
async def test_a_program_may_handle_its_own_errors(v8: V8Backend, code: str) -> None:
    ran = await run(v8, code)
    assert (ran.stdout, ran.exit.exit_code) == ("mine\n", 0), ran.stderr


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("import 'https://example.com/x.ts';", "modules are not fetched from the network"),
        ("await import('http://example.com/x.ts');", "modules are not fetched from the network"),
        ("import 'npm:left-pad';", "only npm packages that this installation allows"),
        ("import 'jsr:@std/path';", "hint: "),
    ],
)
async def test_imports_from_elsewhere_are_refused_in_clear_words(v8: V8Backend, code: str, hint: str) -> None:
    ran = await run(v8, code)
    assert ran.exit.exit_code == 1
    assert hint in ran.stderr


@pytest.mark.parametrize(
    "code",
    [
        "export default () => 10n;",
        "export default () => { const a = {}; a.a = a; return a; };",
        "export default () => () => 1;",
    ],
)
async def test_a_result_that_is_not_json(v8: V8Backend, code: str) -> None:
    ran = await run(v8, code)
    assert (ran.exit.exit_code, ran.exit.has_result) == (1, False)
    assert "The result cannot be written as JSON" in ran.stderr


async def test_undefined_is_no_result(v8: V8Backend) -> None:
    assert not (await run(v8, "export default () => {};")).exit.has_result


async def test_100_000_lines(v8: V8Backend) -> None:
    ran = await run(v8, "for (let i = 0; i < 100_000; i++) console.log('line ' + i);")
    assert ran.stdout == "".join(f"line {number}\n" for number in range(100_000))


async def test_unicode_and_bytes(v8: V8Backend) -> None:
    ran = await run(v8, "console.log('✓ 𝄞 é'); Deno.stdout.writeSync(new Uint8Array([0, 255, 10]));")
    assert bytes(ran.output.streams["stdout"]) == "✓ 𝄞 é\n".encode() + b"\x00\xff\n"


async def test_artifacts(v8: V8Backend) -> None:
    code = (
        "Vulcan.artifact('out/a.txt', 'old'); Vulcan.artifact('out/a.txt', 'new ✓');"
        "Vulcan.artifact('out/b.bin', new Uint8Array([0, 1, 255]).subarray(1)); Vulcan.artifact('other.txt', 'x');"
    )
    ran = await run(v8, program(code, artifacts=["out/*"]))
    assert ran.artifacts == {"out/a.txt": "new ✓".encode(), "out/b.bin": b"\x01\xff"}
    assert ran.said == ["Not kept, because no pattern in the workload's artifacts means it: other.txt"]


@pytest.mark.parametrize("name", ["", "../x", "/x", "a//b", "a/./b", "a\\b", "a\0b"])
async def test_an_artifact_needs_a_plain_relative_name(v8: V8Backend, name: str) -> None:
    import json

    ran = await run(v8, program(f"Vulcan.artifact({json.dumps(name)}, 'x');", artifacts=["**"]))
    assert ran.exit.exit_code == 1
    assert "Vulcan.artifact: " in ran.stderr
    assert ran.artifacts == {}
