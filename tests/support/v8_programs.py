"""JavaScript and TypeScript programs for the backend contract."""

import json

from vulcan_contracts.spec import FilesSource, InlineSource, Runtime, Spec


def script(code: str, *, runtime: Runtime = "typescript") -> Spec:
    """A workload of one file."""
    return Spec(source=InlineSource(code=code), runtime=runtime, isolation="v8")


class V8Programs:
    """One program for each behaviour of the contract."""

    def prints(self, stdout: str, stderr: str) -> Spec:
        return script(f"console.log({json.dumps(stdout)}); console.error({json.dumps(stderr)});")

    def prints_bytes(self, data: bytes) -> Spec | None:
        return script(f"Deno.stdout.writeSync(new Uint8Array({list(data)}));")

    def counts(self, lines: int) -> Spec:
        return script(f"for (let i = 1; i <= {lines}; i++) console.log(i);")

    def echoes_stdin(self) -> Spec:
        return script(
            "for await (const part of Deno.stdin.readable) { for (let at = 0; at < part.length;) "
            "at += Deno.stdout.writeSync(part.subarray(at)); }"
        )

    def prints_args(self) -> Spec:
        return script("for (const argument of Deno.args) console.log(argument);")

    def prints_env(self, name: str) -> Spec:
        return script(f"console.log(Deno.env.get({json.dumps(name)}));")

    def exits(self, code: int) -> Spec:
        return script(f"Deno.exit({code});")

    def returns(self, value: object) -> Spec | None:
        return script(f"export default () => ({json.dumps(value)});")

    def hangs(self) -> Spec:
        return script("console.log('ready'); setInterval(() => {}, 3600_000);")

    def spins(self) -> Spec | None:
        return script("console.log('ready'); for (;;);")

    def floods(self) -> Spec:
        return script("const line = 'x'.repeat(1000); for (;;) console.log(line);")

    def leaves(self, path: str, content: str) -> Spec | None:
        return script(f"Vulcan.artifact({json.dumps(path)}, {json.dumps(content)});")

    def hogs_memory(self) -> Spec | None:
        return script("const kept = []; for (;;) kept.push(new Uint8Array(1_000_000).fill(1));")

    def is_broken(self) -> Spec | None:
        return script("const x = ;")

    def imports_sibling(self, printed: str) -> Spec | None:
        files = {
            "main.ts": "import { word } from './lib/word.ts'; console.log(word);",
            "lib/word.ts": f"export const word: string = {json.dumps(printed)};",
        }
        return Spec(source=FilesSource(files=files, entrypoint="main.ts"), runtime="typescript", isolation="v8")
