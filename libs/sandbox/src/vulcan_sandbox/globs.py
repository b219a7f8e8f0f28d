"""Which files an artifact pattern means: `*` and `?` within one part of the path, `**` over any number of parts."""

import re
from functools import lru_cache


def matches(pattern: str, path: str) -> bool:
    """True if the relative path is one that the pattern means."""
    return _compiled(pattern).fullmatch(path) is not None


def matches_any(patterns: list[str], path: str) -> bool:
    """True if any of the patterns means this path."""
    return any(matches(pattern, path) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = pattern.split("/")
    expression = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            expression += ".*" if last else "(?:[^/]+/)*"
        else:
            # Runs of stars are one star: more would only cost time.
            plain = re.sub(r"\*+", "*", part)
            expression += "".join({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char) for char in plain)
            expression += "" if last else "/"
    return re.compile(expression, re.DOTALL)
