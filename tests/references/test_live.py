"""Settings that nobody chose: drawn constructor calls, run here by the libraries that are installed and by us."""

from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradstep as gs
from references.cases import Case, problem
from references.compare import TOLERANCE, allowance, distance, followed
from support import installed

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' affairs

STEPS = 12
EXAMPLES = {"torch": 25, "optax": 8, "optax.contrib": 4, "keras": 10, "timm": 25, "pytorch_optimizer": 25}
RATE = st.floats(1e-4, 0.1)
BETA = st.floats(0.0, 0.99)
SLOW = st.floats(0.5, 0.999)
EPS = st.floats(1e-8, 1e-2)
DECAY = st.floats(0.0, 0.2)
BOUND = st.floats(0.1, 10.0)
FLAG = st.booleans()
BETAS = st.tuples(BETA, SLOW).map(list)
SCHEDULED = st.tuples(RATE, st.floats(0.0, 1.0)).map(lambda x: {"inverse_time": list(x)})
ANY_RATE = RATE | SCHEDULED

TORCH = {"lr": ANY_RATE, "weight_decay": DECAY, "maximize": FLAG}
TORCH_ADAM = {**TORCH, "betas": BETAS, "eps": EPS}
OPTAX = {"learning_rate": ANY_RATE}
OPTAX_ADAM = {**OPTAX, "b1": BETA, "b2": SLOW, "eps": EPS}
OPTAX_FREE = {"learning_rate": BOUND, "betas": BETAS, "eps": EPS, "estim_lr0": EPS}  # of a rate
OPTAX_ROOT = {**OPTAX_ADAM, "eps_root": st.floats(0.0, 1e-2)}
TIMM = {"lr": ANY_RATE, "weight_decay": DECAY}
TIMM_ADAM = {**TIMM, "betas": BETAS, "eps": EPS}
OURS = {"lr": ANY_RATE, "weight_decay": DECAY, "maximize": FLAG}  # of pytorch_optimizer
OURS_ADAM = {**OURS, "betas": BETAS, "eps": EPS}
MEANS = st.tuples(st.floats(0.1, 0.99), SLOW).map(list)  # AdaBelief: g less a mean that is g is rounding
BETAS3 = st.tuples(BETA, BETA, SLOW).map(list)
FIRST = st.floats(1e-3, 0.1)  # d0: in sums with x0 - theta a smaller step is rounding
SIGNED = st.just(0.0) | st.floats(1e-3, 0.99)  # 1 - beta is one of a beta that is smaller than its rounding
CLIPS = st.sampled_from(["clipnorm", "clipvalue", "global_clipnorm"])
KERAS = {"learning_rate": ANY_RATE, "weight_decay": DECAY, "clip": st.none() | st.tuples(CLIPS, BOUND)}
# Nearer to 1, as by default, what Keras loses by its powers in float32 is more than is allowed: see KNOWN.
KERAS_ADAM = {**KERAS, "beta_1": st.floats(0.0, 0.95), "beta_2": st.floats(0.5, 0.99), "epsilon": EPS}

# The arguments that each constructor may be given, and the values that they may have.
ARGUMENTS = {
    "torch": {
        "SGD": {**TORCH, "momentum": BETA, "dampening": BETA, "nesterov": FLAG},
        "Adagrad": {**TORCH, "lr_decay": DECAY, "initial_accumulator_value": DECAY, "eps": EPS},
        "RMSprop": {**TORCH, "alpha": SLOW, "eps": EPS, "momentum": BETA, "centered": FLAG},
        "Adadelta": {**TORCH, "rho": SLOW, "eps": EPS},
        "Adam": {**TORCH_ADAM, "amsgrad": FLAG, "decoupled_weight_decay": FLAG},
        "AdamW": {**TORCH_ADAM, "amsgrad": FLAG},
        "Adamax": TORCH_ADAM,
        "NAdam": {**TORCH_ADAM, "momentum_decay": DECAY, "decoupled_weight_decay": FLAG},
        "RAdam": {**TORCH_ADAM, "decoupled_weight_decay": FLAG},
        "SparseAdam": {"lr": ANY_RATE, "betas": BETAS, "eps": EPS, "maximize": FLAG},
        "Rprop": {
            "lr": RATE,
            "etas": st.tuples(st.floats(0.1, 0.9), st.floats(1.1, 2.0)).map(list),
            "step_sizes": st.tuples(st.floats(1e-8, 1e-3), st.floats(1e-2, 10.0)).map(list),
            "maximize": FLAG,
        },
        "ASGD": {**TORCH, "lambd": DECAY, "alpha": st.floats(0.25, 1.0), "t0": st.floats(0.0, 10.0)},
        "Adafactor": {
            **TORCH,
            "beta2_decay": st.floats(-1.0, -0.1),
            "eps": st.tuples(st.none() | st.floats(1e-30, 1.0), EPS).map(list),
            "d": st.floats(1.0, 4.0),
        },
        "Muon": {
            "lr": ANY_RATE,
            "weight_decay": DECAY,
            "momentum": BETA,
            "nesterov": FLAG,
            "eps": st.floats(1e-8, 10.0),
            "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
        },
    },
    "optax": {
        "sgd": {**OPTAX, "momentum": BETA, "nesterov": FLAG},
        "adagrad": {**OPTAX, "initial_accumulator_value": DECAY, "eps": EPS},
        "rmsprop": {
            **OPTAX,
            "decay": SLOW,
            "eps": EPS,
            "initial_scale": DECAY,
            "eps_in_sqrt": FLAG,
            "centered": FLAG,
            "momentum": BETA,
            "nesterov": FLAG,
            "bias_correction": FLAG,
        },
        "adadelta": {**OPTAX, "rho": SLOW, "eps": EPS, "weight_decay": DECAY},
        "adam": {**OPTAX_ROOT, "nesterov": FLAG},
        "adamw": {**OPTAX_ROOT, "weight_decay": DECAY, "nesterov": FLAG},
        "amsgrad": {**OPTAX_ROOT, "bias_correction_mu": FLAG, "bias_correction_nu": FLAG},
        "adamax": OPTAX_ADAM,
        "adamaxw": {**OPTAX_ADAM, "weight_decay": DECAY},
        "nadam": {**OPTAX_ROOT, "nesterov": FLAG},
        "nadamw": {**OPTAX_ROOT, "weight_decay": DECAY, "nesterov": FLAG},
        "radam": {**OPTAX_ROOT, "threshold": st.floats(4.1, 8.0), "nesterov": FLAG},
        "adabelief": {**OPTAX_ADAM, "eps_root": st.floats(1e-8, 1e-2)},
        "adan": {**OPTAX_ROOT, "b3": SLOW, "weight_decay": DECAY},
        "lamb": {**OPTAX_ADAM, "weight_decay": DECAY},
        "lars": {
            **OPTAX,
            "weight_decay": DECAY,
            "trust_coefficient": EPS,
            "eps": DECAY,
            "momentum": BETA,
            "nesterov": FLAG,
        },
        "novograd": {**OPTAX_ADAM, "weight_decay": DECAY},
        "signum": {**OPTAX, "beta": st.floats(0.1, 0.99)},  # JAX has no subnormal numbers, and no sign of one
        "polyak_sgd": {
            "max_learning_rate": RATE,
            "scaling": BOUND,
            "f_min": BOUND,
            "eps": EPS,
            "variant": st.sampled_from(["sps", "sps+"]),
        },
        "sm3": {"learning_rate": RATE, "momentum": BETA},
        "yogi": OPTAX_ADAM,
    },
    "optax.contrib": {
        "ademamix": {**OPTAX_ADAM, "b3": SLOW, "alpha": BOUND, "weight_decay": DECAY},
        "simplified_ademamix": {**OPTAX_ADAM, "alpha": BOUND, "weight_decay": DECAY},
        "adopt": {**OPTAX_ADAM, "use_clipping": FLAG},
        "dadapt_adamw": {**OPTAX_FREE, "weight_decay": DECAY},
        "prodigy": {**OPTAX_FREE, "estim_lr_coef": BOUND, "weight_decay": DECAY},
        "dog": {"learning_rate": BOUND, "eps": EPS, "weight_decay": DECAY},
        "dowg": {"learning_rate": BOUND, "init_estim_sq_dist": EPS, "eps": EPS, "weight_decay": DECAY},
        "madgrad": {**OPTAX, "momentum": BETA, "weight_decay": DECAY, "eps": EPS},
        "momo": {**OPTAX, "beta": BETA, "lower_bound": DECAY, "weight_decay": DECAY},
        "schedule_free_sgd": {"learning_rate": RATE, "b1": SLOW, "weight_decay": DECAY},
        "schedule_free_adamw": {"learning_rate": RATE, "b1": SLOW, "b2": SLOW, "eps": EPS, "weight_decay": DECAY},
        "sophia": {
            **OPTAX_ADAM,
            "weight_decay": DECAY,
            "gamma": BOUND,
            "clip_threshold": BOUND,
            "update_interval": st.integers(1, 5),
        },
    },
    "timm": {
        "AdaBelief": {**TIMM_ADAM, "betas": MEANS, "rectify": FLAG, "decoupled_decay": FLAG},
        "AdamWLegacy": {**TIMM_ADAM, "amsgrad": FLAG, "caution": FLAG, "maximize": FLAG},
        "Adan": {**TIMM, "betas": BETAS3, "eps": EPS, "no_prox": FLAG},
        "Adopt": {
            **TIMM_ADAM,
            "clip_exp": st.none() | st.floats(0.0, 0.5),
            "decoupled": FLAG,
            "caution": FLAG,
            "maximize": FLAG,
        },
        "LaProp": {**TIMM_ADAM, "caution": FLAG},
        "Lamb": {**TIMM_ADAM, "max_grad_norm": st.none() | BOUND, "always_adapt": FLAG},
        "Lars": {**TIMM, "momentum": BETA, "trust_coeff": st.floats(1e-3, 1.0), "eps": EPS},
        "Lion": {**TIMM, "betas": st.tuples(SIGNED, SLOW).map(list), "caution": FLAG, "maximize": FLAG},
        "MADGRAD": {**TIMM, "momentum": BETA, "eps": EPS, "decoupled_decay": FLAG},
        "NAdamLegacy": {**TIMM_ADAM, "schedule_decay": DECAY},
        "NAdamW": {**TIMM_ADAM, "caution": FLAG, "maximize": FLAG},
        "NvNovoGrad": TIMM_ADAM,
        "RAdamLegacy": TIMM_ADAM,
        "RMSpropTF": {
            **TIMM,
            "alpha": SLOW,
            "eps": EPS,
            "momentum": BETA,
            "centered": FLAG,
            "decoupled_decay": FLAG,
            "lr_in_momentum": FLAG,
            "caution": FLAG,
        },
        "SGDW": {**TIMM, "momentum": BETA, "dampening": BETA, "nesterov": FLAG, "caution": FLAG, "maximize": FLAG},
    },
    "pytorch_optimizer": {
        "ADOPT": {**OURS_ADAM, "weight_decouple": FLAG},
        "AdEMAMix": {
            **OURS,
            "betas": st.tuples(st.floats(0.1, 0.99), SLOW, SLOW).map(list),
            "eps": EPS,
            "alpha": BOUND,
            "t_alpha_beta3": st.none() | st.integers(1, 20),
            "weight_decouple": FLAG,
        },
        "AdaBelief": {**OURS_ADAM, "betas": MEANS, "rectify": FLAG, "weight_decouple": FLAG},
        "AdaDelta": {**OURS, "rho": SLOW, "eps": EPS, "weight_decouple": FLAG},
        "AdaMax": {**OURS_ADAM, "weight_decouple": FLAG},
        "Adan": {"lr": ANY_RATE, "weight_decay": DECAY, "betas": BETAS3, "eps": EPS, "weight_decouple": FLAG},
        "CAME": {
            **OURS,
            "betas": st.tuples(BETA, SLOW, SLOW).map(list),
            "clip_threshold": BOUND,
            "eps1": st.floats(1e-12, 1e-2),
            "eps2": st.floats(1e-6, 1e-2),
        },
        "DAdaptAdam": {**OURS_ADAM, "lr": BOUND, "d0": FIRST, "bias_correction": FLAG, "weight_decouple": FLAG},
        "FTRL": {"lr": RATE, "beta": BOUND, "lambda_1": DECAY, "lambda_2": DECAY, "maximize": FLAG},
        "Lamb": OURS_ADAM,
        "Lion": {**OURS, "betas": st.tuples(SIGNED, SLOW).map(list), "weight_decouple": FLAG},
        "MADGRAD": {**OURS, "momentum": BETA, "eps": EPS},
        "NovoGrad": OURS_ADAM,
        "Prodigy": {**OURS_ADAM, "lr": BOUND, "d0": FIRST, "d_coef": BOUND, "bias_correction": FLAG},
        "SGDW": {**OURS, "momentum": BETA, "dampening": BETA, "nesterov": FLAG, "weight_decouple": FLAG},
        "SM3": {"lr": ANY_RATE, "momentum": BETA, "eps": EPS, "maximize": FLAG},
        "ScheduleFreeAdamW": {
            **OURS_ADAM,
            "lr": RATE,
            "betas": st.tuples(st.floats(0.1, 0.99), SLOW).map(list),
            "warmup_steps": st.integers(0, 20),
        },
        "ScheduleFreeSGD": {
            **OURS,
            "lr": RATE,
            "momentum": st.floats(0.1, 0.99),
            "warmup_steps": st.integers(0, 20),
        },
        "SignSGD": {**OURS, "momentum": SIGNED, "weight_decouple": FLAG},
        "StableAdamW": OURS_ADAM,
        "Tiger": {**OURS, "beta": SIGNED, "weight_decouple": FLAG},
        "Yogi": {**OURS_ADAM, "initial_accumulator": st.floats(1e-6, 0.1), "weight_decouple": FLAG},
    },
    "keras": {
        "SGD": {**KERAS, "momentum": BETA, "nesterov": FLAG},
        "Adagrad": {**KERAS, "initial_accumulator_value": DECAY, "epsilon": EPS},
        "RMSprop": {**KERAS, "rho": SLOW, "momentum": BETA, "epsilon": EPS, "centered": FLAG},
        "Adadelta": {**KERAS, "rho": SLOW, "epsilon": EPS},
        "Adam": {**KERAS_ADAM, "amsgrad": FLAG},
        "AdamW": {**KERAS_ADAM, "amsgrad": FLAG},
        "Adamax": KERAS_ADAM,
        "Nadam": KERAS_ADAM,
        "Ftrl": {
            **KERAS,
            "initial_accumulator_value": st.floats(0.01, 1.0),
            "l1_regularization_strength": DECAY,
            "l2_regularization_strength": DECAY,
            "l2_shrinkage_regularization_strength": DECAY,
            "beta": DECAY,
        },
        "Lion": {**KERAS, "beta_1": BETA, "beta_2": SLOW},
        "Lamb": KERAS_ADAM,
        "Adafactor": {
            **KERAS,
            "beta_2_decay": st.floats(-1.0, -0.1),
            "epsilon_1": st.floats(1e-30, 1.0),
            "epsilon_2": EPS,
            "clip_threshold": st.floats(1.0, 4.0),
            "relative_step": FLAG,
        },
        "Muon": {**KERAS, "momentum": BETA, "nesterov": FLAG, "rms_rate": st.floats(0.01, 1.0)},
        "ScheduleFreeAdamW": {**KERAS_ADAM, "beta_1": st.floats(0.5, 0.95), "warmup_steps": st.integers(0, 8)},
    },
}
ALWAYS = {  # given in each call, where a constructor has it
    "optax": "learning_rate",
    "optax.contrib": "learning_rate",
    "keras": "beta_2",
    "pytorch_optimizer": "d0",
}
# Each step has a rounding of float32, such as that of the product of momenta, which is below a half.
ROUNDED = dict.fromkeys([("torch", "NAdam"), ("torch", "ASGD")], STEPS * 2.0**-24) | {
    ("torch", "Muon"): TOLERANCE["torch", "float64"],
    ("optax.contrib", "prodigy"): 1e-11,  # its estimate of the distance carries what each step has rounded
}
LIVE = [(library, constructor) for library, known in ARGUMENTS.items() for constructor in known]


def allowed(library, constructor, arguments):
    """Whether both take it, who damp no Nesterov momentum, and its numbers are not rounding alone (see KNOWN)."""
    if (library, constructor) in {("torch", "SGD"), ("timm", "SGDW")} and arguments.get("nesterov"):
        return arguments.get("momentum", 0) > 0 and arguments.get("dampening", 0) == 0
    if (library, constructor) == ("timm", "MADGRAD") and arguments.get("decoupled_decay"):
        return arguments.get("momentum", 0.9) > 0
    if (library, constructor) == ("pytorch_optimizer", "SGDW") and arguments.get("nesterov"):
        return arguments.get("dampening", 0) == 0
    if (library, constructor) == ("pytorch_optimizer", "DAdaptAdam"):
        return arguments.get("weight_decouple", False) or not arguments.get("weight_decay", 0)
    if (library, constructor) == ("keras", "Lamb"):  # of a gradient of zero little is left: its norm is rounding alone
        return arguments.get("beta_1", 0.9) == 0 or arguments.get("beta_1", 0.9) >= 0.01
    return not (library == "optax" and arguments.get("centered") and arguments.get("bias_correction"))


def calls(library, constructor):
    known = ARGUMENTS[library][constructor]
    always = {key: x for key, x in known.items() if key == ALWAYS.get(library)}
    optional = {key: x for key, x in known.items() if key not in always}
    return st.fixed_dictionaries(always, optional=optional).map(unfolded).filter(partial(allowed, library, constructor))


def unfolded(arguments):
    """One clip at most: drawn as a pair, given by its name."""
    clip = arguments.pop("clip", None)
    return arguments | ({clip[0]: clip[1]} if clip else {})


def test_muon_of_optax_is_two_rules_here():
    jax, contrib = pytest.importorskip("jax"), pytest.importorskip("optax.contrib")
    task = problem("float64")
    other = gs.conventions.optax.nadamw(0.02, weight_decay=0.0)
    params = {name: x.copy() for name, x in task.start.items()}
    opt = gs.Optimizer(params, "muon_optax", lr=0.02, weight_decay=0.1, groups={"a": other})
    with jax.enable_x64(True):
        tx = contrib.muon(0.02, weight_decay=0.1)
        theirs = jax.tree.map(jax.numpy.asarray, task.start)
        own = tx.init(theirs)
        for grads in task.grads:
            updates, own = tx.update(jax.tree.map(jax.numpy.asarray, grads), own, theirs)
            theirs = jax.tree.map(lambda x, u: x + u, theirs, updates)
            opt.step(grads)
            assert distance([params], [{name: np.asarray(x) for name, x in theirs.items()}]) <= 1e-11


@pytest.mark.parametrize("arguments", [{}, {"min_dim_size_to_factor": 1}, {"factored": False, "momentum": 0.9}])
def test_adafactor_of_optax_factors_what_it_factors_there(arguments):
    """Arrays on both sides of 128; the longest axes of the stacks stand last."""
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    shapes = {"big": (130, 129), "long": (2, 300), "stack": (2, 131, 128), "small": (3, 2, 4), "row": (1, 7), "b": (5,)}
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    if "min_dim_size_to_factor" in arguments:
        del params["small"]  # its longest axes are the first and the last
    with jax.enable_x64(True):
        tx = optax.adafactor(0.1, **arguments)
        theirs = jax.tree.map(jax.numpy.asarray, params)
        own = tx.init(theirs)
        opt = gs.Optimizer(params, "optax.adafactor", learning_rate=0.1, **arguments)
        for _ in range(4):
            grads = {name: rng.normal(size=x.shape) for name, x in params.items()}
            updates, own = tx.update(jax.tree.map(jax.numpy.asarray, grads), own, theirs)
            theirs = optax.apply_updates(theirs, updates)
            opt.step(grads)
        for name, x in params.items():
            np.testing.assert_allclose(x, theirs[name], rtol=1e-6, atol=1e-6, err_msg=name)
    wide = opt.state["big"][next(key for key in opt.state["big"] if key.endswith(".r"))].shape
    assert wide == ((130 * 129, 1) if arguments.get("factored") is False else (130, 1))


@pytest.mark.parametrize(("library", "constructor"), LIVE)
def test_drawn_settings_give_the_numbers_of_the_library(library, constructor, monkeypatch):
    module = installed("timm.optim" if library == "timm" else library)
    if (library, constructor) == ("keras", "ScheduleFreeAdamW") and module.backend.backend() != "jax":
        pytest.skip("on other backends Keras overwrites the sequence that it still needs: see below")
    if constructor == "Muon" and library == "torch":  # whose bfloat16 would hide everything
        monkeypatch.setattr(module.Tensor, "bfloat16", module.Tensor.clone)
    run = import_module(f"references.record.{library.partition('.')[0]}").run
    dtype = "float32" if library == "keras" else "float64"

    @settings(max_examples=EXAMPLES[library], derandomize=True, database=None, deadline=None)
    @given(calls(library, constructor), st.integers(0, 2**32 - 1), st.floats(1e-4, 1.0), st.floats(1.0, 1e3))
    def check(arguments, seed, low, high):
        # A beta3 below beta1 that is scheduled: pytorch_optimizer has it at once, the authors come down to it.
        if constructor == "AdEMAMix" and arguments.get("betas"):
            assume(arguments["betas"][0] <= arguments["betas"][2])
        case = Case(library, constructor, arguments, dtype)
        task = case.shaped(problem(dtype, seed, STEPS, low, high))
        theirs, (ours, _) = run(case, task).theta, followed(case, task)
        assert distance(ours, theirs) <= ROUNDED.get((library, constructor), allowance(case)), case

    check()


SMALL = {"vector": (5,), "column": (4, 1), "kernels": (3, 2, 2, 4), "matrices": (2, 3, 4), "one": (1,)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_adafactor_of_torch_on_arrays_of_other_shapes(dtype, size):
    """Kernels of a convolution are clipped together; a vector of small squares is no matrix of one column."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    start = {name: rng.normal(size=shape).astype(dtype) for name, shape in SMALL.items()}
    tensors = {name: torch.tensor(x) for name, x in start.items()}
    theirs = torch.optim.Adafactor(tensors.values(), lr=0.1)
    ours = gs.Optimizer(start, gs.conventions.torch.Adafactor(lr=0.1))
    for k in range(STEPS):
        grads = {
            name: (size * rng.normal(size=shape) * 10.0 ** -(k % 3)).astype(dtype) for name, shape in SMALL.items()
        }
        for name, x in tensors.items():
            x.grad = torch.tensor(grads[name])
        theirs.step()
        ours.step(grads)
    known = {"column"} if size < 1 and dtype == "float32" else set()  # taken for a vector; its squares are below eps
    bound = 8 * STEPS * np.finfo(dtype).eps
    for name, x in tensors.items():
        near = np.abs(start[name] - x.numpy()).max() <= bound
        assert near != (name in known), name


def test_schedule_free_of_keras_goes_another_way_on_torch():
    """Its ``momentum_old = momentum.value`` is the variable's own tensor there, which the next line changes."""
    keras = installed("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("it is right on JAX")
    case = Case("keras", "ScheduleFreeAdamW", {"learning_rate": 0.01}, "float32")
    task = problem("float32", 1, 6)
    theirs = import_module("references.record.keras").run(case, task).theta
    assert distance(followed(case, task)[0], theirs) > 0.05
