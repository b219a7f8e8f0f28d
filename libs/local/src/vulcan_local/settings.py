"""What `vulcan up` can be told by the environment."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from vulcan_chassis.listen import Listen

Positive = Annotated[float, Meta(gt=0)]


class LocalSettings(Struct, frozen=True, kw_only=True):
    """Settings of the embedded stack; the services read their own from the same environment."""

    data_dir: Path = field(default_factory=lambda: Path("~/.local/share/vulcan").expanduser())
    listen: Listen = "127.0.0.1:8080"
    api_key: str | None = None
    nats_url: str | None = None
    """Given: no nats-server is started."""
    database_url: str | None = None
    """Given: no PostgreSQL is started."""
    install: bool = True
    """As root on Debian: install missing system packages."""
    sample: bool = True
    """After the start, run a small program on every backend."""
    start_timeout_s: Positive = 60.0
    """For each service to become ready."""
    stop_timeout_s: Positive = 20.0
    """For each service to stop; the services read it too and get 5 s more before SIGKILL."""
    log_file_bytes: Annotated[int, Meta(ge=65_536)] = 16_777_216
    """Of each service's log file, before it becomes `.1` and the older one goes."""
