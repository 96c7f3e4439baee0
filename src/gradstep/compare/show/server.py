"""A server for one's own browser: pages that are functions of a query, on 127.0.0.1 and nowhere else."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from socketserver import TCPServer
from typing import Any, cast
from urllib.parse import parse_qsl

from gradstep.errors import GradstepError, GradstepValueError

HOST = "127.0.0.1"
LONGEST_QUERY = 4000
CONCURRENT = 2  # requests that are computed at a time; the others wait
TIMEOUT = 10  # seconds for a client to send its request

# Scripts come from this server alone. Styles may be in the page: Plotly writes some itself.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Query = Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """A reply: its bytes, their content type (``text/html``; text is UTF-8), its status."""

    body: bytes
    kind: str
    status: int = HTTPStatus.OK


Route = Callable[[Query], Reply]


def as_json(value: Any, status: int = HTTPStatus.OK) -> Reply:
    """Return a value as JSON; numbers keep all their digits, and none of them is NaN or infinite."""
    return Reply(json.dumps(value, allow_nan=False).encode(), "application/json", status)


def fixed(text: str, kind: str) -> Route:
    """Return a route that always gives one text."""
    reply = Reply(text.encode(), kind)
    return lambda _: reply


def file(package: str, name: str) -> Route:
    """Return a route that gives a file of a package."""
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return fixed(text, kinds[name.rpartition(".")[2]])


def plotly() -> Route:
    """Return a route that gives Plotly's own code, as it was installed."""
    from plotly.offline import get_plotlyjs  # 5 MB of text, so only here

    return fixed(get_plotlyjs(), "text/javascript")


class Server(ThreadingHTTPServer):
    """Answers GET for the given paths, to pages that it has served itself.

    It listens on 127.0.0.1 alone. A request under another host's name is refused, so that no website can reach it by a
    name that it makes point here, and no other website may read or frame its answers.

    Parameters
    ----------
    routes
        ``{"/": f}``: ``f(query) -> Reply``, with the fields of the query by name. There is nothing beside these paths.
        An error of gradstep becomes one sentence of JSON, ``{"error": ...}``, with status 400.
    port
        Where to listen; 0: any that is free.

    Raises
    ------
    GradstepValueError
        If the port cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, routes: Mapping[str, Route], port: int = 0) -> None:
        self.routes = dict(routes)
        self._turn = threading.BoundedSemaphore(CONCURRENT)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise GradstepValueError(f"port {port} of {HOST}: {reason}; choose another, or 0 for any.") from None

    def server_bind(self) -> None:
        """Bind without asking the system for this machine's name, as the base class would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT/``."""
        return f"http://{HOST}:{self.server_port}/"

    def reply(self, target: str, headers: Message) -> Reply:
        """Return the reply to ``GET target``; it raises nothing."""
        try:
            if headers.get_all("Host", []) not in [[f"{name}:{self.server_port}"] for name in (HOST, "localhost")]:
                return _wrong(HTTPStatus.FORBIDDEN, f"this server answers as {self.address} alone.")
            path, _, query = target.partition("?")
            if path not in self.routes:
                return _wrong(HTTPStatus.NOT_FOUND, f"there is no such page; there are {', '.join(self.routes)}.")
            with self._turn:
                return self.routes[path](read_query(query))
        except GradstepError as error:
            return _wrong(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:
            logging.getLogger("gradstep").exception("GET %.200r", target)
            return _wrong(HTTPStatus.INTERNAL_SERVER_ERROR, "this is an error of gradstep's; see its terminal.")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that left early or took too long; the base class would print a traceback."""


def read_query(text: str) -> Query:
    """Return the fields of a query string.

    Raises
    ------
    GradstepValueError
        If it is too long or no query string, or has a field twice.
    """
    if len(text) > LONGEST_QUERY:
        raise GradstepValueError(f"the query has {len(text)} characters; it may have {LONGEST_QUERY}.")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=50)
    except ValueError:
        raise GradstepValueError("the query cannot be read; write name=value&name=value, in UTF-8.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise GradstepValueError(f"{twice!r} is given twice in the query; leave one out.")
    return fields


def _wrong(status: int, sentence: str) -> Reply:
    return as_json({"error": sentence}, status)


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT

    def do_GET(self) -> None:
        server = cast(Server, self.server)
        self._send(server.reply(self.path, self.headers))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Reply to what is no GET: another method (501 in the base class), or no HTTP at all."""
        del explain
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._send(_wrong(HTTPStatus.METHOD_NOT_ALLOWED, "this server knows no method but GET."))
        else:
            self._send(_wrong(code, f"this is no request that can be read: {message or HTTPStatus(code).phrase}."))

    def _send(self, reply: Reply) -> None:
        self.close_connection = True
        self.send_response(reply.status)
        is_text = reply.kind.startswith("text/")
        own = {"Content-Type": f"{reply.kind}; charset=utf-8" if is_text else reply.kind}
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            own["Allow"] = "GET"
        for name, value in {**HEADERS, **own, "Content-Length": str(len(reply.body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(reply.body)

    def version_string(self) -> str:
        return "gradstep"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing: a page that follows a slider sends a hundred requests a minute."""
