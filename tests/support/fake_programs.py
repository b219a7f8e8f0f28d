"""The contract's programs in the fake backend's language, and specs of scripts."""

import json
import shlex
from typing import Any

from vulcan_contracts.spec import FilesSource, InlineSource, Spec


def script(*lines: str, **fields: Any) -> Spec:
    """A spec that runs these commands."""
    return Spec(source=InlineSource(code="\n".join(lines)), runtime="javascript", **fields)


class FakePrograms:
    """`vulcan_sandbox.contract.Programs` for the fake backend."""

    def prints(self, stdout: str, stderr: str) -> Spec:
        return script(f"print {shlex.quote(stdout)}", f"error {shlex.quote(stderr)}")

    def prints_bytes(self, data: bytes) -> Spec:
        return script(f"write {data.hex()}")

    def counts(self, lines: int) -> Spec:
        return script(f"count {lines}")

    def echoes_stdin(self) -> Spec:
        return script("stdin")

    def prints_args(self) -> Spec:
        return script("args")

    def prints_env(self, name: str) -> Spec:
        return script(f"env {name}")

    def exits(self, code: int) -> Spec:
        return script(f"exit {code}")

    def returns(self, value: object) -> Spec:
        return script(f"result {shlex.quote(json.dumps(value))}")

    def hangs(self) -> Spec:
        return script("print ready", "hang")

    def spins(self) -> Spec:
        return script("print ready", "ignore_term")

    def floods(self) -> Spec:
        return script("flood")

    def leaves(self, path: str, content: str) -> Spec:
        return script(f"file {path} {shlex.quote(content)}", "file other.bin x")

    def hogs_memory(self) -> Spec:
        return script("limit out_of_memory 'took more than it may'")

    def is_broken(self) -> Spec:
        return script("this is no command")

    def imports_sibling(self, printed: str) -> Spec:
        files = {"main.txt": "include lib/part.txt", "lib/part.txt": f"print {shlex.quote(printed)}"}
        return Spec(source=FilesSource(files=files, entrypoint="main.txt"), runtime="javascript")
