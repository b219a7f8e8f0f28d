import json
import os
import re
import tempfile
from pathlib import Path

from support.v8_backend import backend
from support.v8_runs import run

IMPORT = "import { greet } from 'npm:greeter@1.0.0'; export default () => greet('you');"


async def test_what_the_operator_put_into_the_folder_can_be_imported_and_nothing_else() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(name, 0o755)  # noqa: PTH101, S103
        async with backend(npm_dir=name, warm_hosts=0) as v8:
            assert "npm" in (await v8.probe()).features
            refused = await run(v8, IMPORT)
            assert refused.exit.exit_code == 1
            assert "only npm packages that this installation allows" in refused.stderr
            _put_package(folder, registry=re.findall(r"https://([^/\s]+)/", refused.stderr)[0])
        async with backend(npm_dir=name, warm_hosts=0) as v8:
            assert (await run(v8, IMPORT)).result == "hello you"
            assert (await run(v8, IMPORT.replace("greeter@1.0.0", "other"))).exit.exit_code == 1


def _put_package(folder: Path, *, registry: str) -> None:
    package = folder / "npm" / registry / "greeter"
    (package / "1.0.0").mkdir(parents=True)
    (package / "1.0.0" / "package.json").write_text('{"name": "greeter", "version": "1.0.0", "main": "index.js"}')
    (package / "1.0.0" / "index.js").write_text("exports.greet = (who) => `hello ${who}`;")
    version = {"version": "1.0.0", "dist": {"tarball": f"https://{registry}/greeter.tgz", "shasum": "0" * 40}}
    about = {"name": "greeter", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (package / "registry.json").write_text(json.dumps(about))
