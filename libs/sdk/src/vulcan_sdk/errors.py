"""What can go wrong, each with what to do about it. Everything the client raises on purpose is a `VulcanError`."""

from vulcan_contracts.problem import TYPE_PREFIX, Problem


class VulcanError(Exception):
    """Base of all errors of this client. `message` says what happened, `hint` what to do next, `code` is stable."""

    code: str = "client_error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message}\n{hint}")
        self.message = message
        self.hint = hint

    @property
    def problem(self) -> Problem:
        """The same as a problem document; `status` 0 means that no answer of the API is behind it."""
        return Problem(
            type=f"{TYPE_PREFIX}{self.code}",
            title=self.code.replace("_", " ").capitalize(),
            status=0,
            code=self.code,
            detail=self.message,
            hint=self.hint,
        )


class ConfigError(VulcanError):
    """The URL or the key cannot be used as configured."""

    code = "bad_configuration"


class ConnectError(VulcanError):
    """No answer came: nothing listens there, or the connection was lost, and trying again did not help."""

    code = "unreachable"


class DeadlineError(VulcanError):
    """The answer did not come within the time that the caller allowed."""

    code = "deadline_exceeded"


class ProtocolError(VulcanError):
    """Something answered, but not as Vulcan does."""

    code = "not_vulcan"


class SourceError(VulcanError):
    """The file, folder or archive cannot be submitted."""

    code = "bad_source"


class ApiError(VulcanError):
    """Vulcan refused; `problem` is its document, `code` the problem's, `retry_after_s` the wait it asked for."""

    def __init__(self, problem: Problem, *, retry_after_s: float | None = None) -> None:
        said = problem.detail or problem.title
        wrong = [f"{error.field}: {error.message}" for error in problem.errors]
        more = "".join(f"\n  {each}" for each in wrong if said not in (f"{each}.", f"{each}.".replace(": ", " ", 1)))
        super().__init__(said + more, hint=problem.hint)
        self.code = problem.code
        self._problem = problem
        self.retry_after_s = retry_after_s

    @property
    def problem(self) -> Problem:
        """The problem document as the API answered it."""
        return self._problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._problem.status
