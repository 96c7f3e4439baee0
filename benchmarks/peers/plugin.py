"""A plugin of pytest: swaps a suite's guests in, and writes what became of each test."""

import json
import os
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

made = 0  # guests, so far


def counted(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a constructor that counts what it makes."""

    @wraps(make)
    def counting(*args: Any, **kwargs: Any) -> Any:
        global made
        made += 1
        return make(*args, **kwargs)

    return counting


class Recorder:
    """Outcomes by test: ``{"outcome": "failed", "error": "ValueError: ...", "guests": 3}``."""

    def __init__(self) -> None:
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.before = 0

    def pytest_runtest_logstart(self) -> None:
        """Take the number of guests before a test."""
        self.before = made

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take what became of a phase of a test; the worst of them stays."""
        own = self.outcomes.setdefault(report.nodeid, {"outcome": "passed", "error": "", "guests": 0})
        own["guests"] = made - self.before
        if report.failed and own["outcome"] != "failed":
            own.update(outcome="failed", error=_error(report.longrepr))
        elif report.skipped and own["outcome"] == "passed":
            own.update(outcome="skipped", error=_error(report.longrepr))

    def pytest_collectreport(self, report: Any) -> None:
        """Take a file that cannot be collected as a failed test."""
        if report.failed:
            self.outcomes[report.nodeid] = {"outcome": "failed", "error": str(report.longrepr)[-500:], "guests": 0}

    def pytest_sessionfinish(self) -> None:
        """Write all outcomes."""
        Path(os.environ["PEERS_OUT"]).write_text(json.dumps(self.outcomes))


def _error(longrepr: Any) -> str:
    crash = getattr(longrepr, "reprcrash", None)
    return crash.message if crash else str(longrepr)


def pytest_configure(config: Any) -> None:
    """Swap, where the environment says so."""
    config.pluginmanager.register(Recorder())
    if os.environ["PEERS_SWAP"] == "1":
        import_module(f"peers.{os.environ['PEERS_SUITE']}_suite").SUITE.swap()
