"""A server for one's own browser: pages that are functions of a query, on 127.0.0.1 and nowhere else."""

import contextlib
import io
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Mapping
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
CONCURRENT = 2  # requests that are computed at a time
WAITING = 32  # that wait for it; more are refused
CONNECTIONS = 500  # at a time; more are closed at once
TIMEOUT = 10  # seconds for a client to send its whole request, and again to take the whole reply
OWN = ("same-origin", "none")  # marks by a browser (Sec-Fetch-Site): this server's own page, or the user's own typing

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


@dataclass(frozen=True)
class Fixed:
    """A route that always gives one reply; it costs nothing, so anybody may ask for it, and nobody waits."""

    reply: Reply

    def __call__(self, query: Query) -> Reply:  # noqa: ARG002
        """Return the reply."""
        return self.reply


class BusyError(Exception):
    """So many requests wait that this one is refused."""


class LeftError(Exception):
    """The client has left before its turn came."""


def as_json(value: Any, status: int = HTTPStatus.OK) -> Reply:
    """Return a value as JSON; numbers keep all their digits, and none of them is NaN or infinite."""
    return Reply(json.dumps(value, allow_nan=False).encode(), "application/json", status)


def fixed(text: str, kind: str) -> Route:
    """Return a route that always gives one text."""
    return Fixed(Reply(text.encode(), kind))


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
    name that it makes point here, and no other website may read or frame its answers. Nor can one make it work: what is
    computed is computed for requests that the browser marks as this page's own (``Sec-Fetch-Site``), or that have the
    cookie which the first page sets. Two are computed at a time, 32 wait, and one whose client has left is not begun.

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
        self._places = threading.BoundedSemaphore(CONCURRENT + WAITING)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        self._token = secrets.token_urlsafe(16)
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

    @property
    def cookie(self) -> str:
        """The name and value of the cookie by which this server knows its own page; other ports have other names."""
        return f"gradstep-{self.server_port}={self._token}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread, or close it where there are too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def reply(self, target: str, headers: Message, has_left: Callable[[], bool]) -> Reply | None:
        """Return the reply to ``GET target``, or None where the client has left meanwhile; it raises nothing."""
        try:
            if headers.get_all("Host", []) not in [[f"{name}:{self.server_port}"] for name in (HOST, "localhost")]:
                return _wrong(HTTPStatus.FORBIDDEN, f"this server answers as {self.address} alone.")
            path, _, query = target.partition("?")
            if path not in self.routes:
                return _wrong(HTTPStatus.NOT_FOUND, f"there is no such page; there are {', '.join(self.routes)}.")
            route = self.routes[path]
            if not self._is_own(headers, isinstance(route, Fixed)):
                return _wrong(
                    HTTPStatus.FORBIDDEN, f"this server works for its own page alone; open {self.address} in a browser."
                )
            fields = read_query(query)
            if isinstance(route, Fixed):
                return route.reply
            with self._admitted(has_left):
                return route(fields)
        except LeftError:
            return None
        except BusyError:
            return _wrong(HTTPStatus.SERVICE_UNAVAILABLE, f"{WAITING} requests are waiting already; ask again later.")
        except GradstepError as error:
            return _wrong(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:
            logging.getLogger("gradstep").exception("GET %.200r", target)
            return _wrong(HTTPStatus.INTERNAL_SERVER_ERROR, "this is an error of gradstep's; see its terminal.")

    def _is_own(self, headers: Message, is_fixed: bool) -> bool:
        """Return True for a request by this server's own page or its user, False for one by another website.

        A link there that opens the page itself is the user's own doing.
        """
        if marks := headers.get_all("Sec-Fetch-Site", []):
            opens = [headers.get_all(f"Sec-Fetch-{name}", []) for name in ("Mode", "Dest")]
            return (len(marks) == 1 and marks[0] in OWN) or (is_fixed and opens == [["navigate"], ["document"]])
        cookies = [one.strip() for text in headers.get_all("Cookie", []) for one in text.split(";")]
        return is_fixed or self.cookie in cookies

    @contextlib.contextmanager
    def _admitted(self, has_left: Callable[[], bool]) -> Generator[None]:
        """Wait for a turn to compute, and hold it within the block."""
        if not self._places.acquire(blocking=False):
            raise BusyError
        try:
            while not self._turn.acquire(timeout=0.1):
                if has_left():
                    raise LeftError
            try:
                if has_left():
                    raise LeftError
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()

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


class _InTime(io.RawIOBase):
    """The bytes of a client, until its time is up: else one byte now and then would hold a thread for ever."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection, self._end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_InTime(self.connection, TIMEOUT))

    def do_GET(self) -> None:
        server = cast(Server, self.server)
        reply = server.reply(self.path, self.headers, self._has_left)
        self.close_connection = True
        if reply is not None:
            self._send(reply)

    def _has_left(self) -> bool:
        """Return True where the client has closed the connection, or its half of it."""
        self.connection.setblocking(False)
        try:
            return self.connection.recv(1) == b""  # what follows a request is not answered
        except BlockingIOError:
            return False
        except OSError:
            return True

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
        if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
            own["Retry-After"] = "5"
        if reply.status == HTTPStatus.OK and is_text and self.path.partition("?")[0] == "/":
            own["Set-Cookie"] = f"{cast(Server, self.server).cookie}; Path=/; HttpOnly; SameSite=Strict"
        for name, value in {**HEADERS, **own, "Content-Length": str(len(reply.body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.connection.settimeout(TIMEOUT)  # of the whole reply
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(reply.body)

    def version_string(self) -> str:
        return "gradstep"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing: a page that follows a slider sends a hundred requests a minute."""
