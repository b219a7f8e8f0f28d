import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_sandbox.globs import matches, matches_any


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("out.txt", "out.txt", True),
        ("out.txt", "outxtxt", False),
        ("*.txt", "a.txt", True),
        ("*.txt", "d/a.txt", False),
        ("out/*.png", "out/a.png", True),
        ("out/*.png", "out/deep/a.png", False),
        ("out/**", "out/deep/a.png", True),
        ("out/**", "out", False),
        ("**/*.png", "a.png", True),
        ("**/*.png", "x/y/a.png", True),
        ("out/**/*.txt", "out/a.txt", True),
        ("out/**/*.txt", "out/x/y/a.txt", True),
        ("out/**/*.txt", "other/a.txt", False),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("?", "/", False),
        ("[ab].txt", "a.txt", False),
        ("[ab].txt", "[ab].txt", True),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("grüße/*", "grüße/✓", True),
    ],
)
def test_matches(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_any_of_several() -> None:
    assert matches_any(["a", "b/*"], "b/c")
    assert not matches_any([], "a")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*" * 500 + "b", "a" * 255),
        ("*a" * 100 + "b", "a" * 255),
        ("/".join(["**"] * 16 + ["b"]), "/".join(["a"] * 32)),
        ("/".join(["**", "*a*a*a*b"] * 8), "/".join(["a" * 255] * 32)),
    ],
)
@pytest.mark.timeout(20)
def test_a_hostile_pattern_ends(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@given(
    pattern=st.lists(st.sampled_from(["**", "*", "a", "a*", "*b", "?", "a?b", "ab"]), min_size=1, max_size=5),
    path=st.lists(st.sampled_from(["a", "b", "ab", "axb", "aab"]), min_size=1, max_size=5),
)
def test_agrees_with_a_regular_expression(pattern: list[str], path: list[str]) -> None:
    expression = ""
    for index, part in enumerate(pattern):
        last = index == len(pattern) - 1
        if part == "**":
            expression += ".+" if last else "(?:[^/]+/)*"
        else:
            expression += part.replace("*", "[^/]*").replace("?", "[^/]") + ("" if last else "/")
    wanted = re.fullmatch(expression, "/".join(path)) is not None
    assert matches("/".join(pattern), "/".join(path)) is wanted
