"""A supervisor's reporter that remembers what it was told."""


class Told:
    """Keeps lines, notes and process ids; `pids` keeps those of ended services too."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[str] = []
        self.notes: list[str] = []
        self.pids: dict[str, int] = {}
        self._by_service: dict[str, list[str]] = {}

    def output(self, service: str, line: str, *, show: bool) -> None:
        """A service printed a line."""
        self.lines.append(line)
        self._by_service.setdefault(service, []).append(line)
        if show:
            self.shown.append(line)

    def note(self, service: str, text: str) -> None:
        """Something happened to a service."""
        self.notes.append(f"{service} {text}")

    def tail(self, service: str) -> str:
        """All that the service printed."""
        return "\n".join(self._by_service.get(service, []))

    def running(self, service: str, pid: int | None) -> None:
        """A service runs now."""
        if pid is not None:
            self.pids[service] = pid

    def stopped(self) -> list[str]:
        """The services that were stopped, in order."""
        return [note.split()[0] for note in self.notes if "stopped in" in note or "killed after" in note]
