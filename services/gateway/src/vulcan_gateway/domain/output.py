"""The first part of what a workload printed, collected from its log lines up to a limit of bytes per stream."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from vulcan_contracts.logs import LogLine


class Text(NamedTuple):
    """The beginning of one stream, and whether there is more of it."""

    text: str = ""
    truncated: bool = False


class Output(NamedTuple):
    """What goes into a result."""

    stdout: Text
    stderr: Text


NO_OUTPUT: Final = Output(Text(), Text())


class _Collected:
    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._parts: list[str] = []
        self.truncated = False

    def add(self, text: str) -> None:
        if self.truncated:
            return
        raw = text.encode()
        if len(raw) > self._left:
            text = raw[: self._left].decode(errors="ignore")
            self.truncated = True
        self._left -= min(self._left, len(raw))
        self._parts.append(text)

    def text(self) -> Text:
        return Text("".join(self._parts), self.truncated)


class OutputCollector:
    """Takes lines in order; `full` once no further line can change what it shows."""

    def __init__(self, limit_bytes: int) -> None:
        self._streams = {"stdout": _Collected(limit_bytes), "stderr": _Collected(limit_bytes)}

    @property
    def full(self) -> bool:
        """True once both streams are cut."""
        return all(stream.truncated for stream in self._streams.values())

    def add(self, lines: Iterable[LogLine]) -> None:
        """Take the next lines; those of the platform itself (`system`) are no output."""
        for line in lines:
            stream = self._streams.get(line.stream)
            if stream is not None:
                stream.add(line.text if line.partial else line.text + "\n")

    def cut(self) -> None:
        """There are more lines than will be added: nobody knows of which stream, so both count as cut."""
        for stream in self._streams.values():
            stream.truncated = True

    def output(self) -> Output:
        """What was collected."""
        return Output(self._streams["stdout"].text(), self._streams["stderr"].text())
