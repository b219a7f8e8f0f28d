"""Checks each answer of the gateway against the document that it gives of itself: nothing undocumented is answered."""

import re
from typing import Any

import httpx
import msgspec

from vulcan_gateway.app import HANDLERS
from vulcan_gateway.http.openapi import document
from vulcan_gateway.http.operations import OPERATION
from vulcan_gateway.settings import LimitSettings

_PATHS: dict[str, Any] = msgspec.json.decode(document(HANDLERS, "0", LimitSettings()))["paths"]
_PATTERNS = [
    (re.compile(re.sub(r"\\{name\\}", ".+", re.sub(r"\\{(?!name)\w+\\}", "[^/]+", re.escape(path)))), methods)
    for path, methods in sorted(_PATHS.items(), key=lambda item: item[0].count("{"))
]
_ANSWERS: dict[str, Any] = {handler.opt[OPERATION].name: handler.opt[OPERATION].answers for handler in HANDLERS}


async def check_documented(answer: httpx.Response) -> None:
    """For httpx' `event_hooks`."""
    path = answer.request.url.path
    methods = next((m for pattern, m in _PATTERNS if pattern.fullmatch(path)), None)
    if methods is None or answer.request.method.lower() not in methods:
        assert answer.status_code in (204, 400, 401, 404, 405), (answer.request.url, answer.status_code)
        return
    said = methods[answer.request.method.lower()]["responses"].get(str(answer.status_code))
    assert said is not None, f"undocumented: {answer.request.method} {path} answers {answer.status_code}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if "content" not in said:
        assert not kind, f"undocumented content: {answer.request.method} {path}: {kind}"
        return
    assert kind in said["content"] or "*/*" in said["content"], f"{answer.request.method} {path}: {kind}"
    if kind == "application/json":
        forms = _ANSWERS[methods[answer.request.method.lower()]["operationId"]][answer.status_code]
        for form in forms:
            if isinstance(form, type):
                msgspec.json.decode(await answer.aread(), type=form)
    if answer.status_code >= 400 and kind == "application/problem+json":
        code = msgspec.json.decode(await answer.aread())["code"]
        (_, narrowed) = said["content"][kind]["schema"]["allOf"]
        assert code in narrowed["properties"]["code"]["enum"], f"{answer.request.method} {path}: {code}"
