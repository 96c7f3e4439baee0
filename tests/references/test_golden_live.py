"""The golden values made anew by the libraries that are installed, and optimizers of theirs that are known to differ.

torch, optax and Keras are there in the gate; the others where somebody has installed them: `pip install timm
pytorch_optimizer schedulefree prodigyopt dadaptation dog-optimizer`.
"""

import json
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from support import installed

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' affairs

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
CALLS = [(name, path) for name, golden in GOLDEN["settings"].items() for path in golden["calls"]]
EXACT = 1e-12
# What a library computes in fewer bits than its parameters have.
CLOSE = {
    "optax.adafactor": 1e-8,  # t to the power
    "keras.optimizers.Adafactor": 1e-7,  # lr
    "keras.optimizers.Muon": 1e-7,  # lr
    "pytorch_optimizer.SOAP": 1e-7,  # QR
}
# Optimizers of these names that do something else.
DIFFERS = [
    ("adan", "optax.adan", {"learning_rate": 0.01}, "1 - b2 in front of the gradients' difference, not b2"),
    ("rprop", "optax.rprop", {"learning_rate": 0.01}, "each step is given one update late"),
    (
        "simplified_ademamix",
        "pytorch_optimizer.SimplifiedAdEMAMix",
        {"lr": 0.01, "alpha": 2.0, "weight_decay": 0.1},
        "an average in the place of the sum, and the correction upside down",
    ),
    ("adopt", "pytorch_optimizer.ADOPT", {"lr": 0.01}, "the bound begins at the power of 2, not of 1"),
    (
        "lamb",
        "pytorch_optimizer.Lamb",
        {"lr": 0.01, "weight_decay": 0.1},
        "v is not corrected, the norm of theta is at most 10, and the decay is outside of the ratio",
    ),
    (
        "schedule_free_adamw_keras",
        "schedulefree.AdamWScheduleFree",
        {"lr": 0.01, "warmup_steps": 3},
        "Keras weighs the steps of the warm-up like all others",
    ),
    (
        "lars_timm",
        "optax.lars",
        {"learning_rate": 1.0, "weight_decay": 0.1},
        "the norm of the sum, not the sum of norms",
    ),
]


def of_torch(make, arguments, arrays, grads):
    """The parameters after each step of an optimizer of torch's kind."""
    import torch

    params = {key: torch.tensor(x, requires_grad=True) for key, x in arrays.items()}
    if make.__name__ == "Lookahead":
        opt = make(torch.optim.Adam(params.values(), lr=0.01), **arguments)
    else:
        opt = make(list(params.values()), **arguments)
    if "ScheduleFree" in make.__name__:
        opt.train()
    for g in grads:
        for key, x in params.items():
            x.grad = torch.tensor(g[key])
        opt.step()
        yield {key: x.detach().numpy().copy() for key, x in params.items()}


def of_optax(make, arguments, arrays, grads):
    import jax
    import optax

    with jax.enable_x64(True):
        tx, params = make(**arguments), {key: jax.numpy.array(x) for key, x in arrays.items()}
        state = tx.init(params)
        for own in grads:
            updates, state = tx.update({key: jax.numpy.array(x) for key, x in own.items()}, state, params)
            params = optax.apply_updates(params, updates)
            yield {key: np.array(x) for key, x in params.items()}


def of_keras(make, arguments, arrays, grads):
    import keras

    from references.record.keras import floats

    with floats("float64"):
        params = {key: keras.Variable(np.array(x), dtype="float64", name=key) for key, x in arrays.items()}
        opt = make(**arguments)
        opt.build(list(params.values()))
        for g in grads:
            opt.apply([keras.ops.convert_to_tensor(np.array(x), dtype="float64") for x in g.values()])
            yield {key: np.array(keras.ops.convert_to_numpy(x)) for key, x in params.items()}


def apart(name, path, arguments):
    """How far the library is from the values after 1, 2, 3 and 5 updates, relative to the larger of 1 and them."""
    library = path.partition(".")[0]
    module = f"{library}.optim" if library in {"torch", "timm"} else library
    make = attrgetter(path.removeprefix(f"{module}."))(installed(module))
    golden = GOLDEN["settings"][name]
    problem = GOLDEN["problems"][golden["problem"]]
    run = {"optax": of_optax, "keras": of_keras}.get(library, of_torch)
    worst = 0.0
    for t, params in enumerate(run(make, arguments, problem["params"], problem["grads"]), 1):
        for key, x in golden["after"].get(str(t), {}).items():
            worst = max(worst, np.abs((params[key] - x) / np.maximum(1, np.abs(x))).max())
    return worst


@pytest.fixture
def in_float64(monkeypatch):
    """What torch computes in bfloat16 or float32, for speed, in float64."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(("name", "path"), CALLS)
def test_the_library_gives_the_values(name, path):
    far = apart(name, path, GOLDEN["settings"][name]["calls"][path])
    if name == "schedule_free_adamw_keras" and import_module("keras").backend.backend() == "torch":
        assert far > 1e-4, "on torch, Keras 3.15 takes x from a z that it has changed meanwhile"
    else:
        assert far <= CLOSE.get(path, EXACT)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("name", "path", "arguments"), [pytest.param(*call, id=f"{call[1]}: {why}") for *call, why in DIFFERS]
)
def test_another_library_does_something_else(name, path, arguments):
    """Where it no longer does, what we tell users about it is out of date."""
    assert apart(name, path, arguments) > 1e-4
