"""Problem files: what NAME may be, copies of parameters, and a sentence for all that can be wrong with a file."""

import hashlib
import sys
from fractions import Fraction

import numpy as np
import pytest

import gradstep as gs
from gradstep.loop.problem_file import load
from gradstep.loop.user import Objective, number
from support import clear, script

FUNCTION = """
import numpy as np

def loss(params):
    return np.sum(params["w"] ** 2), {"w": 2 * params["w"]}

loss.params = {"w": np.array([1.0, 2.0])}
"""
CLASS = """
import numpy as np

class Model:
    batches = [1.0, 2.0]

    def __init__(self, seed=5):
        self.seed = seed

    def params(self, seed):
        return [np.full(2, float(seed)), (np.full(3, float(self.seed)),)]

    def value_and_grad(self, params, batch):
        return batch * params[0].sum(), [np.full(2, batch), (np.zeros(3),)]

    def evaluate(self, params):
        return {"sum": float(params[0].sum())}

model = Model(seed=7)
"""


@pytest.fixture
def file(current_folder):
    """Writes a problem file; ``sys.modules`` is as before when the test is over."""
    before = set(sys.modules)

    def write(source, name="mine.py"):
        (current_folder / name).write_text(source, encoding="utf-8")
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_function_with_params(file, tmp_path):
    file(FUNCTION)
    problem = load("mine.py:loss")
    assert (problem.name, problem.path) == ("loss", (tmp_path / "mine.py").resolve())
    assert problem.source_sha256 == hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    assert (problem.batches, problem.evaluate) == (None, None)
    value, grads = problem.value_and_grad(problem.params)
    assert (value, type(value)) == (5.0, float)
    assert grads["w"].tolist() == [2.0, 4.0]


def test_a_function_with_params_of_the_file(file):
    file("import numpy as np\nparams = (np.ones(2),)\ndef f(p):\n    return 0.0, p\nf2 = lambda p: (1.0, p)")
    assert load("mine.py:f").params[0].tolist() == [1.0, 1.0]
    assert load("mine.py:f2").value_and_grad(0)[0] == 1.0


def test_a_functions_own_params_come_first(file):
    file(FUNCTION + "params = np.zeros(7)")
    assert load("mine.py:loss").params["w"].shape == (2,)


def test_an_object(file):
    file(CLASS)
    problem = load("mine.py:model", seed=3)
    assert problem.params[0].tolist() == [3.0, 3.0]
    assert problem.params[1][0].tolist() == [7.0] * 3
    assert problem.batches == [1.0, 2.0]
    assert problem.evaluate(problem.params) == {"sum": 6.0}
    assert problem.value_and_grad(problem.params, 2.0)[0] == 12.0
    assert problem.value_and_grad.name == "model.value_and_grad"


def test_a_class_is_given_the_seed_if_it_takes_it(file):
    file(CLASS + "class Plain:\n    params = np.ones(1)\n    def value_and_grad(self, p):\n        return 0.0, p\n")
    assert load("mine.py:Model", seed=4).params[1][0].tolist() == [4.0] * 3
    assert load("mine.py:Model").params[1][0].tolist() == [0.0] * 3
    assert load("mine.py:Plain", seed=4).params.tolist() == [1.0]


@pytest.mark.parametrize(
    ("made", "first"),
    [
        ("lambda seed: np.full(2, float(seed))", 9.0),
        ("lambda key: np.full(2, float(key))", 9.0),
        ("lambda *, seed: np.full(2, float(seed))", 9.0),
        ("lambda n=1, seed=0: np.full(n, float(seed))", 9.0),
        ("lambda: np.full(2, 4.0)", 4.0),
        ("np.random.default_rng(0).random", None),  # a C function without a signature
    ],
)
def test_params_may_be_a_function(file, made, first):
    file(f"import numpy as np\nparams = {made}\ndef f(p):\n    return 0.0, p\n")
    if first is None:
        file(f"import numpy as np\nparams = lambda: np.array({made}())\ndef f(p):\n    return 0.0, p\n")
    params = load("mine.py:f", seed=9).params
    assert first is None or params.flat[0] == first


def test_params_are_copies_in_the_same_nest(file):
    file(
        "import numpy as np\nfrom collections import namedtuple\nPair = namedtuple('Pair', 'a b')\n"
        "params = {'x': [np.zeros(2), (np.zeros(1, np.float32), np.float64(3.0))],\n"
        "          'p': Pair(np.zeros(3), np.ones(()))}\n"
        "def f(p):\n    return float(params['x'][0].sum()), p\n"
    )
    problem = load("mine.py:f")
    problem.params["x"][0][...] = 1.0
    assert problem.value_and_grad(problem.params)[0] == 0.0
    assert load("mine.py:f").params["x"][0].tolist() == [0.0, 0.0]
    assert isinstance(problem.params["x"][1], tuple)
    assert problem.params["x"][1][0].dtype == np.float32
    assert problem.params["x"][1][1].shape == ()
    assert problem.params["p"]._fields == ("a", "b")


def test_the_files_folder_is_importable_also_later(file):
    file("import numpy as np\nsize = 3\n", "helper_of_mine.py")
    file("late = 2.0\n", "later_of_mine.py")
    file(
        "import numpy as np\nfrom helper_of_mine import size\nparams = np.ones(size)\n"
        "def f(p):\n    from later_of_mine import late\n    return late, p\n"
    )
    problem = load("mine.py:f")
    assert problem.params.shape == (3,)
    assert problem.value_and_grad(problem.params)[0] == 2.0


def test_a_file_that_is_called_like_a_module(file):
    file(FUNCTION + "import numpy\nassert __name__ not in ('__main__', 'numpy')", "json.py")
    assert load("json.py:loss").params["w"].tolist() == [1.0, 2.0]
    assert sys.modules["json"].__file__.endswith("__init__.py")


def test_a_dataclass_in_a_file_finds_its_module(file):
    file(
        "from __future__ import annotations\nfrom dataclasses import dataclass, field\nimport numpy as np\n"
        "@dataclass\nclass Model:\n    n: int = 2\n    def params(self):\n        return np.ones(self.n)\n"
        "    def value_and_grad(self, p):\n        return 0.0, p\n"
    )
    assert load("mine.py:Model").params.shape == (2,)


def test_what_runs_is_what_the_file_says_now(file, tmp_path, monkeypatch):
    """No bytecode: two files of one size within one tick of the clock are two files."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for k in range(3):
        file(f"import numpy as np\nparams = np.full(1, {k}.0)\ndef f(p):\n    return 0.0, p\n")
        assert load("mine.py:f").params[0] == k
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_a_path_with_a_colon_is_split_at_the_last(file, tmp_path):
    file(FUNCTION, "C:mine.py")
    assert load("C:mine.py:loss").path.name == "C:mine.py"
    assert load(f"{tmp_path}/C:mine.py:loss").name == "loss"


@pytest.mark.process
def test_a_loaded_file_imports_nothing_of_the_optimizer():
    code = "import sys\nimport gradstep.loop.problem_file\nprint('llvmlite' in sys.modules)"
    assert script(code).strip() == "False"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mine.py", "mine.py needs a name after it: mine.py:loss or mine.py:Model"),
        ("mine.py:", "mine.py needs a name after it: mine.py:loss or mine.py:Model"),
        ("mine.py:los", "mine.py has no 'los'; did you mean loss?"),
        ("mine.py:zzz", "mine.py has no 'zzz'; known: Model, loss, model."),
        ("mine.py:loss.params", "mine.py has no 'loss.params'"),
        (":loss", "':loss' names no file"),
        ("", "'' names no file"),
        ("other.py:loss", "there is no file other.py"),
        ("C:\\x.py:f", "there is no file C:\\x.py;"),
        ("C:\\x.py", "there is no file C:\\x.py;"),
        ("folder:loss", "folder is a folder"),
        ("notes.txt:loss", "notes.txt is no Python file"),
        ("empty.py:loss", "empty.py has no 'loss', and nothing else that could be optimized; write a function"),
        ("empty.py", "empty.py has nothing that could be optimized; write a function"),
        ("mine.py:number", "mine.py:number is an object of type int, and must be a function"),
        ("mine.py:array", "mine.py:array is an array of float64 and shape (3,), and must be a function"),
        ("mine.py:table", "mine.py:table is an object of type dict, and must be"),
    ],
)
def test_what_is_wrong_with_a_name(file, tmp_path, text, says):
    file(FUNCTION + CLASS + "number = 3\narray = np.zeros(3)\ntable = {}\n")
    file("", "notes.txt")
    file("import os\n", "empty.py")
    (tmp_path / "folder").mkdir()
    with pytest.raises(gs.GradstepError) as error:
        load(text)
    assert clear(error)
    assert says in str(error.value)


HEAD = "import numpy as np\n"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f(:\n", "mine.py, line 1: SyntaxError: invalid syntax"),
        (HEAD + "if True:\npass", "mine.py, line 3: IndentationError: expected an indented block"),
        ("x = '\0'", "mine.py: SyntaxError: source code string cannot contain null bytes"),
        ("import broken_helper", "broken_helper.py, line 2: SyntaxError"),
        (HEAD + "1 / 0", "mine.py raised ZeroDivisionError: division by zero (mine.py, line 2)."),
        (HEAD + "np.ones(2) @ np.ones(3)", "mine.py raised ValueError: matmul: "),
        (
            HEAD + "import no_such_module",
            "raised ModuleNotFoundError: No module named 'no_such_module' (mine.py, line 2).",
        ),
        ("import sys\nsys.exit(3)", "mine.py raised SystemExit: 3 (mine.py, line 2)."),
        ("raise ValueError('one\\n two')", "mine.py raised ValueError: one two (mine.py, line 1)."),
        ("raise ValueError('long ' * 200)", " ... (mine.py, line 1)."),
        ("raise KeyError", "mine.py raised KeyError (mine.py, line 1)."),
        (
            "def f(p):\n    return 0.0, p",
            "mine.py:f has no params; give the initial parameters, as an attribute, or at",
        ),
        ("params = None\ndef f(p):\n    return 0.0, p", "mine.py:f has no params"),
        ("params = 1.0\ndef f(p):\n    return 0.0, p", "mine.py:f: parameter 'params' is of type float"),
        (
            "params = [1.0]\ndef f(p):\n    return 0.0, p",
            "; write numpy.array(...) around a number, and",
        ),
        ("params = {'w': [1, 2]}\ndef f(p):\n    return 0.0, p", "mine.py:f: parameter 'w.0' is of type int"),
        ("params = {}\ndef f(p):\n    return 0.0, p", "mine.py:f: params holds no array."),
        (
            HEAD + "params = np.ones(2, int)\ndef f(p):\n    return 0.0, p",
            "mine.py:f: parameter 'params' has dtype int64",
        ),
        (HEAD + "params = np.ma.ones(2)\ndef f(p):\n    return 0.0, p", "'params' is a masked array"),
        (
            "params = lambda seed: 1 / 0\ndef f(p): pass",
            "mine.py:f: params raised ZeroDivisionError: division by zero (mine",
        ),
        (
            "params = lambda a, b: 0\ndef f(p): pass",
            "mine.py:f: params raised TypeError: <lambda>() missing 2 required",
        ),
        ("class f:\n    pass", "mine.py:f is an object of type f, and must be"),
        ("class f:\n    params = 1", "mine.py:f has params and no value_and_grad; give it value_and_grad(params)."),
        (
            "class f:\n    value_and_grad = 3",
            "mine.py:f: value_and_grad must be a function of the parameters, not an object of",
        ),
        (
            "class f:\n    def value_and_grad(self, p): pass",
            "mine.py:f has no params; give the initial parameters, as an",
        ),
        (
            "class f:\n    def __init__(self):\n        1 / 0",
            "mine.py:f raised ZeroDivisionError: division by zero (mine.py, line 3).",
        ),
        ("class f:\n    def __init__(self, n): pass", "mine.py:f raised TypeError: f.__init__() missing 1 required"),
        (
            "class f:\n    value_and_grad = print\n    @property\n    def params(self):\n        return 1 / 0",
            "mine.py:f: params raised ZeroDivisionError: division by zero (mine.py, line 5).",
        ),
        (
            HEAD + "class f:\n    value_and_grad = print\n    params = np.ones(1)\n    evaluate = 3",
            "mine.py:f: evaluate must be a function of the parameters, not an object of type int.",
        ),
    ],
)
def test_what_is_wrong_in_a_file(file, source, says):
    file("x = 1\ny = (\n", "broken_helper.py")
    file(source)
    before = set(sys.modules)
    with pytest.raises(gs.GradstepError) as error:
        load("mine.py:f")
    assert clear(error)
    assert says in str(error.value)
    if "def f" not in source and "class f" not in source:
        assert not {name for name in set(sys.modules) - before if name.startswith("_gradstep")}


def test_an_interrupt_while_a_file_runs_is_one(file):
    file("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("mine.py:f")


def test_what_the_users_function_raises_is_told_with_its_line(file):
    file(
        HEAD + "params = np.ones(2)\ndef f(p):\n    return inner(p)\ndef inner(p):\n    return p @ np.ones((3, 3))\n"
        "def g(p):\n    return {}['key']\n"
    )
    problem = load("mine.py:f")
    with pytest.raises(gs.UserCodeError) as error:
        problem.value_and_grad(problem.params)
    assert str(error.value).startswith("f raised ValueError: matmul: ")
    assert str(error.value).endswith("(mine.py, line 6).")
    assert "\n" not in str(error.value)
    assert isinstance(error.value.__cause__, ValueError)
    with pytest.raises(gs.UserCodeError, match=r"^g raised KeyError: 'key' \(mine.py, line 8\)\.$"):
        load("mine.py:g").value_and_grad(problem.params)


def test_a_function_of_no_file_is_told_with_where_it_is():
    def value_and_grad(p):
        raise OSError("no\nway")

    with pytest.raises(
        gs.UserCodeError, match=r"^value_and_grad raised OSError: no way \(test_problem_file.py, line \d+\)\.$"
    ):
        Objective(value_and_grad)(0)
    with pytest.raises(gs.UserCodeError, match=r"^value_and_grad raised TypeError: "):
        Objective(len)(0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "mine must give (value, gradients), not None."),
        (1.0, "mine must give (value, gradients), not an object of type float."),
        ((1.0,), "mine must give (value, gradients), not a tuple of 1."),
        ((1.0, 2.0, 3.0), "mine must give (value, gradients), not a tuple of 3."),
        (np.ones(2), "mine must give (value, gradients), not an array of float64 and shape (2,)."),
        ((1.0, None), "mine must give (value, gradients), and gave None for the gradients."),
        (({"w": 1}, 1.0), "must be one real number, not an object of type dict; are the two the wrong way round?"),
        ((np.ones(2), 1.0), "the value that mine gives must be one number, and has shape (2,); take its sum or mean."),
        ((np.ones(1), 1.0), "and has shape (1,)"),
        ((1j, 1.0), "must be one real number, not an object of type complex."),
        ((np.complex64(1), 1.0), "must be one real number, not an array of complex64 and shape ()."),
        (("1.0", 1.0), "must be one real number, not an object of type str."),
        ((None, 1.0), "must be one real number, not None."),
    ],
)
def test_what_a_function_may_not_give(given, says):
    with pytest.raises(gs.GradstepError) as error:
        Objective(lambda _: given, "mine")(0)
    assert clear(error)
    assert says in str(error.value)


def test_an_integer_beyond_floats_is_infinite():
    assert [number(x, "f") for x in (10**400, -(10**400))] == [np.inf, -np.inf]


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.array(2.0), np.array(2), Fraction(2), np.float64(2)])
def test_what_a_value_may_be(value):
    assert number(value, "f") == 2.0
    assert type(Objective(lambda _: (value, 0))(0)[0]) is float


def test_a_value_of_another_namespace():
    xp = pytest.importorskip("array_api_strict")
    assert number(xp.asarray(2.0), "f") == 2.0
    with pytest.raises(gs.GradstepValueError):
        number(xp.asarray([2.0]), "f")


def test_evaluate_is_told_when_it_raises(file):
    file(CLASS.replace('return {"sum"', 'raise ValueError("no"); return {"sum"'))
    problem = load("mine.py:model")
    with pytest.raises(gs.UserCodeError, match=r"^model.evaluate raised ValueError: no \(mine.py, line 17\)\.$"):
        problem.evaluate(problem.params)
