"""The Lambda Runtime API over HTTP: hands events to one function process and takes its answers. It listens on 127.0.0.1 only.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast

API_VERSION = "2018-06-01"


@dataclass(slots=True)
class Invocation:
    """One event on its way through the child, and what came back. ``deadline``: seconds since the epoch."""

    payload: bytes
    deadline: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answered: threading.Event = field(default_factory=threading.Event)
    response: bytes = b""
    error: dict[str, Any] | None = None


class RuntimeApi(ThreadingHTTPServer):
    """The Runtime API's state. One child speaks to it; ``next`` hands out one invocation at a time."""

    daemon_threads = True

    def __init__(self, function_arn: str) -> None:
        """Listen on a free port of 127.0.0.1."""
        super().__init__(("127.0.0.1", 0), _Routes)
        self.function_arn = function_arn
        self.waiting: queue.Queue[Invocation | None] = queue.Queue()
        self.running: dict[str, Invocation] = {}
        self.ready_at: float | None = None
        self.init_error: dict[str, Any] | None = None
        self.init_over = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a child that was ended leaves its connection behind; anything else is worth a traceback."""
        if not isinstance(sys.exc_info()[1], (ConnectionResetError, BrokenPipeError)):
            super().handle_error(request, client_address)


class _Routes(BaseHTTPRequestHandler):
    """The four routes of the Runtime API. Buffered writes without Nagle's delay: else each answer costs about 100 ms."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """No access log."""

    @property
    def api(self) -> RuntimeApi:
        """The server, by its own type."""
        return cast("RuntimeApi", self.server)

    def do_GET(self) -> None:
        """``next``: the first one ends the init phase; wait for an invocation and hand it out."""
        if self.path != f"/{API_VERSION}/runtime/invocation/next":
            return self._answer(HTTPStatus.NOT_FOUND, {"errorType": "NoSuchRoute"})
        if self.api.ready_at is None:
            self.api.ready_at = time.perf_counter()
        self.api.init_over.set()
        invocation = self.api.waiting.get()
        if invocation is None:
            self.close_connection = True
            return None
        self.api.running[invocation.request_id] = invocation
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.api.function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        return self._send(HTTPStatus.OK, invocation.payload, headers)

    def do_POST(self) -> None:
        """``response``, ``error`` and ``init/error``: take the outcome. An id nobody asked for is refused."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == f"/{API_VERSION}/runtime/init/error":
            self.api.init_error = _as_error(body)
            self.api.init_over.set()
            return self._answer(HTTPStatus.ACCEPTED, {"status": "OK"})
        head, _, verb = self.path.rpartition("/")
        invocation = self.api.running.pop(head.rpartition("/")[2], None)
        if invocation is None or verb not in {"response", "error"}:
            return self._answer(HTTPStatus.BAD_REQUEST, {"errorType": "InvalidRequestID"})
        if verb == "response":
            invocation.response = body
        else:
            invocation.error = _as_error(body)
        self._answer(HTTPStatus.ACCEPTED, {"status": "OK"})
        return invocation.answered.set()

    def _answer(self, status: HTTPStatus, document: Mapping[str, str]) -> None:
        """Send a small JSON document."""
        self._send(status, json.dumps(document).encode(), {})

    def _send(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        """Send one answer in one write."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _as_error(body: bytes) -> dict[str, Any]:
    """Lambda's error document; a body that is none becomes one, so that nothing is lost."""
    with contextlib.suppress(ValueError):
        document = json.loads(body)
        if isinstance(document, dict):
            return document
    return {"errorType": "Unknown", "errorMessage": body.decode(errors="replace")}
