"""Which files an artifact pattern means: `*` and `?` within one part of the path, `**` over any number of parts.

Patterns and names are strangers' both, so no regular expression: this takes at most the product of their lengths.
"""

from collections.abc import Callable, Sequence


def matches(pattern: str, path: str) -> bool:
    """True if the relative path is one that the pattern means."""
    parts = pattern.split("/")
    if parts[-1] == "**":
        parts.append("*")  # something below, not the folder itself
    return _matches(parts, path.split("/"), "**", lambda part, name: _matches(part, name, "*", _same))


def matches_any(patterns: list[str], path: str) -> bool:
    """True if any of the patterns means this path."""
    return any(matches(pattern, path) for pattern in patterns)


def _same(wanted: str, char: str) -> bool:
    return wanted in ("?", char)


def _matches(pattern: Sequence[str], items: Sequence[str], star: str, one: Callable[[str, str], bool]) -> bool:
    """True if the pattern matches all items; `star` stands for any number of them.

    Where it fails, only the last star is given one item more: an earlier one could do nothing that it cannot.
    """
    at = item = 0
    last_star, resume = -1, 0
    while item < len(items):
        if at < len(pattern) and pattern[at] == star:
            last_star, resume = at, item
            at += 1
        elif at < len(pattern) and one(pattern[at], items[item]):
            at += 1
            item += 1
        elif last_star >= 0:
            resume += 1
            at, item = last_star + 1, resume
        else:
            return False
    return all(rest == star for rest in pattern[at:])
