"""The Python client, async and sync, over HTTP only.

    from vulcan_sdk import Vulcan, from_code

    with Vulcan() as vulcan:
        print(vulcan.run(from_code("console.log('hello')")).stdout)

Names are imported when they are first used: the client of one kind does not pay for the other, nor `config` for httpx.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vulcan_sdk.archive import Archive, FileArchive, FolderArchive, PackLimits
    from vulcan_sdk.async_client import AsyncVulcan
    from vulcan_sdk.client import Vulcan
    from vulcan_sdk.config import Config, discover
    from vulcan_sdk.errors import (
        ApiError,
        ConfigError,
        ConnectError,
        DeadlineError,
        ProtocolError,
        SourceError,
        VulcanError,
    )
    from vulcan_sdk.filters import LineFilter, WorkloadFilter
    from vulcan_sdk.retry import RetryPolicy
    from vulcan_sdk.source import from_code, from_path
    from vulcan_sdk.work import Work

__all__ = [
    "ApiError",
    "Archive",
    "AsyncVulcan",
    "Config",
    "ConfigError",
    "ConnectError",
    "DeadlineError",
    "FileArchive",
    "FolderArchive",
    "LineFilter",
    "PackLimits",
    "ProtocolError",
    "RetryPolicy",
    "SourceError",
    "Vulcan",
    "VulcanError",
    "Work",
    "WorkloadFilter",
    "discover",
    "from_code",
    "from_path",
]

_MODULES: Final = {
    "archive": ("Archive", "FileArchive", "FolderArchive", "PackLimits"),
    "async_client": ("AsyncVulcan",),
    "client": ("Vulcan",),
    "config": ("Config", "discover"),
    "errors": (
        "ApiError",
        "ConfigError",
        "ConnectError",
        "DeadlineError",
        "ProtocolError",
        "SourceError",
        "VulcanError",
    ),
    "filters": ("LineFilter", "WorkloadFilter"),
    "retry": ("RetryPolicy",),
    "source": ("from_code", "from_path"),
    "work": ("Work",),
}
_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
