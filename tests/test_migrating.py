"""Each line of the pages for those who come from another library does what it says, there and here."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from references.compare import KNOWN
from support import installed

FOLDER = Path(__file__).parents[1] / "docs/migrating"
LIBRARIES = {  # the head of its table of constructors, and where they are
    "torch": ("torch.optim", "torch.optim"),
    "optax": ("optax", "optax"),
    "optax.contrib": ("optax.contrib", "optax.contrib"),
    "keras": ("keras.optimizers", "keras.optimizers"),
    "mlx": ("mlx.optimizers", "mlx.optimizers"),
    "timm": ("timm.optim", "timm.optim"),
    "pytorch_optimizer": ("pytorch_optimizer", "pytorch_optimizer"),
    "tf1": ("tf.compat.v1.train", None),  # held to recordings alone
}


def tables(file):
    """Each table of a page by the cells of its head: its rows."""
    found = {}
    for head, body in re.findall(r"^(\|.*\|)\n\|[-|]+\|\n((?:\|.*\|\n?)+)", (FOLDER / file).read_text("utf-8"), re.M):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body.splitlines()]
        found[tuple(cell.strip() for cell in head.split("|")[1:-1])] = rows
    return found


def code(cell):
    assert re.fullmatch(r"`[^`]+`", cell), cell
    return cell.strip("`")


def page(library):
    """The page of a library; optax.contrib stands on optax's."""
    return f"{library.partition('.')[0]}.md"


def rows(library, *head):
    return tables(page(library)).get(head, [])


OF_TORCH = {"torch", "timm", "pytorch_optimizer"}
CONSTRUCTORS = [
    (library, *map(code, row))
    for library, (head, _) in LIBRARIES.items()
    for row in rows(library, head, "here", "the stage that it is")
]
PAGES = [library for library in LIBRARIES if "." not in library]
ARGUMENTS = [(code(row[0]), row[1]) for library in PAGES for row in rows(library, "here", "what happens")]
AROUND = [(library, *map(code, row)) for library in ("torch", "optax") for row in rows(library, library, "here")]
START = np.linspace(-1.0, 1.0, 5)
LOSS, CURVATURE = 0.5, np.linspace(0.5, 2.0, 5)  # of those that take them
GRADS = [np.array([0.3, -2.0, 0.01, 5.0, 0.0]) * (1 + k) * (-1) ** k for k in range(4)]


def here(text):
    return eval(text, {"gs": gs, "params": {"w": START.copy()}})  # noqa: S307 - the page's own


def shape_for(call):
    """Return the shape of the weights: Muon takes matrices alone."""
    return (-1, 1) if call.startswith("Muon") else (-1,)


def ours(stage, like):
    """Our weights, in the dtype and shape of theirs."""
    w = START.astype(like.dtype).reshape(like.shape)
    opt = gs.Optimizer(w, stage)
    inputs = {"curvature": CURVATURE.astype(w.dtype)} if any(part.rule.inputs for part in opt.stage.parts) else {}
    for g in GRADS:
        opt.step(g.astype(w.dtype).reshape(w.shape), loss=LOSS, **inputs)
    return w


def theirs(library, call):
    module = installed(LIBRARIES[library][1])
    if library in OF_TORCH:
        import torch

        from references.record.of_torch import in_float64

        shape = shape_for(call)
        w = torch.tensor(START.reshape(shape), requires_grad=True)
        with in_float64(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # in which its Muon computes
            opt = eval(call, vars(module) | {"params": [w]})  # noqa: S307
            if call.startswith("ScheduleFree"):
                opt.train()
            for g in GRADS:
                w.grad = torch.tensor(g.reshape(shape))
                w.grad = w.grad.to_sparse() if call.startswith("SparseAdam") else w.grad
                opt.step()
        return w.detach().numpy()
    if library.startswith("optax"):
        import jax.numpy as jnp
        from optax import apply_updates

        w = jnp.asarray(START, jnp.float32)
        opt = eval(call, vars(module))  # noqa: S307
        state = opt.init(w)
        more = {"value": LOSS, "obj_fn": lambda x: 0.5 * jnp.sum(CURVATURE * x * x)}
        more = more if call.startswith(("momo", "polyak", "sophia")) else {}
        for g in GRADS:
            step, state = opt.update(jnp.asarray(g, jnp.float32), state, w, **more)
            w = apply_updates(w, step)
        return np.asarray(w)
    opt = eval(call, vars(module))  # noqa: S307
    if library == "mlx":
        import mlx.core as mx

        shape = shape_for(call)
        w = {"w": mx.array(START.astype(np.float32).reshape(shape))}
        for g in GRADS:
            w = opt.apply_gradients({"w": mx.array(g.astype(np.float32).reshape(shape))}, w)
        return np.array(w["w"])
    import keras

    if call.startswith("ScheduleFreeAdamW") and keras.backend.backend() != "jax":
        pytest.skip("Keras goes another way there")
    shape = shape_for(call)
    w = keras.Variable(START.astype(np.float32).reshape(shape), dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a Keras variable's __array__
        for g in GRADS:
            opt.apply([keras.ops.convert_to_tensor(g.astype(np.float32).reshape(shape))], [w])
        return np.array(keras.ops.convert_to_numpy(w))


def test_every_constructor_has_a_line():
    for library in LIBRARIES:
        own = {call.partition("(")[0] for name, call, _, _ in CONSTRUCTORS if name == library}
        assert own == set(getattr(gs.conventions, library).__all__)


@pytest.mark.parametrize(("library", "call", "text", "stage"), CONSTRUCTORS, ids=lambda x: x[:60])
def test_a_constructor_is_the_stage_that_stands_there(library, call, text, stage):
    assert repr(here(text)) == stage
    own = call.replace("(params, ", "(").replace("(params)", "()")
    assert text == f"gs.conventions.{library}.{own}"


@pytest.mark.parametrize(("library", "call", "text", "stage"), CONSTRUCTORS, ids=lambda x: x[:60])
def test_a_constructor_gives_the_librarys_numbers(library, call, text, stage):
    if LIBRARIES[library][1] is None:
        pytest.skip("held to recordings alone")
    wanted = theirs(library, call)
    scale = np.abs(GRADS).max() if "sgd" in stage or "momentum" in stage or "nesterov" in stage else 1.0
    own = (x.whole for x in KNOWN if (x.library, x.constructor) == (library, call.partition("(")[0]) and x.whole)
    bound = max(own, default=1e-12) if wanted.dtype == np.float64 else 3e-5  # float32 powers of beta2
    np.testing.assert_allclose(ours(here(text), wanted), wanted, rtol=bound, atol=bound * scale)


@pytest.mark.parametrize(("text", "says"), ARGUMENTS, ids=lambda x: x[:60])
def test_an_argument_is_noted_or_refused_as_stands_there(text, says):
    what, _, reason = says.partition(": ")
    if what == "refused":
        with pytest.raises(gs.GradstepError, match=re.escape(reason)):
            here(text)
    else:
        assert what == "ignored, with a warning"
        with pytest.warns(UserWarning, match=reason or "is ignored; it says how"):
            here(text)


def test_every_known_difference_stands_in_its_page_with_its_bound():
    for library in PAGES:
        text = (FOLDER / f"{library}.md").read_text("utf-8")
        own = [x for x in KNOWN if page(x.library) == page(library)]
        lines = tables(f"{library}.md").get(("where", "why", "at most, over thirty steps; in one step"), [])
        assert [row for row in lines if row[2]] == [difference(x) for x in own]
        assert own or "None is known" in text


def test_centered_rmsprop_meets_no_nan_where_torch_does():
    torch = pytest.importorskip("torch")
    g = np.linspace(0.1, 1.0, 100, dtype=np.float32)
    w = torch.zeros(100, requires_grad=True)
    w.grad = torch.tensor(g)
    there, mine = torch.optim.RMSprop([w], alpha=0.9, centered=True), np.zeros(100, np.float32)
    opt = gs.Optimizer(mine, "torch.RMSprop", alpha=0.9, centered=True)
    for _ in range(1000):
        there.step()
        opt.step(g)
    assert w.detach().isnan().any()
    assert np.isfinite(mine).all()


def difference(x):
    """The line of a known difference."""
    whole = "as elsewhere" if x.whole is None else f"{x.whole:g}"
    step = "" if x.ulps is None else f"; {x.ulps:g} ulp"
    inner = x.library.partition(".")[2]
    name = f"{inner}.{x.constructor}" if inner else x.constructor
    return [f"{name}, {x.dtype}{' ' + x.where if x.where else ''}", x.reason, whole + step]


@pytest.mark.parametrize(("library", "there", "text"), AROUND, ids=lambda x: x[:60])
def test_what_stands_around_it_is_there_on_both_sides(library, there, text):
    made = here(text)
    assert made is not None
    module = pytest.importorskip(library)
    known = {library: module, "params": [], "optimizer": None, "model": None}
    if library == "torch":
        import torch

        w = torch.tensor(START, requires_grad=True)
        w.grad = torch.tensor(GRADS[0])
        known |= {"params": [w], "optimizer": torch.optim.Adam([w]), "model": torch.nn.Linear(1, 1)}
    eval(there, known)  # noqa: S307
    if "clip" in there:
        bounded = gs.chain(made.parts[0].rule(1.0), gs.sgd(lr=1.0))
        mine = START.copy()
        gs.Optimizer(mine, bounded).step(GRADS[0].copy())
        if library == "torch":
            np.testing.assert_allclose(START - mine, w.grad.numpy(), rtol=1e-6)  # by the 1e-6 beside the norm
        else:
            import jax.numpy as jnp

            clip = eval(there, known)  # noqa: S307
            g = clip.update(jnp.asarray(GRADS[0]), clip.init(None))[0]
            np.testing.assert_allclose(START - mine, g, rtol=1e-6)
    if "osine" in there:
        rate = made.parts[0].given["lr"] if hasattr(made, "parts") else made
        for t in (0, 1, 50, 100):
            cosine = 0.5e-3 * (1 + np.cos(np.pi * t / 100))  # torch has no function of t
            wanted = cosine if library == "torch" else float(eval(there, known)(t))  # noqa: S307
            assert rate(t) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def state_block(library):
    """The code of the page's last part, which needs the library."""
    text = (FOLDER / f"{library}.md").read_text("utf-8")
    (block,) = re.findall(r"^## State.*?^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return block


def test_the_code_about_torchs_state_runs():
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    params = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    optim = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(2):
        optim.zero_grad()
        model(torch.ones(4, 3)).sum().backward()
        optim.step()
    known = {"gs": gs, "torch": torch, "model": model, "params": params, "optim": optim}
    exec(state_block("torch"), known)  # noqa: S102 - the page's own
    assert known["opt"].t == 2
    assert all(own["step"] == 2 for own in optim.state_dict()["state"].values())


@pytest.mark.filterwarnings("ignore")  # of libraries
@pytest.mark.parametrize("library", ["timm", "pytorch_optimizer"])
def test_the_code_about_state_of_torchs_kind_runs(library):
    lion = installed("timm.optim" if library == "timm" else library).Lion
    import torch

    p = torch.nn.Parameter(torch.ones(3))
    optimizer = lion([p], lr=0.1)
    p.grad = torch.ones(3)
    optimizer.step()
    opt = gs.Optimizer(np.ones(3, np.float32), f"{library}.Lion", lr=0.1)
    exec(state_block(library), {"gs": gs, "opt": opt, "optimizer": optimizer})  # noqa: S102 - the page's own
    assert opt.t == 1
    np.testing.assert_array_equal(next(iter(opt.state.values()))["lion.m"], optimizer.state[p]["exp_avg"].numpy())


def test_the_code_about_optaxs_state_runs():
    optax = pytest.importorskip("optax")
    import jax.numpy as jnp

    params = {"w": jnp.ones(3)}
    theirs = optax.adam(1e-3)
    state = theirs.init(params)
    for _ in range(2):
        _, state = theirs.update(params, state, params)
    opt = gs.Optimizer({"w": np.ones(3, np.float32)}, "optax.adam", learning_rate=1e-3)
    known = {"gs": gs, "optax": optax, "opt": opt, "state": state}
    exec(state_block("optax"), known)  # noqa: S102 - the page's own
    assert opt.t == int(known["state"][0].count) == 2
    steps, _ = known["tx"].update(params, known["tx"].init(params), params)
    assert steps["w"].dtype == jnp.float32


def test_the_code_about_kerass_state_runs():
    pytest.importorskip("keras")
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a Keras variable's __array__
        w = keras.Variable(np.ones(3, np.float32), dtype="float32")
        optimizer = keras.optimizers.Adam()
        for _ in range(2):
            optimizer.apply([keras.ops.ones(3)], [w])
        opt = gs.Optimizer(np.ones(3, np.float32), "keras.Adam")
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        known = {"gs": gs, "keras": keras, "opt": opt, "optimizer": optimizer, "model": model}
        exec(state_block("keras"), known)  # noqa: S102 - the page's own
        assert opt.t == int(optimizer.iterations) == 2
        model.fit(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32), verbose=0)
