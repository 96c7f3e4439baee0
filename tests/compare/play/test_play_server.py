"""The server: what it answers, to whom, and that nothing asked of it is an error of its own."""

import http.client
import json
import socket
import threading
import time
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gradstep.compare.show import server as server_module
from gradstep.compare.show.play import optimizers, pages
from gradstep.compare.show.play.surfaces import SURFACES
from gradstep.compare.show.server import (
    CONCURRENT,
    CONNECTIONS,
    HEADERS,
    LONGEST_QUERY,
    WAITING,
    Server,
    as_json,
    fixed,
    read_query,
)
from gradstep.errors import GradstepValueError

ANSWERS = ("/names", "/path", "/picture", "/rate")
FILES = ("/", "/play.css", "/play.js", "/page.css", "/dark.css", "/play-dark.css", "/charts.js", "/plotly.js")


OWN = {"Sec-Fetch-Site": "same-origin"}  # as a browser marks what a page asks of its own server


def ask(server, target, method="GET", host=None, headers=OWN):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.putrequest(method, target, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    for key, value in headers.items():
        connection.putheader(key, value)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, reply.headers, body


def raw(server, data):
    """Bytes as they are, and all that comes back."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := client.recv(65536):
            got += chunk
    return got


def sentence(body):
    text = json.loads(body)["error"]
    assert "\n" not in text
    assert text[-1] in ".?"
    return text


def test_it_listens_on_this_machine_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


@pytest.mark.parametrize("path", FILES)
def test_files(server, path):
    status, headers, body = ask(server, path)
    assert status == 200
    assert body
    kind = "text/html" if path == "/" else "text/css" if path.endswith("css") else "text/javascript"
    assert headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert {key: headers[key] for key in HEADERS} == HEADERS
    assert headers["Access-Control-Allow-Origin"] is None


def test_the_page_has_no_code_and_no_style_of_its_own(server):
    page = ask(server, "/")[2].decode()
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count('<script src="/')
    assert " on" not in {x[:3] for x in page.split("<") if "=" in x}
    assert "script-src" not in HEADERS["Content-Security-Policy"]  # so that default-src 'self' holds


@pytest.mark.parametrize("path", ANSWERS)
def test_answers_are_json(server, path):
    status, headers, body = ask(server, path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    json.loads(body, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", "", "[::1]"],
)
@pytest.mark.parametrize("path", ["/", "/path"])
def test_other_hosts_are_refused(server, host, path):
    status, headers, body = ask(server, path, host=host.format(port=server.server_port))
    assert (status, headers["Content-Type"]) == (403, "application/json")
    assert server.address in sentence(body)


SITES = ["cross-site", "same-site", "cross-origin", "", "same-origin, none", "SAME-ORIGIN", "none\t;"]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("path", ["/", "/plotly.js", "/picture", "/rate"])
def test_what_another_website_asks_for_is_refused(server, path, site):
    """As by an <img> or a link there, which no same-origin policy holds back."""
    cookie = ask(server, "/")[1]["Set-Cookie"].partition(";")[0]
    for more in ({}, {"Cookie": cookie}):
        status, _, body = ask(server, path, headers={"Sec-Fetch-Site": site, **more})
        assert status == 403
        assert f"open {server.address} in a browser" in sentence(body)


def test_a_browser_that_marks_nothing_is_known_by_the_cookie_of_the_page(server):
    status, headers, _ = ask(server, "/", headers={})
    cookie, *settings = headers["Set-Cookie"].split("; ")
    assert status == 200
    assert settings == ["Path=/", "HttpOnly", "SameSite=Strict"]
    for path in ANSWERS:
        assert ask(server, path, headers={})[0] == 403
        assert ask(server, path, headers={"Cookie": cookie[:-1]})[0] == 403
        assert ask(server, path, headers={"Cookie": f"a=b; {cookie}"})[0] == 200
    for path in FILES:
        assert ask(server, path, headers={})[0] == 200


def test_a_link_elsewhere_opens_the_page_and_nothing_else(server):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask(server, "/?steps=10", headers=link)[0] == 200
    assert ask(server, "/picture", headers=link)[0] == 403
    for wrong in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors"}):
        assert ask(server, "/", headers={**link, **wrong})[0] == 403


def test_what_the_user_types_is_answered(server):
    assert ask(server, "/path", headers={"Sec-Fetch-Site": "none"})[0] == 200


class Gate:
    """A route that computes until it is let go, in a server of its own."""

    def __enter__(self):
        self.open, self.begun = threading.Event(), []
        self.server = Server({"/": fixed("page", "text/html"), "/slow": self.slow})
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.clients = []
        return self

    def __exit__(self, *_):
        self.open.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for client in self.clients:
            client.close()

    def slow(self, query):
        self.begun.append(dict(query))
        self.open.wait(30)
        return as_json(dict(query))

    def asked(self, count, **more):
        for k in range(count):
            client = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=30)
            host = f"Host: 127.0.0.1:{self.server.server_port}\r\n"
            client.sendall(f"GET /slow?k={k} HTTP/1.0\r\n{host}Sec-Fetch-Site: same-origin\r\n\r\n".encode())
            self.clients.append(client)

    def until(self, is_so):
        end = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < end
            time.sleep(0.005)


def test_the_queue_is_bounded_and_files_do_not_stand_in_it():
    with Gate() as gate:
        gate.asked(CONCURRENT + WAITING)
        gate.until(lambda: gate.server._places._value == 0)
        status, headers, body = ask(gate.server, "/slow")
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "ask again later" in sentence(body)
        assert ask(gate.server, "/")[2] == b"page"
        gate.open.set()
        assert all(b" 200 OK" in client.recv(100) for client in gate.clients)
        assert len(gate.begun) == CONCURRENT + WAITING


def test_nothing_is_computed_for_those_who_left():
    with Gate() as gate:
        gate.asked(CONCURRENT + 20)
        gate.until(lambda: gate.server._places._value == WAITING - 20)
        for client in gate.clients:
            client.close()
        gate.until(lambda: gate.server._places._value == WAITING)
        gate.open.set()
        assert ask(gate.server, "/slow?k=own")[0] == 200
        assert len(gate.begun) == CONCURRENT + 1


def test_one_who_sends_a_byte_now_and_then_is_dropped(monkeypatch):
    monkeypatch.setattr(server_module, "TIMEOUT", 0.5)
    with Gate() as gate, socket.create_connection(("127.0.0.1", gate.server.server_port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\nX: ")
        began, dropped = time.monotonic(), False
        while not dropped and time.monotonic() - began < 10:
            client.settimeout(0.1)
            try:
                client.sendall(b"a")
                dropped = client.recv(1) == b""
            except TimeoutError:
                pass
            except OSError:
                dropped = True
        assert dropped
        assert time.monotonic() - began < 5


def test_one_who_does_not_read_is_dropped(monkeypatch):
    monkeypatch.setattr(server_module, "TIMEOUT", 0.3)
    made = Server({"/": fixed("x" * 50_000_000, "text/html")})
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    with socket.create_connection(("127.0.0.1", made.server_port)) as client:
        client.sendall(f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{made.server_port}\r\n\r\n".encode())
        end = time.monotonic() + 20
        while made._connections._value == CONNECTIONS and time.monotonic() < end:
            time.sleep(0.005)
        while made._connections._value < CONNECTIONS and time.monotonic() < end:
            time.sleep(0.005)
        assert made._connections._value == CONNECTIONS
    made.shutdown()
    thread.join()
    made.server_close()


def test_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTIONS", 3)
    with Gate() as gate:
        gate.asked(3)
        gate.until(lambda: gate.server._connections._value == 0)
        with socket.create_connection(("127.0.0.1", gate.server.server_port), timeout=30) as client:
            assert client.recv(1) == b""
        gate.open.set()
        assert all(b" 200 OK" in client.recv(100) for client in gate.clients)
        gate.until(lambda: gate.server._connections._value == 3)
        assert ask(gate.server, "/")[2] == b"page"


def test_two_hosts_are_refused_and_localhost_is_ours(server):
    port = server.server_port
    both = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n".encode()
    assert raw(server, both).startswith(b"HTTP/1.0 403")
    assert ask(server, "/names", host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/../", "/../../etc/passwd", "/./", "/%2e%2e/", "/.git/config", "\\..\\", "/static/../play.js", "/picture/"),
        *("/play.js/", "/play.js%00", "/PLAY.JS", "/pages.py", "/play/", "/favicon.ico", "*", "/#", "/;"),
        *("http://evil.example/", "http://evil.example/play.js"),
    ],
)
def test_there_is_nothing_beside_its_pages(server, path):
    status, _, body = ask(server, path)
    assert status == 404
    assert "there is no such page" in sentence(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"])
def test_no_method_but_get(server, method):
    status, headers, body = ask(server, "/path", method=method)
    assert (status, headers["Allow"]) == (405, "GET")
    assert "GET" in sentence(body)


def test_head_is_refused_without_a_body(server):
    status, headers, body = ask(server, "/", method="HEAD")
    assert (status, headers["Allow"], body) == (405, "GET", b"")


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"\r\n",
            b"GET\r\n\r\n",
            b"nonsense of four words\r\n\r\n",
            b"\x16\x03\x01\x02",
            b"\xff\xfe\r\n\r\n",
            b"GET /\r\n",
        ),
        *(b"GET / HTTP/9.9\r\n\r\n", b"GET / FTP/1.0\r\n\r\n", b"GET /" + b"a" * 70000 + b" HTTP/1.0\r\n\r\n"),
        *(b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"GET / HTTP/1.0\r\na: " + b"b" * 70000 + b"\r\n\r\n"),
    ],
)
def test_what_is_no_request(server, data):
    got = raw(server, data)
    assert not got or b"500" not in got.split(b"\r\n")[0]
    assert b"Traceback" not in got
    assert ask(server, "/names")[0] == 200


def test_a_client_that_says_nothing_holds_up_nobody(server):
    idle = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(30)]
    started = time.monotonic()
    assert ask(server, "/path")[0] == 200
    assert time.monotonic() - started < 5
    for client in idle:
        client.close()


def test_a_client_that_leaves_is_no_news(server, capfd):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
            client.sendall(f"GET /plotly.js HTTP/1.0\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
    assert ask(server, "/names")[0] == 200
    assert capfd.readouterr().err == ""


def test_many_at_once(server):
    found = []
    target = "/picture?surface=noisy&optimizers=adam,torch.SGD,keras.RMSprop&steps=200"
    threads = [threading.Thread(target=lambda: found.append(ask(server, target)[2])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert len(set(found)) == 1


def test_the_most_that_may_be_asked_for_takes_a_moment(server):
    slow = (
        "rastrigin",
        "amsgrad_optax,radam_optax_nesterov,optax.rmsprop:centered=1,momentum=0.9,nadam_torch,adamw,torch.NAdam",
    )
    query = urlencode({"surface": slow[0], "optimizers": slow[1], "steps": 1000})
    ask(server, f"/picture?{query}")  # kernels are compiled
    started = time.process_time()  # the server is a thread of this process
    for path in ("/picture", "/path", "/rate"):
        assert ask(server, f"{path}?{query}")[0] == 200
    assert time.process_time() - started < 5


NAMES = [name for group in optimizers.names().values() for name in group]
KNOBS = sorted(
    {key for name in NAMES for key in optimizers.known(name).knobs} | {"condition", "angle", "noise", "seed", "x"}
)
NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers(-3, 3).map(str),
    st.sampled_from(["1e308", "5e-324", "1e-9", "1e9", "0.999999999", "", "1_0", "0x1", "½", " 1", "1e400"]),
)
PAIRS = st.lists(st.tuples(st.sampled_from(KNOBS), NUMBERS).map("=".join), max_size=3).map(",".join)


def entry(names):
    return st.tuples(st.sampled_from([*names, "x", ""]), PAIRS).map(lambda x: f"{x[0]}:{x[1]}" if x[1] else x[0])


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "surface": entry(SURFACES) | st.text(max_size=20),
        "optimizers": st.lists(entry(NAMES), min_size=1, max_size=4).map(",".join) | st.text(max_size=20),
        "start": st.tuples(NUMBERS, NUMBERS).map(",".join) | st.text(max_size=9),
        "steps": st.integers(1, 30).map(str) | NUMBERS,
        "shown": st.integers(0, 4).map(str) | NUMBERS,
        "extra": st.text(max_size=9),
    },
)
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def check_answer(reply):
    status, headers, body = reply
    assert status in (200, 400), (status, body)
    assert headers["Content-Type"] == "application/json"
    found = json.loads(body, parse_constant=lambda x: pytest.fail(f"{x} is no JSON"))
    if status == 400:
        sentence(body)
    return found


@FUZZ
@given(st.sampled_from(ANSWERS[1:]), FIELDS)
@example("/rate", {"optimizers": "sgd:lr=1e308"})
@example("/rate", {"optimizers": "nesterov:lr=1.7e308,momentum=0.9"})
@example("/picture", {"optimizers": "sgd:lr=1e308", "surface": "rastrigin"})
@example("/picture", {"optimizers": "adam:eps=5e-324", "start": "0,0"})
@example(
    "/picture", {"optimizers": "sgd:lr=0.999999", "surface": "quadratic:condition=1", "start": "1e-160,0", "steps": "2"}
)
@example(
    "/picture", {"optimizers": "sgd:lr=1e5", "surface": "quadratic:condition=1", "start": "1e-162,0", "steps": "100"}
)
@example("/rate", {"optimizers": "momentum:lr=0,momentum=0"})
def test_a_query_of_any_values_is_answered(server, path, fields):
    check_answer(ask(server, f"{path}?{urlencode(fields)}"))


@FUZZ
@given(st.sampled_from(ANSWERS[1:]), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
@example("/path", "a" * (LONGEST_QUERY + 1))
@example("/path", "&".join(f"a{k}=1" for k in range(60)))
@example("/path", "surface=%ff%fe")
@example("/path", "surface=quadratic&surface=beale")
@example("/path", "steps=1;shown=0")
@example("/path", "=&=")
def test_a_query_of_any_characters_is_answered(server, path, query):
    check_answer(ask(server, f"{path}?{query}"))


@FUZZ
@given(FIELDS)
def test_what_is_answered_reads_back(server, fields):
    found = check_answer(ask(server, f"/picture?{urlencode(fields)}"))
    if "query" in found:
        again = check_answer(ask(server, f"/picture?{found['query']}"))
        assert again == found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("a=1&a=2", "'a' is given twice"),
        ("a", "cannot be read"),
        ("a=%ff", "cannot be read"),
        ("a=" + "b" * LONGEST_QUERY, "the query has"),
        ("&".join(f"a{k}=1" for k in range(51)), "cannot be read"),
    ],
)
def test_queries_that_cannot_be_read(query, said):
    with pytest.raises(GradstepValueError, match=said):
        read_query(query)


def test_a_query_is_decoded():
    assert read_query("") == {}
    assert read_query("a=%20b+c&d=") == {"a": " b c", "d": ""}
    assert read_query(f"x={quote('ü,:=')}") == {"x": "ü,:="}


def test_an_error_of_its_own_is_json_and_is_told_on_the_terminal(caplog):
    def broken(query):
        return 1 / 0

    with Server({"/": fixed("hello", "text/plain"), "/broken": broken}) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        assert ask(made, "/broken")[0] == 500
        assert "ZeroDivisionError" in caplog.text
        assert ask(made, "/")[2] == b"hello"
        made.shutdown()
        thread.join()


def test_a_port_that_is_taken_is_one_sentence(server):
    with pytest.raises(GradstepValueError, match=f"port {server.server_port} of 127.0.0.1: .*; choose another"):
        Server({}, server.server_port)


def test_numbers_that_json_does_not_know_are_never_sent():
    with pytest.raises(ValueError, match="JSON"):
        as_json({"x": float("nan")})


def test_names_are_all_that_can_be_asked_for(server):
    found = json.loads(ask(server, "/names")[2])
    assert [x["name"] for x in found["surfaces"]] == list(SURFACES)
    assert found["optimizers"] == optimizers.names()
    assert set(pages.routes()) == {*FILES, *ANSWERS}
