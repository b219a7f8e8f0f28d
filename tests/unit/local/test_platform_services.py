"""How the services are started: in order, without secrets in sight, with an address each."""

import json
import signal
import sys
from pathlib import Path

from vulcan_chassis.service import EXIT_SETTINGS
from vulcan_local.ports import Ports
from vulcan_local.probes import HttpProbe
from vulcan_local.process import launch_command
from vulcan_local.service import Identity
from vulcan_local.services import STOP_ORDER, PlatformServices, machine_name

SECRET = "vk_aaaaaaaaaaaa_" + "b" * 40


async def built() -> tuple[PlatformServices, HttpProbe]:
    probe = HttpProbe()
    environ = {
        "PATH": "/bin",
        "VULCAN_API_KEY": SECRET,
        "VULCAN_API_KEY_FILE": "/x",
        "VULCAN_URL": "http://elsewhere",
        "VULCAN_LOG_LEVEL": "debug",
    }
    return PlatformServices(environ, probe, Ports(), machine="here", ready_timeout_s=1, stop_timeout_s=20), probe


async def test_no_service_sees_the_key() -> None:
    platform, probe = await built()
    services = [*platform.workers(), platform.gateway("http://127.0.0.1:1")]
    for service in services:
        assert SECRET not in json.dumps([*service.argv, dict(service.env)])
        assert "VULCAN_URL" not in service.env
        assert (service.env["PATH"], service.env["VULCAN_LOG_LEVEL"]) == ("/bin", "debug")
    await probe.close()


async def test_each_worker_has_an_address_of_its_own() -> None:
    platform, probe = await built()
    addresses = [service.env["VULCAN_OPS_LISTEN"] for service in platform.workers()]
    assert len(set(addresses)) == len(addresses) == 3
    assert "VULCAN_OPS_LISTEN" not in platform.gateway("http://127.0.0.1:1").env
    await probe.close()


async def test_a_service_gets_longer_than_it_takes_itself_and_all_have_a_place_in_the_stop() -> None:
    platform, probe = await built()
    services = [*platform.workers(), platform.gateway("http://127.0.0.1:1")]
    assert all(step.timeout_s > 20 for service in services for step in service.stop)
    assert {service.name for service in services} | {"postgres", "nats"} == set(STOP_ORDER)
    await probe.close()


async def test_wrong_settings_are_not_tried_again() -> None:
    platform, probe = await built()
    assert all(EXIT_SETTINGS in service.hopeless_exit_codes for service in platform.workers())
    await probe.close()


def test_a_launch_names_its_parent_and_the_signal_of_its_death() -> None:
    command = launch_command(["/bin/true"], identity=Identity(uid=65534, gid=65534, binds=[("/a", "b")]))
    plan = json.loads(command[-1])
    assert command[0] == sys.executable
    assert plan["death_signal"] == signal.SIGKILL
    assert (plan["uid"], plan["binds"], plan["argv"]) == (65534, [["/a", "b"]], ["/bin/true"])


def test_two_stacks_on_a_machine_name_their_nodes_apart() -> None:
    default = Path("/home/me/.local/share/vulcan")
    names = {machine_name(path, default_data=default) for path in (default, Path("/srv/a"), Path("/srv/b"))}
    assert len(names) == 3
    assert all(name.replace("-", "").isalnum() for name in names)


async def test_a_node_is_named_after_the_machine_unless_it_has_a_name() -> None:
    probe = HttpProbe()
    for environ, expected in (({}, "here-v8"), ({"VULCAN_NODE": "mine"}, "mine")):
        platform = PlatformServices(environ, probe, Ports(), machine="here", ready_timeout_s=1, stop_timeout_s=1)
        executor = next(service for service in platform.workers() if service.name == "executor-v8")
        assert executor.env["VULCAN_NODE"] == expected
    await probe.close()
