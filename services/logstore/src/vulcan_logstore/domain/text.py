"""Text that Postgres accepts. One NUL or lone surrogate would refuse the whole batch that it is in."""

import re
from typing import Final

_REFUSED: Final = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT: Final = "\ufffd"


def clean(text: str) -> str:
    """The text with U+FFFD for each character that Postgres cannot hold."""
    if "\x00" not in text and text.isascii():
        return text
    return _REFUSED.sub(REPLACEMENT, text)


def clean_all(texts: list[str]) -> list[str]:
    """The same for each of many, most of which are usually clean."""
    together = "".join(texts)
    if "\x00" not in together and together.isascii():
        return texts
    return [clean(text) for text in texts]


def clean_or_none(text: str | None) -> str | None:
    """The same for text that may be missing."""
    return None if text is None else clean(text)
