"""The form of a suite: a peer's test files, and how our guests come into them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Expected(NamedTuple):
    """A failure that is no fault.

    Attributes
    ----------
    test
        A regular expression, searched in the test's id.
    error
        A regular expression, searched in the error's text: another error of the same test is a fault.
    why
        For a refusal, words of ``page``; else the reason why the test is none of a guest's.
    page
        The page of the docs that lists the refusal, from the root of the repository; empty where the test is none of
        a guest's.
    """

    test: str
    error: str
    why: str
    page: str = ""

    @property
    def reason(self) -> str:
        """What is said of such tests."""
        return f"refused, {self.page}: {self.why}" if self.page else f"none of a guest's: {self.why}"


class Suite(NamedTuple):
    """A peer's tests.

    Attributes
    ----------
    files
        Test files, as paths within a checkout of the peer.
    swap
        Puts guests in the place of the peer's optimizers; called before a test is collected. It wraps what it puts
        there in :func:`peers.plugin.counted`, so that a run shows how many tests came to a guest.
    packages
        Whose versions are printed.
    expected
        Failures that are no faults.
    options
        For pytest.
    paths
        Folders of a checkout that go on Python's path.
    environment
        Variables of the environment.
    """

    files: Sequence[str]
    swap: Callable[[], None]
    packages: Sequence[str]
    expected: Sequence[Expected] = ()
    options: Sequence[str] = ()
    paths: Sequence[str] = ()
    environment: Sequence[tuple[str, str]] = ()
