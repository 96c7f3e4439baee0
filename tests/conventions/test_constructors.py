"""Other libraries' constructors: their names, arguments and defaults; what is noted, what is refused."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from functools import partial
from importlib import import_module
from types import FunctionType

import numpy as np
import pytest

import gradstep as gs
from gradstep.conventions import LIBRARIES, constructor, described
from gradstep.form.chain import program
from gradstep.rule import Rule
from support import case, installed

EVERY = [f"{library}.{name}" for library in LIBRARIES for name in getattr(gs.conventions, library).__all__]
THEIRS = {
    "torch": "torch.optim",
    "optax": "optax",
    "optax.contrib": "optax.contrib",
    "keras": "keras.optimizers",
    "mlx": "mlx.optimizers",
    "tf1": "tensorflow.compat.v1.train",
    "timm": "timm.optim",
    "pytorch_optimizer": "pytorch_optimizer",
}
BASE = {  # what Keras's optimizers hand to their base class, and its defaults
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "name": None,
}
ONLY_INSIDE = {"use_own_namescope_for_non_slot_vars"}  # of TensorFlow's graph


def default(x):
    """A default of theirs: a list is as good as a tuple, and a function or transformation of theirs is None here."""
    if isinstance(x, list):
        return tuple(x)
    if inspect.isclass(x) and x.__name__ == "float32":
        return "float32"
    return None if inspect.isfunction(x) or hasattr(x, "_fields") else x


def parameters(call):
    """Names in order, defaults, and whether each is by keyword alone."""
    known = [x for x in inspect.signature(call).parameters.values() if x.kind not in (x.VAR_KEYWORD, x.VAR_POSITIONAL)]
    return {
        x.name: (default(x.default), x.kind is x.KEYWORD_ONLY)
        for x in known
        if x.name not in ("self", "params") and x.name not in ONLY_INSIDE
    }


@pytest.mark.parametrize("name", EVERY)
def test_arguments_and_defaults_are_the_librarys_own(name):
    library, _, own = name.rpartition(".")
    module = installed(THEIRS[library])
    theirs = getattr(module, own)
    theirs = parameters(theirs.__init__ if inspect.isclass(theirs) else theirs)
    if library == "keras":
        assert {key: theirs.pop(key)[0] for key in BASE} == BASE
    assert parameters(constructor(name)) == theirs
    assert list(parameters(constructor(name))) == list(theirs), "positional arguments are taken in order"


@pytest.mark.parametrize("name", EVERY)
def test_defaults_make_a_stage_that_steps_and_is_documented(name):
    make = constructor(name)
    w = np.ones((3, 1))  # Muon takes matrices alone
    opt = gs.Optimizer(w, described(name).stage({}))
    for _ in range(2):  # ADOPT's first update only looks
        opt.step(
            np.full((3, 1), 0.5), loss=1.0, **({"curvature": np.ones((3, 1))} if name == "optax.contrib.sophia" else {})
        )
    assert (w < 1).all()
    assert inspect.getdoc(make).startswith(f"``{THEIRS[name.rpartition('.')[0]].replace('tensorflow', 'tf')}.")


BESIDE_THE_RATE = {"tf1.MomentumOptimizer": {"momentum": 0.5}, "mlx.Adafactor": {"relative_step": False}}


def test_a_name_is_the_constructor():
    for name in EVERY:
        with case(name):
            given = {described(name).rate: 0.01}
            more = BESIDE_THE_RATE.get(name, {})
            opt = gs.Optimizer(np.ones((2, 1)), name, **given, **more)
            assert repr(opt.stage) == repr(constructor(name)(**given, **more))
            assert opt.lr == 0.01
            opt.lr = 0.02
            assert opt.hyper["lr"] == 0.02


BESIDE = (  # some arguments matter beside others alone
    {},
    {"momentum": 0.5, "use_ema": True},
    {"weight_decouple": True},
    {"relative_step": False},
)
VALUES = {"k": 3.0, "loss_scale": 2.0, "threshold": 6.0}
ABOVE_ZERO = {
    "clip",
    "d0",
    "d_coef",
    "decay_rate",
    "eps",
    "eps1",
    "eps2",
    "gamma",
    "grow",
    "k",
    "least",
    "loss_scale",
    "max_norm",
    "max_value",
    "most",
    "start",
    "threshold",
    "trust",
}
SWITCHES_AT_ZERO = {"momentum", "eps_root"}
REFUSED_AT_ZERO = {
    "optax.contrib.schedule_free_adamw" + "warmup_steps",
    "optax.contrib.schedule_free_sgd" + "warmup_steps",
    "tf1.AdagradOptimizer" + "initial_accumulator_value",
    "keras.Ftrl" + "initial_accumulator_value",
    "keras.Ftrl" + "learning_rate",
    "pytorch_optimizer.FTRL" + "lr",
    "pytorch_optimizer.Yogi" + "initial_accumulator",
}
REFUSED_ABOVE_ZERO = {"pytorch_optimizer.DAdaptAdam" + "weight_decay"}


@pytest.mark.parametrize("name", EVERY)
def test_the_same_switches_give_the_same_chain_whatever_the_numbers(name):
    """But momentum and eps_root, whose 0 is a switch in the libraries too."""
    made = described(name)
    for key, x in made.numbers.items():
        if (
            x.kind == "number"
            and x.becomes[0] not in ABOVE_ZERO | SWITCHES_AT_ZERO
            and name + key not in REFUSED_AT_ZERO | REFUSED_ABOVE_ZERO
        ):
            more = BESIDE_THE_RATE.get(name, {}) if x.is_rate else {}
            some, none = (more | made.arguments({key: x.there(value)}) for value in (0.5, 0.0))
            assert [part.rule for part in made.stage(some).parts] == [part.rule for part in made.stage(none).parts], key
            assert made.form(some).stage is made.form(none).stage or x.is_told


@pytest.mark.parametrize("name", EVERY)
def test_a_number_becomes_what_it_is_said_to_become_and_a_switch_chooses(name):
    made = described(name)
    for key, x in made.numbers.items():
        seen = []
        for beside in ({k: v for k, v in one.items() if k in made.takes and k != key} for one in BESIDE):
            try:
                if x.kind == "switch":
                    on, off = (made.form(beside | {key: is_on}).stage for is_on in (True, False))
                    seen.append(on is not off)
                else:
                    value = VALUES.get(x.becomes[0], 0.625)
                    found = made.values(beside | made.arguments({key: x.there(value)}))
                    seen.append(all(found.get(hyper) == value for hyper in x.becomes))
            except gs.GradstepError:
                seen.append(False)  # nesterov without momentum
        assert any(seen), key


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_has_its_own_names_alone(library):
    """``conventions.torch.rmsprop`` was the rule here of that name, with other defaults than torch's RMSprop."""
    assert [name for name, x in vars(getattr(gs.conventions, library)).items() if isinstance(x, Rule)] == []


def test_a_constructor_without_its_call_is_as_good_as_its_name():
    opt = gs.Optimizer(np.ones(2), gs.conventions.torch.Adam, lr=0.1)
    assert repr(opt.stage) == repr(gs.conventions.torch.Adam(lr=0.1))


@pytest.mark.parametrize("name", EVERY)
def test_a_constructor_goes_by_its_name_and_shows_its_arguments(name):
    made = constructor(name)
    assert pickle.loads(pickle.dumps(made)) is copy.deepcopy(made) is made  # noqa: S301 - made here
    assert all(f"{key}: " in repr(made) or f"{key}=" in repr(made) for key in made.takes)
    assert made.summary.startswith(f"``{THEIRS[name.rpartition('.')[0]].replace('tensorflow', 'tf')}.")


def test_a_weight_decay_of_zero_is_set_in_mid_run_and_in_a_group():
    params = {"w": np.ones(2), "b": np.ones(2)}
    opt = gs.Optimizer(params, "torch.SGD", lr=0.5, groups={"w": {"weight_decay": 0.5}})
    still = {key: np.zeros(2) for key in params}
    opt.step(still)
    assert [x.tolist() for x in params.values()] == [[0.75, 0.75], [1.0, 1.0]]
    opt.hyper["weight_decay"] = 1.0
    opt.step(still)
    assert params["b"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("torch.SGD", gs.sgd(lr=0.1)),
        ("torch.Adam", gs.adam(lr=0.1)),
        ("torch.Adagrad", gs.adagrad(lr=0.1, eps=1e-10)),
        ("torch.Adadelta", gs.adadelta(lr=0.1, rho=0.9, eps=1e-6)),
    ],
)
def test_a_weight_decay_of_zero_changes_no_bit_of_the_parameters(name, alone, engine):
    """Nor the sign of a zero."""
    thetas, grads = np.meshgrid([0.0, -0.0, 1.0, -1.0, 1e-310, -1e300], [0.0, -0.0, 1e-310, -3.0, 1e100])
    params, others = {"w": thetas.copy()}, {"w": thetas.copy()}
    opt = gs.Optimizer(params, name, lr=0.1, engine=engine)
    other = gs.Optimizer(others, alone, engine=engine)
    for factor in (1.0, -1.0, 0.0, 0.5):
        opt.step({"w": factor * grads})
        other.step({"w": factor * grads})
        assert params["w"].tobytes() == others["w"].tobytes()


def test_keras_takes_what_its_base_class_takes():
    made = gs.conventions.keras.Adam(
        0.1, clipvalue=2.0, use_ema=True, ema_momentum=0.5, loss_scale_factor=8, weight_decay=0.1, name="mine"
    )
    labels = [part.label for part in made.parts]
    assert labels == ["unscale", "clip_by_value", "decay", "adam_eps_hat", "ema_after_first"]
    assert program(made).hyper["decay"] == 0.5
    assert [p.label for p in gs.conventions.keras.SGD(clipnorm=1.0).parts] == ["clip_by_norm", "sgd"]
    assert [p.label for p in gs.conventions.keras.SGD(global_clipnorm=1.0).parts] == ["clip_by_global_norm", "sgd"]


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        ('gs.Optimizer(w, "torch.Adm")', ValueError, r"unknown optimizer of torch 'Adm'; did you mean Adam"),
        (
            'gs.Optimizer(w, "jax.Adam")',
            ValueError,
            r"unknown library 'jax'; known: keras, mlx, optax, optax\.contrib, p",
        ),
        (
            'gs.Optimizer(w, "torch.Adam", beta1=0.9)',
            ValueError,
            r"torch\.Adam: unknown argument 'beta1'; did you mean betas\?",
        ),
        ('gs.Optimizer(w, "optax.adam")', TypeError, r"missing a required argument: 'learning_rate'; it takes"),
        ("T.Adam(iter([w]), lr=0.1)", TypeError, r"multiple values for argument 'lr'"),
        (
            "T.Adam(iter([w]))",
            TypeError,
            r"learning rate is list_iterator; parameters are given to the optimizer, gs\.Opt",
        ),
        ("T.Adam([w])", TypeError, r'parameters are given to the optimizer, gs\.Optimizer\(params, "torch\.Adam"'),
        ("T.Adam(betas=0.9)", TypeError, r"torch\.Adam: betas must be a pair of numbers, not 0\.9"),
        ("T.Adam(betas=(0.9, 1.0))", ValueError, r"adam: beta2 must be finite and >= 0 and < 1, not 1\.0"),
        ("T.Adam(lr=-1)", ValueError, r"adam: lr must be finite and >= 0, not -1"),
        ("T.Adam(differentiable=True)", ValueError, r"differentiable=True cannot be had here: a step is not recorded"),
        ("T.SGD(nesterov=True)", ValueError, r"nesterov=True needs a momentum above 0 and dampening=0, as in torch"),
        ("T.SGD(momentum=0.9, dampening=0.1, nesterov=True)", ValueError, r"needs a momentum above 0 and dampening=0"),
        ("K.Adam(clipnorm=1, clipvalue=1)", ValueError, r"only one of clipnorm, clipvalue and global_clipnorm"),
        ("K.Adam(lr=0.1)", ValueError, r"keras\.Adam: unknown argument 'lr'; did you mean learning_rate"),
        ("K.Adam(clip_norm=1.0)", ValueError, r"keras\.Adam: unknown argument 'clip_norm'; did you mean clipnorm"),
        ("K.Adam(gradient_accumulation_steps=2)", ValueError, r"cannot be had here: sum the gradients yourself"),
        ("K.Adam(ema_overwrite_frequency=2)", ValueError, r"cannot be had here: the average is read by opt\.averaged"),
        ("K.Adam(use_ema=True, ema_momentum=2)", ValueError, r"decay must be finite and >= 0 and < 1, not 2"),
        ("K.AdamW(weight_decay=None)", TypeError, r"weight_decay must be a number or a schedule .* not None"),
        ("T.Adam(weight_decay=None)", TypeError, r"weight_decay must be a number or a schedule .* not None"),
        ("O.adadelta()", ValueError, r"without a learning_rate optax adds the step and climbs; 1\.0 gives Zeiler's"),
        ('O.adam(0.1, mu_dtype="bfloat16")', ValueError, r"cannot be had here: the state is stored as gs\.Optimizer"),
        ("O.adamw(0.1, mask={})", ValueError, r"mask=\{\} cannot be had here: say it by name"),
        ("O.radam(0.1, threshold=3.0)", ValueError, r"threshold must be finite and >= 4, not 3"),
        ("M.SGD(0.1, nesterov=True)", ValueError, r"mlx\.SGD: nesterov=True needs a momentum above 0"),
        ("M.Adafactor(0.1)", ValueError, r"MLX forgets the learning rate beside relative_step=True, its default; g"),
        ("M.Adafactor(warmup_init=True)", ValueError, r"cannot be had here: gs\.variants\.adafactor_timm\(lr=gs\."),
        ("M.Muon(0.1, ns_steps=4)", ValueError, r"ns_steps=4 cannot be had here: Jordan's five steps"),
        ("M.MultiOptimizer", AttributeError, r"cannot be had here: groups= gives parameters a rule"),
        ("F.AdagradOptimizer(0.1, 0.0)", ValueError, r"initial_accumulator_value must be above 0, as in TensorFlow"),
        ("gs.conventions.jax", AttributeError, r"has no attribute 'jax'; there are"),
        ('gs.Optimizer(w, "optax.dog")', ValueError, r"unknown optimizer of optax 'dog'; known: optax\.contrib\.dog"),
        ('gs.Optimizer(w, "optax.contrib.prodgy")', ValueError, r"of optax\.contrib 'prodgy'; did you mean prodigy"),
        ('gs.Optimizer(w, "optax.rprop")', ValueError, r"optax\.rprop cannot be had here: in optax 0\.2\.8 each"),
        (
            "O.contrib.schedule_free_sgd(lambda t: 0.1)",
            ValueError,
            r"_rate can be no schedule here: optax asks",
        ),
        ("O.rprop(0.1)", AttributeError, r"rprop cannot be had here: in optax 0\.2\.8 each"),
        ("O.prodigy()", AttributeError, r"module 'gradstep\.conventions\.optax' has no attribute 'prodigy'"),
    ],
)
def test_errors(call, kind, text):
    c = gs.conventions
    known = {"gs": gs, "w": np.ones(2), "T": c.torch, "K": c.keras, "O": c.optax, "M": c.mlx, "F": c.tf1}
    with pytest.raises(kind, match=text):
        eval(call, known)  # noqa: S307 - the calls above


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("torch.SGD", {"foreach": True}),
        ("torch.Adam", {"fused": True}),
        ("torch.AdamW", {"capturable": True}),
        ("tf1.AdamOptimizer", {"use_locking": True}),
    ],
)
def test_what_says_how_and_not_what_is_noted(name, arguments):
    (key,) = arguments
    library = name.partition(".")[0]
    text = rf"{re.escape(name)}: {key}= is ignored; it says how {library} computes"
    with pytest.warns(UserWarning, match=text) as seen:
        noted = constructor(name)(**arguments)
    with pytest.warns(UserWarning, match=text) as by_name:
        gs.Optimizer(np.ones(2), name, **arguments)
    assert seen[0].filename == by_name[0].filename == __file__
    assert repr(noted) == repr(constructor(name)())
    constructor(name)(**{key: False})  # as good as not said


def test_schedules_of_other_libraries_give_numbers():
    """Such as 0-d arrays; gradstep's own are left as they are, so that they are saved."""
    opt = gs.Optimizer(np.ones(2), "optax.sgd", learning_rate=lambda t: np.array(0.5) / (t + 1))
    assert [opt.lr, opt.step(np.ones(2)), opt.lr] == [0.5, None, 0.25]
    assert type(opt.lr) is float
    own = gs.schedules.linear(0.1, 10)
    assert program(gs.conventions.optax.sgd(own)).hyper["lr"] is own
    assert program(gs.conventions.torch.SGD(lr=np.array(0.5))).hyper["lr"] == 0.5


def test_a_state_that_a_constructor_made_is_saved_and_restored(tmp_path):
    params = {"w": np.ones(5, np.float32)}
    tx = gs.conventions.torch.RMSprop(momentum=0.9, centered=True, weight_decay=0.1)
    opt = gs.Optimizer(params, tx)
    for _ in range(3):
        opt.step({"w": np.full(5, 0.1, np.float32)})
    opt.save(tmp_path / "run.safetensors")
    again = gs.Optimizer({"w": np.zeros(5, np.float32)}, tx)
    again.restore(tmp_path / "run.safetensors")
    for one in (opt, again):
        one.step({"w": np.full(5, 0.2, np.float32)})
    assert again.params["w"].tobytes() == params["w"].tobytes()


def test_optax_radam_is_rectified_where_rho_is_its_threshold():
    """rho ends at 2 / (1 - beta2) - 1, which is 7 here, and in 53 bits it gets there."""
    rule = gs.conventions.optax.radam(0.1).parts[0].rule
    hyper, memory, seen = {**rule.defaults, "beta2": 0.75, "threshold": 7.0}, rule.memory, []
    for t in range(1, 301):
        numbers, memory = rule.host(t, hyper, memory)
        seen.append(numbers["rectified"])
    assert seen[:50] == [0.0] * 50
    assert seen[-50:] == [1.0] * 50


def test_every_library_is_a_module_of_its_constructors():
    for library in LIBRARIES:
        module = import_module(f"gradstep.conventions.{library}")
        assert getattr(gs.conventions, library) is module
        assert library.partition(".")[0] in dir(gs.conventions)


@pytest.mark.process
def test_a_stage_of_variants_goes_into_another_process():
    """Which has not imported them."""
    code = """
import pickle, sys
tx = pickle.loads(bytes.fromhex(sys.argv[1]))
print(tx, tx.parts[1].rule is __import__("gradstep.variants").variants.scale_by_rms)
"""
    tx = gs.conventions.torch.RMSprop(momentum=0.9)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, pickle.dumps(tx).hex()], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"{tx} True\n", "")
    assert copy.deepcopy(tx).parts[0].rule is tx.parts[0].rule


@pytest.mark.parametrize("library", ["optax", "optax.contrib"])
def test_every_optimizer_of_optax_is_here_or_says_why_not(library):
    """Functions there whose first argument is a learning rate, or which have one by keyword."""
    theirs = pytest.importorskip(library)
    ours = import_module(f"gradstep.conventions.{library}")
    known = {name for name, x in vars(theirs).items() if isinstance(x, partial | FunctionType)}
    rated = {name for name in known if "learning_rate" in inspect.signature(getattr(theirs, name)).parameters}
    parts = {name for name in known if name.startswith(("scale_by_", "normalize_by_", "_"))}
    assert not {*ours.__all__} & {*ours.ABSENT}
    assert {*ours.__all__, *ours.ABSENT} <= known
    assert rated - parts <= {*ours.__all__, *ours.ABSENT}


@pytest.mark.parametrize("library", ["timm", "pytorch_optimizer"])
def test_an_optimizer_that_is_absent_is_one_of_the_librarys(library):
    theirs = installed(THEIRS[library])
    ours = import_module(f"gradstep.conventions.{library}")
    assert not {*ours.__all__} & {*ours.ABSENT}
    for name in ours.ABSENT:
        assert inspect.isclass(getattr(theirs, name)), name
    if library == "timm":
        base = import_module("torch.optim").Optimizer
        every = {name for name, x in vars(theirs).items() if inspect.isclass(x) and issubclass(x, base)}
        assert every == {*ours.__all__, *ours.ABSENT}


def test_lamb_of_pytorch_optimizer_takes_a_norm_as_ten_at_most():
    steps = []
    for scale in (0.5, 1.0, 5.0):
        w = scale * np.array([6.0, 8.0])
        before = w.copy()
        gs.Optimizer(w, "pytorch_optimizer.Lamb", lr=0.1).step(np.array([1.0, -2.0]))
        steps.append(before - w)
    np.testing.assert_allclose(steps[1], 2 * steps[0], rtol=1e-12)
    np.testing.assert_allclose(steps[2], steps[1], rtol=1e-12)
