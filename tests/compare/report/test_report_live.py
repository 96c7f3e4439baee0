"""``gradstep watch --web``: the report that follows its study, as one asks for it and in a browser."""

import json
import threading
import urllib.error
import urllib.request

import pytest
from report_studies import made_study

from gradstep.compare.evidence.study import Study
from gradstep.compare.show.report.live import routes
from gradstep.compare.show.report.page import content
from gradstep.compare.show.server import Server
from gradstep.compare.store import Content, Store
from gradstep.errors import GradstepValueError

WHOLE = made_study(speed={"sgd": 0.05, "adam": 0.08}, problems=("quadratic",), seeds=2)


@pytest.fixture
def begun(tmp_path):
    """A store with half of the runs, the other half, and the address of its page."""
    empty = Content(WHOLE.spec, WHOLE.problem_info, WHOLE.sessions[0].environment, [])
    half = len(WHOLE.runs) // 2
    with Store(tmp_path, empty) as store:
        for run in WHOLE.runs[:half]:
            store.add(run)
        with Server(routes(tmp_path)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield store, [*WHOLE.runs[half:], *WHOLE.timings], server.address
            server.shutdown()


OWN = {"Sec-Fetch-Site": "same-origin"}  # as a browser marks what a page asks of its own server


def ask(address, path):
    asked = urllib.request.Request(address + path, headers=OWN)  # noqa: S310 - our own server
    with urllib.request.urlopen(asked, timeout=30) as reply:  # noqa: S310
        return json.loads(reply.read())


def refused(asked):
    """Status and body of what is not answered."""
    if isinstance(asked, str):
        asked = urllib.request.Request(asked, headers=OWN)  # noqa: S310 - our own server
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(asked, timeout=30)  # noqa: S310 - our own server
    with raised.value as reply:
        return reply.code, reply.read()


def test_the_state_grows_with_the_study(begun):
    store, rest, address = begun
    first = ask(address, "state")
    assert (first["made"], first["finished"]) == ("7 of 14 runs", False)
    assert "This study is not finished: 7 of 14 runs" in first["main"]
    again = ask(address, f"state?seen={first['token']}")
    assert set(again) == {"token", "heading", "finished", "made", "share", "left"}  # nothing new
    for made in rest:
        store.add(made)
    last = ask(address, f"state?seen={first['token']}")
    assert (last["made"], last["finished"]) == ("14 of 14 runs", True)
    found = content(Study.of(store.content))
    assert last["main"] == found.main
    assert last["figures"] == json.loads(json.dumps(found.figures))


@pytest.mark.parametrize("query", ["other=1", "seen=1&seen=2", "seen", "seen=%ff", "x" * 5000, "=&="])
def test_odd_queries_are_answered_in_a_sentence(begun, query):
    code, said = refused(f"{begun[2]}state?{query}")
    assert code == 400
    assert json.loads(said)["error"].endswith(".")


@pytest.mark.parametrize("seen", ["", "0-0", "../../etc/passwd", "<script>", "%00", "-1"])
def test_any_token_is_taken_for_an_old_one(begun, seen):
    assert "main" in ask(begun[2], f"state?seen={seen}")


def test_other_hosts_and_paths_are_refused(begun):
    address = begun[2]
    request = urllib.request.Request(f"{address}state", headers={"Host": "example.org"})  # noqa: S310
    unmarked = urllib.request.Request(f"{address}state")  # noqa: S310
    for asked, code in ((request, 403), (unmarked, 403), (f"{address}study.db", 404), (f"{address}../study.db", 404)):
        assert refused(asked)[0] == code


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(GradstepValueError, match="there is no study in"):
        routes(tmp_path)


@pytest.mark.process
def test_the_page_follows_its_study(begun, browser):
    from browser import BROWSER, check_axe

    if BROWSER is None:
        pytest.skip("no chromium in PATH")
    store, rest, address = begun
    page = browser.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#loss-0 .main-svg")
    assert page.locator("#state").inner_text() == "Following the study: 7 of 14 runs."
    page.select_option("#axis", "gradients")
    page.locator("#axis").focus()
    for made in rest:
        store.add(made)
    page.wait_for_function("() => document.getElementById('state').textContent === 'Finished: 14 of 14 runs.'")
    page.wait_for_selector("#profile-steps, #seconds-steps .main-svg")
    assert page.locator(".banner[role=status]").count() == 0
    assert page.locator("#axis").input_value() == "gradients"  # what was chosen stays
    assert page.evaluate("document.activeElement.id") == "axis"
    page.wait_for_function("() => document.querySelector('#loss-0 .xtitle')?.textContent === 'gradient evaluations'")
    check_axe(page)
    assert complaints == []
    assert {url.startswith((address, "blob:", "data:")) for url in requests} == {True}
    page.close()
