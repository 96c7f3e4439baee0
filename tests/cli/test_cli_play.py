"""``gradstep play`` as a process: an address, a page behind it, and an end."""

import http.client
import re
import signal
import subprocess

import pytest

from gradstep.cli import main
from support import COMMAND, environment

pytest.importorskip("plotly")


@pytest.fixture
def started(tmp_path):
    """Start ``gradstep play`` with these arguments; the process, its port and its query."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [*COMMAND, "play", "--no-browser", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(),
        )
        processes.append(process)
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?(.*)\n", process.stdout.readline())
        return process, int(found[1]), found[2]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.process
def test_it_prints_an_address_serves_it_and_ends_at_ctrl_c(started, tmp_path):
    process, port, query = started(
        "quadratic:condition=50", "adam:lr=0.1,beta1=0.8", "keras.SGD", "--start=1,-2", "--steps=20"
    )
    assert query == (
        "surface=quadratic:condition=50&optimizers=adam:beta1=0.8,lr=0.1,keras.SGD&start=1,-2&steps=20&shown=0"
    )
    for path in ("/", f"/picture?{query}"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path, headers={"Sec-Fetch-Site": "same-origin"})
        assert connection.getresponse().status == 200
        connection.close()
    assert process.stdout.readline() == "Open it in a browser; Ctrl-C ends it.\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "gradstep: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_port_can_be_chosen_and_is_free_again(started):
    process, port, _ = started()
    assert main(["play", "--no-browser", "--port", str(port)]) == 2  # it is taken
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    _, again, _ = started("--port", str(port))
    assert again == port


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["moon"], "unknown surface 'moon'"),
        (["quadratic", "adamm"], "unknown optimizer 'adamm'; did you mean"),
        (["quadratic:condition=0"], "condition must be finite and >= 1"),
        (["quadratic", "adam:lr=-1"], "adam: lr must be finite and >= 0"),
        (["quadratic", "--start=here"], "start must be two numbers"),
        (["quadratic", "--steps=5000"], "steps must be a whole number from 1 to 1000"),
        (["quadratic", "--port=70000"], "--port"),
    ],
)
def test_errors_are_one_line(arguments, said, capfd):
    assert main(["play", "--no-browser", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_the_browser_is_opened_unless_it_is_refused(monkeypatch):
    import threading
    import webbrowser

    from gradstep.compare.show.server import Server

    opened = threading.Event()
    found = []
    monkeypatch.setattr(webbrowser, "open", lambda address: (found.append(address), opened.set()))
    monkeypatch.setattr(Server, "serve_forever", lambda self: found.append(self.address))
    assert main(["play", "saddle", "--no-browser"]) == 0
    assert len(found) == 1
    monkeypatch.setattr(Server, "serve_forever", lambda _: opened.wait(10))
    assert main(["play", "saddle", "sgd"]) == 0
    assert found[1].startswith("http://127.0.0.1:")
    assert found[1].endswith("/?surface=saddle&optimizers=sgd&start=1.6,0.001&steps=150&shown=0")
