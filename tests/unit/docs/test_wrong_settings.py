"""A wrong setting ends a start at once and by name, whatever service it is for."""

import pytest
from msgspec import Struct

from vulcan_chassis.service import ServiceSettings
from vulcan_chassis.settings import SettingsError, load
from vulcan_executor_v8.wiring import ExecutorV8Settings
from vulcan_gateway.settings import GatewaySettings
from vulcan_local.settings import LocalSettings
from vulcan_logstore.settings import LogstoreSettings

POSTGRES = "postgresql://user@localhost/vulcan"


@pytest.mark.parametrize(
    ("settings", "variable", "value"),
    [
        (ServiceSettings, "VULCAN_OPS_LISTEN", "127.0.0.1:65536"),
        (ServiceSettings, "VULCAN_LOG_LEVEL", "loud"),
        (GatewaySettings, "VULCAN_LISTEN", "8080"),
        (GatewaySettings, "VULCAN_DATABASE_URL", "mysql://localhost/vulcan"),
        (GatewaySettings, "VULCAN_NATS_REPLICAS", "0"),
        (GatewaySettings, "VULCAN_STREAMS_LOG_MAX_AGE_DAYS", "0"),
        (GatewaySettings, "VULCAN_POSTGRES_QUERY_TIMEOUT_S", "-1"),
        (LogstoreSettings, "VULCAN_DATABASE_POOL_SIZE", "0"),
        (LogstoreSettings, "VULCAN_DATABASE_LOCK_TIMEOUT_S", "inf"),
        (ExecutorV8Settings, "VULCAN_LOG_WRITER_MAX_BATCH_LINES", "0"),
        (LocalSettings, "VULCAN_LISTEN", "localhost"),
    ],
)
def test_it_is_refused(settings: type[Struct], variable: str, value: str) -> None:
    environ = {"VULCAN_DATABASE_URL": POSTGRES, variable: value}
    with pytest.raises(SettingsError) as caught:
        load(settings, environ)
    assert [problem.split()[0] for problem in caught.value.problems] == [variable]
    assert value not in caught.value.problems[0].split("it takes")[0].split()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ":65535", "[::1]:8080", "localhost:80"])
def test_addresses(listen: str) -> None:
    assert load(GatewaySettings, {"VULCAN_LISTEN": listen}).listen == listen
