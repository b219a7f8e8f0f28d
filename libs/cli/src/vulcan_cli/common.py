"""The options that every command has, and the client they lead to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from vulcan_sdk.client import Vulcan


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    json: bool = False
    """Print JSON, errors too."""

    url: str | None = None
    """Where Vulcan is; without it VULCAN_URL, then the stack on this machine."""

    verbose: Annotated[bool, Parameter(alias="-v")] = False
    """Say more."""


COMMON = Common()


def group(name: str, about: str) -> App:
    """A command that has commands of its own."""
    parameter = Parameter(negative=(), show_default=False)
    return App(name=name, help=about, help_format="markdown", default_parameter=parameter)


def connect(common: Common, *, timeout_s: float = 30.0) -> "Vulcan":
    """The client. A server that is not there is reported soon; one that was there is waited for."""
    from vulcan_sdk.client import Vulcan
    from vulcan_sdk.retry import RetryPolicy

    return Vulcan(url=common.url, timeout_s=timeout_s, retries=RetryPolicy(max_attempts=3, reconnect_s=120.0))
