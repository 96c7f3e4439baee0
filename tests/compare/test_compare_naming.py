"""How optimizers and problems are written."""

import pytest

from gradstep.errors import GradstepValueError
from gradstep.text import Named, read_names, short


def test_names_with_and_without_numbers():
    text = "sgd, momentum:momentum=0.95 ,adam:beta1=0.8, eps=1e-6,adamw"
    assert read_names(text) == (
        Named("sgd"),
        Named("momentum", (("momentum", 0.95),)),
        Named("adam", (("beta1", 0.8), ("eps", 1e-6))),
        Named("adamw"),
    )


def test_written_and_read_again_it_is_the_same():
    names = read_names("adam:eps=1e-6,beta1=0.1234567890123,quadratic:condition=1234567")
    assert read_names(",".join(map(str, names))) == names


@pytest.mark.parametrize(
    ("x", "text"), [(1e-3, "0.001"), (3.0, "3"), (1e-8, "1e-08"), (0.1234567890123, "0.1234567890123")]
)
def test_short_numbers_read_back(x, text):
    assert short(x) == text
    assert float(short(x)) == x


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write name"),
        ("adam,,sgd", "write name"),
        ("adam,", "write name"),
        ("lr=1", "write name"),
        ("adam:lr", "key=number"),
        ("adam:=1", "key=number"),
        ("adam:lr=fast", "must be a number, not 'fast'"),
        ("adam:lr=1,lr=2", "lr is given twice"),
        ("adam,adam", "adam is given twice"),
        ("adam:lr=1,adam:lr=1.0", "adam:lr=1 is given twice"),
    ],
)
def test_what_cannot_be_read_is_told(text, says):
    with pytest.raises(GradstepValueError, match=says):
        read_names(text)
