"""Archives that cost more than they look like: refused, or unpacked while everything else goes on."""

import io
import json
import tarfile
import time
from typing import Any

import httpx
import pytest

from support.neighbours import Neighbours, Timed

_MAIN = ("main.js", b"export default () => import.meta.url.length > 0;")


def _packed(files: list[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, data in [*files, _MAIN]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _run(api: httpx.Client, packed: bytes) -> tuple[Timed, int]:
    spec = {"source": {"type": "archive", "entrypoint": "main.js"}, "runtime": "javascript"}
    form: dict[str, Any] = {"spec": (None, json.dumps(spec), "application/json"), "archive": ("a.tar.gz", packed)}
    began = time.monotonic()
    answer = api.post("/v1/workloads", params={"wait": 60}, files=form)
    return Timed(began, time.monotonic(), answer.json()), answer.status_code


ARCHIVES = {
    "thousands of small files": ([(f"{n}.js", b"1") for n in range(4000)], 200),
    "thousands of files far below": ([("/".join(["a"] * 28) + f"/{n}.js", b"1") for n in range(4000)], 200),
    "thousands of folders": ([(f"{n}/{n}.js", b"1") for n in range(2000)], 200),
    "more than it may hold": ([(f"{n}.js", b"") for n in range(10_001)], 422),
    "zeros": ([("zeros", bytes(100 << 20))], 200),
    "more zeros than the disk limit": ([(f"zeros{n}", bytes(100 << 20)) for n in range(3)], 422),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_costs_only_its_own_run(api: httpx.Client, neighbours: Neighbours, name: str) -> None:
    files, status = ARCHIVES[name]
    attack, answered = _run(api, _packed(files))
    assert answered == status, attack.view
    if status == httpx.codes.OK:
        assert (attack.view["reason"], attack.view["result"]) == (None, True), attack.view
    else:
        assert attack.view["code"] == "invalid_archive", attack.view
    neighbours.assert_unhurt(attack)
