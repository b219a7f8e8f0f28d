"""`vulcan completion`."""

from typing import Literal

from vulcan_cli.output import print_json


def completion(shell: Literal["bash", "zsh", "fish"], /, *, json: bool = False) -> None:
    """Print the completion script for a shell.

    bash: source <(vulcan completion bash)
    zsh: vulcan completion zsh > "${fpath[1]}/_vulcan"
    fish: vulcan completion fish > ~/.config/fish/completions/vulcan.fish

    Args:
        shell: Which shell.
        json: Print it as a JSON document.
    """
    from vulcan_cli.app import app

    script = app.generate_completion(prog_name="vulcan", shell=shell)
    if json:
        print_json({"shell": shell, "script": script})
    else:
        print(script)
