"""Where Vulcan is and which key opens it, found without being told: arguments, environment, embedded stack."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from vulcan_sdk.errors import ConfigError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
ENDPOINT_FILE: Final = "endpoint"
KEY_FILE: Final = "admin.key"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Config(Struct, frozen=True, kw_only=True):
    """Where to go and with which key. The `_from` fields say where each was found, for messages."""

    url: str
    api_key: str | None
    url_from: str
    key_from: str

    @property
    def local(self) -> bool:
        """True if the URL is on this machine, where no proxy is wanted."""
        return is_loopback(self.url)


def is_loopback(url: str) -> bool:
    """True if the URL's host is this machine."""
    return (urlsplit(url).hostname or "") in _LOOPBACK


def discover(url: str | None = None, api_key: str | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Find the URL and the key.

    URL: the argument, VULCAN_URL, the embedded stack's `endpoint` file, http://127.0.0.1:8080.
    Key: the argument, VULCAN_API_KEY, the file that VULCAN_API_KEY_FILE names, the embedded stack's `admin.key`;
    the last only for the embedded stack's own URL, so that it is never sent to another server.

    Raises:
        ConfigError: what is configured cannot be used; a key file that others may read or write is refused.
    """
    env = os.environ if environ is None else environ
    data = data_dir(env)
    embedded = _read_endpoint(data) or DEFAULT_URL
    if url is not None:
        chosen, url_from = url, "the argument"
    elif env.get("VULCAN_URL"):
        chosen, url_from = env["VULCAN_URL"], "VULCAN_URL"
    else:
        chosen, url_from = embedded, str(data / ENDPOINT_FILE) if embedded != DEFAULT_URL else "the default"
    checked = _checked_url(chosen, url_from)
    key, key_from = _key(api_key, env, data, own=_origin(checked) == _origin(embedded))
    return Config(url=checked, api_key=key, url_from=url_from, key_from=key_from)


def data_dir(environ: Mapping[str, str]) -> Path:
    """The embedded stack's data directory."""
    if environ.get("VULCAN_DATA_DIR"):
        return Path(environ["VULCAN_DATA_DIR"]).expanduser()
    return Path(environ.get("HOME") or "~").expanduser() / ".local" / "share" / "vulcan"


def _read_endpoint(data: Path) -> str | None:
    try:
        return (data / ENDPOINT_FILE).read_text("utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _checked_url(url: str, found_in: str) -> str:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            f"{found_in} is not an address of Vulcan: {url!r}", hint=f"Write it as in {DEFAULT_URL}, and nothing else."
        )
    return url.rstrip("/")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    default_port = 443 if parts.scheme == "https" else 80
    return parts.scheme, "loopback" if host in _LOOPBACK else host, parts.port or default_port


def _key(api_key: str | None, env: Mapping[str, str], data: Path, *, own: bool) -> tuple[str | None, str]:
    if api_key is not None:
        return _checked_key(api_key, "the argument"), "the argument"
    if env.get("VULCAN_API_KEY"):
        return _checked_key(env["VULCAN_API_KEY"], "VULCAN_API_KEY"), "VULCAN_API_KEY"
    if env.get("VULCAN_API_KEY_FILE"):
        path = Path(env["VULCAN_API_KEY_FILE"]).expanduser()
        return read_key_file(path), str(path)
    path = data / KEY_FILE
    if own:
        try:
            if path.exists():
                return read_key_file(path), str(path)
        except PermissionError:
            return None, "nowhere"  # another user's stack: no key of ours
    return None, "nowhere"


def _checked_key(key: str, found_in: str) -> str:
    key = key.strip()
    if not key or not key.isascii() or any(c.isspace() or not c.isprintable() for c in key):
        raise ConfigError(f"{found_in} does not hold an API key", hint="A key looks like vk_<id>_<secret>.")
    return key


def read_key_file(path: Path) -> str:
    """The key in this file.

    Raises:
        ConfigError: it cannot be read, holds no key, or other users may read or write it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(4096)
    except OSError as error:
        raise ConfigError(
            f"cannot read the key file {path}: {error.strerror}", hint="Set VULCAN_API_KEY or VULCAN_API_KEY_FILE."
        ) from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(
            f"refusing the key file {path}: every user of this machine can read or write it",
            hint=f"Run: chmod 600 {path}",
        )
    return _checked_key(raw.decode("utf-8", "replace"), str(path))
