"""Values as people read and write them: durations, sizes, times, `K=V` pairs."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from vulcan_cli.errors import UsageError

_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)(|[kmgt])(?:i?b)?", re.IGNORECASE)
_MEMORY_MB: Final = {"": 1.0, "k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def duration_s(text: str, option: str) -> float:
    """Seconds from `90`, `1.5`, `30s`, `5m`, `1h30m`, `2d`."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise UsageError(f"{option} {text!r} is not a duration", hint="Write 90, 1.5, 30s, 5m, 1h30m or 2d.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


def memory_mb(text: str, option: str) -> int:
    """MiB from `256`, `256m`, `1.5g`."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option} {text!r} is not an amount of memory", hint="Write 256, 256m or 1.5g.")
    return int(float(match[1]) * _MEMORY_MB[match[2].lower()])


def moment(text: str, option: str) -> datetime:
    """A time: ISO 8601 (without a zone: local), or a duration ago."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is not None and not text.isdigit():
        return parsed.astimezone(UTC)
    try:
        return datetime.now(UTC) - timedelta(seconds=duration_s(text, option))
    except (UsageError, OverflowError) as error:
        raise UsageError(
            f"{option} {text!r} is neither a time nor a duration",
            hint="Write 2026-01-31T12:00:00Z, or 10m for ten minutes ago.",
        ) from error


def pairs(entries: Iterable[str], option: str) -> dict[str, str]:
    """`K=V` entries as a dict."""
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {entry!r} is not NAME=VALUE")
        found[name] = value
    return found


def environment(entries: Iterable[str], environ: Mapping[str, str], option: str = "--env") -> dict[str, str]:
    """`K=V` entries, and `K` alone for the value that this process has."""
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals and name not in environ:
            raise UsageError(f"{option} {name}: there is no such variable here", hint=f"Write {option} {name}=VALUE.")
        found[name] = value if equals else environ[name]
    return found


def plain(text: object) -> str:
    """Text that came from elsewhere, on one line and without what would steer a terminal."""
    return _CONTROL.sub("\ufffd", str(text).replace("\n", " ").replace("\t", " "))


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, roughly: `4s`, `12m`, `3h`, `5d`."""
    if moment is None:
        return "-"
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def millis(value: float | None) -> str:
    """A duration in milliseconds, readably: `3.1 ms`, `12.0 s`."""
    if value is None:
        return "-"
    if value < 1000:
        return f"{value:.1f} ms"
    return f"{value / 1000:.1f} s" if value < 600_000 else f"{value / 60_000:.0f} min"


def size(value: float | None) -> str:
    """Bytes, readably: `512 B`, `3.4 KiB`."""
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
