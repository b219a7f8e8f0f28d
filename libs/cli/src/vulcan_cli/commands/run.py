"""`vulcan run`."""

from typing import Annotated

from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.running import leave, stay
from vulcan_cli.submission import SpecOptions, submission

_NO_OPTIONS = SpecOptions()


def run(
    *words: str,
    options: SpecOptions = _NO_OPTIONS,
    detach: Annotated[bool, Parameter(alias="-d")] = False,
    idempotency_key: str | None = None,
    common: Common = COMMON,
) -> int:
    """Run code, a file, a folder, an archive or an image, and print what it prints.

    Args:
        words: The file, folder or archive, or `-` for code on stdin; then the arguments of the program. Put `--` before
            arguments that begin with a hyphen.
        options: What and how.
        detach: Print the id and return, leaving it to run.
        idempotency_key: A name for this submit: the same name again is the same workload, not another one.
        common: Options of every command.
    """
    work = submission(words, options)
    with connect(common) as vulcan:
        view = vulcan.submit(work, idempotency_key=idempotency_key)
        return leave(view, common) if detach else stay(vulcan, view, common)
