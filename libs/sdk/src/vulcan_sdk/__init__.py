"""The Python client, async and sync, over HTTP only.

from vulcan_sdk import Vulcan, from_code

with Vulcan() as vulcan:
    print(vulcan.run(from_code("console.log('hello')").spec()).stdout)
"""

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
from vulcan_sdk.retry import RetryPolicy
from vulcan_sdk.source import Prepared, from_code, from_path

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
    "PackLimits",
    "Prepared",
    "ProtocolError",
    "RetryPolicy",
    "SourceError",
    "Vulcan",
    "VulcanError",
    "discover",
    "from_code",
    "from_path",
]
