"""One server of the page for all tests, in a thread."""

import threading

import pytest

from gradstep.compare.show.play.pages import routes
from gradstep.compare.show.server import Server


@pytest.fixture(scope="session")
def server():
    with Server(routes()) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()
