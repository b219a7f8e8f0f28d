"""Where the client looks for the address and the key, and what it refuses."""

from pathlib import Path

import pytest

from vulcan_sdk import ConfigError, Vulcan, discover


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of an embedded stack that serves on a port of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "endpoint").write_text("http://127.0.0.1:4711\n")
    (folder / "admin.key").write_text("vk_embedded\n")
    (folder / "admin.key").chmod(0o600)
    return folder


def test_nothing_configured(tmp_path: Path) -> None:
    found = discover(environ={"HOME": str(tmp_path)})
    assert (found.url, found.api_key, found.url_from) == ("http://127.0.0.1:8080", None, "the default")


def test_the_embedded_stack_is_found(data: Path) -> None:
    found = discover(environ={"VULCAN_DATA_DIR": str(data)})
    assert (found.url, found.api_key) == ("http://127.0.0.1:4711", "vk_embedded")
    assert (found.url_from, found.key_from) == (str(data / "endpoint"), str(data / "admin.key"))


def test_the_embedded_stack_in_its_usual_place(data: Path, tmp_path: Path) -> None:
    usual = tmp_path / "home" / ".local" / "share"
    usual.mkdir(parents=True)
    data.rename(usual / "vulcan")
    assert discover(environ={"HOME": str(tmp_path / "home")}).api_key == "vk_embedded"


def test_the_environment_comes_before_the_stack_and_the_argument_before_both(data: Path) -> None:
    environ = {"VULCAN_DATA_DIR": str(data), "VULCAN_URL": "https://v.example/", "VULCAN_API_KEY": "vk_env"}
    found = discover(environ=environ)
    assert (found.url, found.api_key) == ("https://v.example", "vk_env")
    found = discover("http://other:1", "vk_given", environ=environ)
    assert (found.url, found.api_key) == ("http://other:1", "vk_given")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://vulcan.example", None),
        ("http://127.0.0.1:9999", None),
        ("https://127.0.0.1:4711", None),
        ("http://127.0.0.1:4711/", "vk_embedded"),
        ("http://localhost:4711", "vk_embedded"),
    ],
)
def test_the_embedded_key_goes_to_the_embedded_stack_only(data: Path, url: str, key: str | None) -> None:
    assert discover(url, environ={"VULCAN_DATA_DIR": str(data)}).api_key == key


def test_a_key_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("vk_file\n")
    file.chmod(0o640)
    assert discover(environ={"VULCAN_API_KEY_FILE": str(file)}).api_key == "vk_file"


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o666])
def test_a_key_file_that_everyone_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text("vk_file\n")
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {file}"):
        discover(environ={"VULCAN_API_KEY_FILE": str(file)})


def test_the_embedded_key_is_refused_too_if_everyone_can_open_it(data: Path) -> None:
    (data / "admin.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        discover(environ={"VULCAN_DATA_DIR": str(data)})


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        discover(environ={"VULCAN_API_KEY_FILE": str(tmp_path / "no")})


@pytest.mark.parametrize("key", ["", " ", "vk a", "vk\nb: c", "vk_ü"])
def test_what_is_no_key(tmp_path: Path, key: str) -> None:
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="does not hold an API key"):
        discover(environ={"VULCAN_API_KEY_FILE": str(file)})


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://x", "http://", "http://a:b", "http://u:p@h", "http://h/?q=1", "http://h:99999"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        discover(url, environ={})


def test_messages_never_hold_the_key() -> None:
    with pytest.raises(ConfigError) as caught:
        Vulcan("http://h", "vk_hush word", environ={})
    assert "hush" not in str(caught.value)
