import os
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from support.archives import entry, gzip_of, overlapping_zip, raw_header, tar_gz, zip_info, zip_of
from vulcan_sandbox.archive import (
    ArchiveInfo,
    ArchiveLimits,
    ArchiveRefusedError,
    CancelledByCallerError,
    detect,
    extract,
    inspect,
)

LIMITS = ArchiveLimits(max_bytes=1_000_000, max_entries=50)
MAIN = ("main.js", b"print()")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


def refused(path: Path, out: Path, *, limits: ArchiveLimits = LIMITS, entrypoint: str | None = None) -> str:
    """Both ways to look at it refuse it, in the same words; nothing got out of the folder."""
    before = everything(out.parent) - everything(out)
    with pytest.raises(ArchiveRefusedError) as first:
        inspect(path, limits, entrypoint=entrypoint)
    with pytest.raises(ArchiveRefusedError) as second:
        extract(path, out, limits, entrypoint=entrypoint)
    assert everything(out.parent) - everything(out) == before
    assert not any(found.is_symlink() for found in out.rglob("*"))
    assert str(first.value) == str(second.value)
    return str(second.value)


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def both(path: Path, out: Path, *, entrypoint: str | None = None) -> ArchiveInfo:
    seen = inspect(path, LIMITS, entrypoint=entrypoint)
    assert extract(path, out, LIMITS, entrypoint=entrypoint) == seen
    return seen


def test_tar_is_unpacked(upload: Path, out: Path) -> None:
    tar_gz(
        upload,
        entry("./", tarfile.DIRTYPE, mode=0o700),
        ("./src/main.js", b"code"),
        entry("run.sh", mode=0o100),
        ("e", b""),
    )
    info = both(upload, out, entrypoint="src/main.js")
    assert info == ArchiveInfo(format="tar.gz", files=["e", "run.sh", "src/main.js"], unpacked_bytes=4)
    assert (out / "src/main.js").read_bytes() == b"code"
    assert stat.S_IMODE((out / "src/main.js").stat().st_mode) == 0o644
    assert stat.S_IMODE((out / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "src").stat().st_mode) == 0o755


def test_zip_is_unpacked(upload: Path, out: Path) -> None:
    zip_of(upload, ("src/", b""), ("src/main.js", b"code" * 1000), (zip_info("run.sh", 0o100755), b"x"))
    info = both(upload, out, entrypoint="src/main.js")
    assert info == ArchiveInfo(format="zip", files=["run.sh", "src/main.js"], unpacked_bytes=4001)
    assert (out / "src/main.js").read_bytes() == b"code" * 1000
    assert os.access(out / "run.sh", os.X_OK)


@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(upload: Path, out: Path, fmt: int) -> None:
    name = "d" * 60 + "/" + "n" * 90 + ".js"
    tar_gz(upload, (name, b"x"), ("grüße ✓.txt", b"y"), fmt=fmt)
    assert both(upload, out).files == sorted([name, "grüße ✓.txt"])


def test_umask_does_not_hide_files_from_the_sandbox(upload: Path, out: Path) -> None:
    tar_gz(upload, ("a/b.js", b"x"))
    before = os.umask(0o077)
    try:
        extract(upload, out, LIMITS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((out / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "a/b.js").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/etc/passwd", "absolute"),
        ("../up.js", "'..'"),
        ("a/../../up.js", "'..'"),
        ("a/..", "'..'"),
        ("./../x", "'..'"),
        ("a//b", "empty or '.'"),
        ("a/./b", "empty or '.'"),
        ("C:\\x", "backslash"),
        ("a\nb", "control"),
        ("x/" * 40 + "y", "deeper"),
        ("n" * 256, "longer than 255"),
        (("d" * 250 + "/") * 5 + "x", "longer than 1024"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_unsafe_names_are_refused(upload: Path, out: Path, name: str, says: str, kind: str) -> None:
    if kind == "tar":
        tar_gz(upload, MAIN, (name, b"x"))
    else:
        zip_of(upload, MAIN, (name, b"x"))
    message = refused(upload, out)
    assert says in message
    assert ascii(name[:100])[1:-1] in message


def test_nul_in_names(upload: Path, out: Path) -> None:
    info = zipfile.ZipInfo("ok.js")
    zip_of(upload, (info, b"x"))
    upload.write_bytes(upload.read_bytes().replace(b"ok.js", b"o\x00.js"))
    assert "NUL" in refused(upload, out)


def test_tar_names_that_are_not_utf8(upload: Path, out: Path) -> None:
    gzip_of(upload, raw_header(b"caf\xe9.js", 0), b"\0" * 1024)
    assert "UTF-8" in refused(upload, out)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "neither"),
        (tarfile.BLKTYPE, "neither"),
        (tarfile.FIFOTYPE, "neither"),
        (b"Z", "neither"),
    ],
)
def test_tar_holds_files_and_folders_only(upload: Path, out: Path, kind: bytes, says: str) -> None:
    tar_gz(upload, MAIN, entry("evil", kind, link="/etc/passwd"))
    message = refused(upload, out)
    assert says in message
    assert "'evil'" in message


@pytest.mark.parametrize(("mode", "says"), [(0o120777, "link"), (0o020666, "neither"), (0o010666, "neither")])
def test_zip_holds_files_and_folders_only(upload: Path, out: Path, mode: int, says: str) -> None:
    zip_of(upload, MAIN, (zip_info("evil", mode), b"/etc/passwd"))
    assert says in refused(upload, out)


def test_a_file_through_a_link_never_gets_out(upload: Path, out: Path, tmp_path: Path) -> None:
    tar_gz(upload, entry("door", tarfile.SYMTYPE, link=str(tmp_path)), ("door/escaped", b"x"))
    refused(upload, out)
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a", "a"], "twice"),
        (["a", "./a"], "twice"),
        (["a", "a/b"], "file and a folder"),
        (["a/b", "a"], "file and as a folder"),
    ],
)
def test_clashes_are_refused(upload: Path, out: Path, names: list[str], says: str) -> None:
    tar_gz(upload, *((name, b"x") for name in names))
    assert says in refused(upload, out)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_clashes_are_refused(upload: Path, out: Path) -> None:
    zip_of(upload, ("a", b"1"), ("a", b"2"))
    assert "twice" in refused(upload, out)


def test_the_same_folder_twice_is_fine(upload: Path, out: Path) -> None:
    tar_gz(upload, entry("d", tarfile.DIRTYPE), entry("d", tarfile.DIRTYPE), ("d/x", b"x"))
    assert both(upload, out).files == ["d/x"]


def test_entrypoint_must_be_there(upload: Path, out: Path) -> None:
    tar_gz(upload, ("project/main.js", b"x"))
    assert "'main.js', the entrypoint" in refused(upload, out, entrypoint="main.js")


def test_entrypoint_must_be_a_file(upload: Path, out: Path) -> None:
    tar_gz(upload, ("main.js/x", b"x"))
    assert "entrypoint" in refused(upload, out, entrypoint="main.js")


@pytest.mark.parametrize("make", [tar_gz, zip_of])
def test_bombs_cost_no_more_than_the_limit(upload: Path, out: Path, make: Callable[..., Path]) -> None:
    make(upload, MAIN, ("bomb", b"\0" * 50_000_000))
    assert upload.stat().st_size < 1_000_000
    tracemalloc.start()
    message = refused(upload, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "disk limit" in message
    assert "'bomb'" in message
    assert peak < 8_000_000
    assert sum(found.stat().st_size for found in out.rglob("*") if found.is_file()) <= LIMITS.max_bytes


def test_many_small_ones_are_a_bomb_too(upload: Path, out: Path) -> None:
    tar_gz(upload, *((f"f{number}", b"") for number in range(60)))
    assert "more than 50" in refused(upload, out)


def test_folders_count(upload: Path, out: Path) -> None:
    tar_gz(upload, *((f"{number}/a/b/c/d/e/f", b"") for number in range(10)))
    assert "more than 50 files and folders" in refused(upload, out)


def test_overlapping_zip_entries(upload: Path, out: Path) -> None:
    overlapping_zip(upload, entries=40, content=b"\0" * 100_000)
    with pytest.raises(ArchiveRefusedError):
        extract(upload, out, LIMITS)
    assert sum(found.stat().st_size for found in out.rglob("*")) <= LIMITS.max_bytes


def test_a_directory_too_large_for_memory(upload: Path, out: Path) -> None:
    zip_of(upload, *((f"{number:05}{'x' * 200}", b"") for number in range(200)))
    assert "directory" in refused(upload, out)


def test_zip64_is_refused(upload: Path, out: Path) -> None:
    data = zip_of(upload, MAIN).read_bytes()
    upload.write_bytes(data[:-22] + b"PK\x06\x07" + b"\0" * 16 + data[-22:])
    assert "zip64" in refused(upload, out)


def test_encrypted_zip(upload: Path, out: Path) -> None:
    zip_of(upload, ("main.js", b"x"))
    data = bytearray(upload.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    upload.write_bytes(data)
    assert "encrypted" in refused(upload, out)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_hungry_compressions_are_refused(upload: Path, out: Path, method: int) -> None:
    zip_of(upload, ("main.js", b"x" * 1000), compression=method)
    assert "unusual" in refused(upload, out)


def test_zip_that_lies_about_sizes(upload: Path, out: Path) -> None:
    zip_of(upload, ("main.js", b"x" * 10_000))
    data = bytearray(upload.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    upload.write_bytes(data)
    with pytest.raises(ArchiveRefusedError, match="broken"):
        extract(upload, out, LIMITS)


def test_pax_header_bomb(upload: Path, out: Path) -> None:
    gzip_of(upload, raw_header(b"pax", 40_000_000, b"x"), *([b"\0" * 1_000_000] * 40), b"\0" * 1024)
    tracemalloc.start()
    message = refused(upload, out, limits=ArchiveLimits(max_bytes=100_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "header that is too long" in message
    assert peak < 8_000_000


@pytest.mark.parametrize("size", [8**11 - 1, 2**62])
def test_tar_that_lies_about_sizes(upload: Path, out: Path, size: int) -> None:
    gzip_of(upload, raw_header(b"main.js", size), b"x" * 5000)
    assert "broken" in refused(upload, out)


def test_sparse_tar(upload: Path, out: Path) -> None:
    gzip_of(upload, raw_header(b"sparse", 0, b"S"), b"\0" * 1024)
    assert "neither" in refused(upload, out)


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"hello world", b"\x1f\x8b", b"\x1f\x8b\x08\0garbage that is no gzip", b"PK\x03\x04" + b"x" * 100],
)
def test_what_is_no_archive(upload: Path, out: Path, data: bytes) -> None:
    upload.write_bytes(data)
    refused(upload, out)


def test_cut_off_archives(tmp_path: Path, out: Path) -> None:
    for make, name in ((tar_gz, "tar"), (zip_of, "zip")):
        whole = make(tmp_path / name, MAIN, ("data", os.urandom(20_000))).read_bytes()
        for part in (10, len(whole) // 2, len(whole) - 30):
            cut = tmp_path / f"{name}-{part}"
            cut.write_bytes(whole[:part])
            target = tmp_path / f"out-{name}-{part}"
            target.mkdir()
            with pytest.raises(ArchiveRefusedError):
                extract(cut, target, LIMITS)


def test_bits_that_flipped_do_not_crash(tmp_path: Path) -> None:
    originals = [
        tar_gz(tmp_path / "t", MAIN, ("data/x", b"abc" * 300)),
        zip_of(tmp_path / "z", MAIN, ("d/x", b"abc" * 300)),
    ]
    for original in originals:
        whole = original.read_bytes()
        for at in range(len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << (at % 8)
            path = tmp_path / "damaged"
            path.write_bytes(damaged)
            with suppress(ArchiveRefusedError):
                inspect(path, LIMITS)


def test_it_can_be_stopped(upload: Path, out: Path) -> None:
    tar_gz(upload, *((f"f{number}", b"x") for number in range(10)))
    with pytest.raises(CancelledByCallerError):
        extract(upload, out, LIMITS, cancelled=lambda: len(list(out.iterdir())) >= 3)
    assert len(list(out.iterdir())) == 3


def test_detect(tmp_path: Path) -> None:
    assert detect(tar_gz(tmp_path / "a.zip", MAIN)) == "tar.gz"
    assert detect(zip_of(tmp_path / "a.tar.gz", MAIN)) == "zip"
