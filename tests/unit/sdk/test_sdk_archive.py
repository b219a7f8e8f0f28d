"""Folders as archives: the same bytes each time, without what does not belong, within bounds."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.spec import ArchiveSource, FilesSource, InlineSource
from vulcan_sdk import FileArchive, FolderArchive, PackLimits, SourceError, from_code, from_path
from vulcan_sdk.archive import CHUNK


def packed(folder: Path) -> bytes:
    return b"".join(FolderArchive(folder).chunks())


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        found = {}
        for entry in tar:
            file = tar.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read()
        return found


def project(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_it_holds_the_files(tmp_path: Path) -> None:
    files = {"main.ts": b"1", "lib/a.ts": b"", "lib/deep/b.bin": os.urandom(3 * CHUNK + 1), "ünï.txt": b"x" * 512}
    assert unpacked(packed(project(tmp_path, files))) == files


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z0-9]{1,150})?", fullmatch=True),
        st.binary(max_size=1500),
        min_size=1,
        max_size=6,
    )
)
def test_any_files_come_out_as_they_went_in(files: dict[str, bytes]) -> None:
    import tempfile

    files = {name: content for name, content in files.items() if not any(o.startswith(f"{name}/") for o in files)}
    with tempfile.TemporaryDirectory() as folder:
        assert unpacked(packed(project(Path(folder), files))) == files


def test_the_same_folder_is_the_same_bytes(tmp_path: Path) -> None:
    files = {name: name.encode() for name in ("b.ts", "a.ts", "z/a", "c")}
    first = project(tmp_path / "one", files)
    second = project(tmp_path / "two", dict(reversed(files.items())))
    os.utime(second / "a.ts", (1, 1))
    (second / "b.ts").chmod(0o600)
    assert packed(first) == packed(second)
    archive = FolderArchive(first)
    assert b"".join(archive.chunks()) == b"".join(archive.chunks())


def test_entries_carry_nothing_of_this_machine(tmp_path: Path) -> None:
    project(tmp_path, {"run.sh": b"1", "a": b"2"})
    (tmp_path / "run.sh").chmod(0o775)
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path)), mode="r:gz") as tar:
        entries = {entry.name: entry for entry in tar}
    assert {name: entry.mode for name, entry in entries.items()} == {"run.sh": 0o755, "a": 0o644}
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries.values()} == {(0, 0, "", "", 0)}


def test_what_does_not_belong_stays_out(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "main.ts": b"",
            ".git/config": b"",
            "node_modules/x/i.js": b"",
            "sub/node_modules/x": b"",
            "a.pyc": b"",
            ".env": b"SECRET=1",
            "data/big.csv": b"",
            "data/keep.txt": b"",
            "tmp/x": b"",
            "sub/tmp/x": b"",
            ".vulcanignore": b"# mine\n*.csv\n/tmp\n\n",
        },
    )
    assert FolderArchive(tmp_path).names == [".vulcanignore", "data/keep.txt", "main.ts", "sub/tmp/x"]


def test_a_link_is_refused_not_followed(tmp_path: Path) -> None:
    project(tmp_path, {"main.ts": b""})
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="is a link"):
        FolderArchive(tmp_path)


def test_it_is_bounded(tmp_path: Path) -> None:
    project(tmp_path, {f"{n}.ts": b"x" * 10 for n in range(5)})
    FolderArchive(tmp_path, limits=PackLimits(max_files=5, max_bytes=50))
    for limits in (PackLimits(max_files=4), PackLimits(max_bytes=49)):
        with pytest.raises(SourceError, match="too large"):
            FolderArchive(tmp_path, limits=limits)


def test_a_pipe_or_socket_is_left_out(tmp_path: Path) -> None:
    project(tmp_path, {"main.ts": b""})
    os.mkfifo(tmp_path / "fifo")
    assert FolderArchive(tmp_path).names == ["main.ts"]


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    project(tmp_path, {"a.bin": os.urandom(4 * CHUNK), "main.ts": b""})
    chunks = FolderArchive(tmp_path).chunks()
    next(chunks)
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(SourceError, match="shorter"):
        list(chunks)


@pytest.mark.parametrize("name", ["a\nb", "back\\slash"])
def test_a_name_that_no_sandbox_takes(tmp_path: Path, name: str) -> None:
    project(tmp_path, {"main.ts": b"", name: b""})
    with pytest.raises(SourceError, match="Rename it"):
        FolderArchive(tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing to run"):
        FolderArchive(tmp_path)


def test_a_folder_starts_at_its_main_file(tmp_path: Path) -> None:
    project(tmp_path, {"main.py": b"", "lib.py": b""})
    work = from_path(tmp_path)
    assert work.spec.source == ArchiveSource(entrypoint="main.py")
    assert work.spec.runtime == "python"


def test_a_folder_with_one_file_of_code_starts_there(tmp_path: Path) -> None:
    project(tmp_path, {"tool.go": b"", "readme.md": b""})
    assert from_path(tmp_path).spec.source == ArchiveSource(entrypoint="tool.go")


def test_a_folder_that_does_not_say_where_it_starts(tmp_path: Path) -> None:
    project(tmp_path, {"a.ts": b"", "b.ts": b""})
    with pytest.raises(SourceError, match=r"a\.ts, b\.ts"):
        from_path(tmp_path)
    assert from_path(tmp_path, entrypoint="b.ts").spec.source == ArchiveSource(entrypoint="b.ts")
    with pytest.raises(SourceError, match="is not in"):
        from_path(tmp_path, entrypoint="c.ts")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tgz"])
def test_an_archive_goes_as_it_is(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"p.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("src/main.ts", "1")
    else:
        file.write_bytes(packed(project(tmp_path / "p", {"src/main.ts": b"1"})))
    work = from_path(file)
    assert work.spec.source == ArchiveSource(entrypoint="src/main.ts")
    assert work.spec.runtime == "typescript"
    assert isinstance(work.archive, FileArchive)
    assert b"".join(work.archive.chunks()) == file.read_bytes()


def test_a_broken_archive(tmp_path: Path) -> None:
    for name in ("x.zip", "x.tar.gz"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(SourceError, match="cannot read the archive"):
            from_path(tmp_path / name)


def test_a_file_travels_as_text_under_its_name(tmp_path: Path) -> None:
    project(tmp_path, {"hello.js": b"console.log(1)"})
    work = from_path(tmp_path / "hello.js")
    assert work.spec.source == FilesSource(files={"hello.js": "console.log(1)"}, entrypoint="hello.js")
    assert work.spec.runtime == "javascript"
    assert work.archive is None


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"\xff\xfe\x00", "not UTF-8"), (b"x" * 600_000, "larger than 512 KiB")],
)
def test_a_file_that_is_no_code(tmp_path: Path, content: bytes, says: str) -> None:
    project(tmp_path, {"a.js": content})
    with pytest.raises(SourceError, match=says):
        from_path(tmp_path / "a.js")


def test_a_file_that_does_not_say_its_language(tmp_path: Path) -> None:
    project(tmp_path, {"tool": b"x = 1"})
    with pytest.raises(SourceError, match="which language"):
        from_path(tmp_path / "tool")
    assert from_path(tmp_path / "tool", runtime="python").spec.runtime == "python"
    project(tmp_path, {"tool": b"#!/usr/bin/env -S python3 -u\nx = 1"})
    assert from_path(tmp_path / "tool").spec.runtime == "python"


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        from_path(tmp_path / "nope")


def test_code_is_typescript_unless_it_says_otherwise() -> None:
    assert from_code("1").spec.source == InlineSource(code="1")
    assert from_code("1").spec.runtime == "typescript"
    assert from_code("#!/bin/sh\necho").spec.runtime == "shell"
    assert from_code("#!/bin/sh\necho", runtime="python").spec.runtime == "python"
    assert from_code("1", timeout_s=3.0, labels={"a": "b"}).spec.timeout_s == 3
    with pytest.raises(SourceError, match="no code"):
        from_code(" \n")
