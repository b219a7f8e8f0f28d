"""The server that submits are compared with: FastAPI on uvicorn with uvloop and httptools, answering a constant."""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI()


@app.post("/v1/workloads/async")
async def submit(workload: dict[str, Any]) -> Response:
    """The same bytes whatever was sent, as far as it is a JSON object."""
    return Response(_ANSWER if workload else b"", status_code=202, media_type="application/json")


_ANSWER = (
    b'{"id":"wl_01jd4b6r3tq6x8m2c9v5n7k0hz","state":"pending","reason":null,"message":"","exit_code":null,'
    b'"isolation":"auto","runtime":"javascript","submitted_at":"2026-01-31T09:00:00.000000Z","version":1}'
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="error")
