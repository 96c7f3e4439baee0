"""What editors and type checkers read of rules and stages: a class for each, with hyperparameters and docstring.

``python tests/stubs.py`` writes ``__init__.pyi`` beside the lists of rules and of stages, and ``minimize.pyi`` with the
options of a run and an optimizer: run it after a change of one.
"""

import inspect
from pathlib import Path
from types import ModuleType

import gradstep
from gradstep import rules, stages
from gradstep.loop.minimize import minimize
from gradstep.rule import Rule

HEAD = """\
# Written by `python tests/stubs.py`: what editors and type checkers read of the {what} beside this file.
# A call with a name that there is not, or a word for a number, is an error to them as it is when it runs.
# mypy: disable-error-code="override"
# pyright: reportIncompatibleMethodOverride=false
from gradstep.form.hyper import Hyper
from gradstep.rule import Rule, Stage

__all__ = {names!r}
"""
ONE = """
class _{name}(Rule):
    def __call__(self, {hyper}*, name: str | None = None) -> Stage:
        {doc}

{name}: _{name}
"""


def _text(made: Rule, name: str) -> str:
    own = [f"{key}: Hyper = {'...' if x is None else repr(x)}, " for key, x in made.defaults.items()]
    doc = made.doc.replace("\n", "\n        ").replace("\n        \n", "\n\n")
    return ONE.format(name=name, hyper="".join(own), doc=f'{"r" if chr(92) in doc else ""}"""{doc}\n        """')


def stub(module: ModuleType) -> str:
    """Return the stub of a module of rules or stages."""
    names = sorted(module.__all__)
    what = module.__name__.removeprefix(f"{gradstep.__name__}.")
    return HEAD.format(what=what, names=names) + "".join(_text(getattr(module, name), name) for name in names)


MINIMIZE = """\
# Written by `python tests/stubs.py`: what editors read of `gs.minimize`.
import collections.abc
import os
import typing
from types import NoneType
from typing import Any, Literal, Union

import gradstep.loop.plateau
import gradstep.loop.stop
from scipy.optimize import OptimizeResult

DEFAULT_STEPS: int
called: Any  # this and the next are for the package alone
summary: Any

def minimize(
{parameters}
) -> OptimizeResult: ...
"""


def stub_of_minimize() -> str:
    """Return the stub of ``gradstep.loop.minimize``."""
    shown = [f"    {x}," for x in inspect.signature(minimize).parameters.values()]
    shown.insert(3, "    *,")
    return MINIMIZE.format(parameters="\n".join(shown))


def path(module: ModuleType) -> Path:
    """Return where the stub lies."""
    return Path(str(module.__file__)).with_suffix(".pyi")


if __name__ == "__main__":
    for module in (rules, stages):
        path(module).write_text(stub(module), "utf-8")
    Path(inspect.getfile(minimize)).with_suffix(".pyi").write_text(stub_of_minimize(), "utf-8")
