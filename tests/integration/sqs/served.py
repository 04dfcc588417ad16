"""Run as a program: moto's SQS over HTTP, with a clock that stands still when it is told to, and faults on demand.

    python served.py PORT

`PUT /clock` with milliseconds since the epoch stops the clock there, without a body it goes on. `PUT /faults` with a
JSON list: each of the next requests takes the first that names its action.

    {"action": "ReceiveMessage", "status": 503}                answers so, and does nothing
    {"action": …, "code": "ThrottlingException"}               the same with an error of AWS
    {"action": …, "entries": [1, 2], "sender": false}          does all of a batch but these entries, and says so
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Lock
from typing import Any

import moto.sqs.models
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

Environ = dict[str, Any]
Start = Callable[..., Any]


class Served:
    """The WSGI application."""

    def __init__(self) -> None:
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._stopped_ms: float | None = None
        self._faults: list[dict[str, Any]] = []
        self._guard = Lock()
        moto.sqs.models.unix_time_millis = self.now_ms
        # moto allows 1 MiB to a call, which not every region and not every emulator does.
        moto.sqs.models.MAXIMUM_MESSAGE_LENGTH = 262_144
        # moto shows a message after the moment that was said, not at it.
        moto.sqs.models.Message.visible = property(lambda message: self.now_ms() >= (message.visible_at or 0))

    def now_ms(self, *_: object) -> float:
        """What hides and shows messages; the wait of a long poll has a clock of its own."""
        return time.time() * 1000 if self._stopped_ms is None else self._stopped_ms

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        if environ["PATH_INFO"] == "/clock":
            self._stopped_ms = float(body) if body else None
            return _answer(start, "200 OK", {})
        if environ["PATH_INFO"] == "/faults":
            with self._guard:
                self._faults = json.loads(body)
            return _answer(start, "200 OK", {})
        fault = self._fault_of(environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2])
        if fault is None:
            return self._inner(environ, start)
        if "status" in fault:
            return _answer(start, f"{fault['status']} Fault", {})
        if "code" in fault:
            return _answer(start, "400 Bad Request", {"__type": fault["code"], "message": "a fault that was asked for"})
        return self._partly(environ, start, json.loads(body), fault)

    def _fault_of(self, action: str) -> dict[str, Any] | None:
        with self._guard:
            for fault in self._faults:
                if fault["action"] == action:
                    self._faults.remove(fault)
                    return fault
        return None

    def _partly(self, environ: Environ, start: Start, asked: dict[str, Any], fault: dict[str, Any]) -> Iterable[bytes]:
        spared = [entry for place, entry in enumerate(asked["Entries"]) if place not in fault["entries"]]
        failed = [
            {
                "Id": entry["Id"],
                "SenderFault": fault.get("sender", False),
                "Code": "InternalError",
                "Message": "a fault",
            }
            for entry in asked["Entries"]
            if entry not in spared
        ]
        answer: dict[str, Any] = {}
        if spared:
            body = json.dumps({**asked, "Entries": spared}).encode()
            environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            answer = json.loads(b"".join(self._inner(environ, lambda *_: lambda _: None)))
        return _answer(start, "200 OK", {**answer, "Failed": [*answer.get("Failed", []), *failed]})


def _answer(start: Start, status: str, said: dict[str, Any]) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/x-amz-json-1.0")])
    return [json.dumps(said).encode()]


class Quiet(WSGIRequestHandler):
    """No line for each request; connections are kept."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Says nothing."""


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Served(), threaded=True, request_handler=Quiet)
