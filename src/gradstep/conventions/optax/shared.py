"""Common parts of the constructors of optax and of optax.contrib."""

from gradstep.conventions.library import Library

_DTYPE = 'the state is stored as gs.Optimizer(..., state_dtype="bfloat16") says, in all of it and without drift'
_MASK = 'say it by name: gs.Optimizer(..., groups={"*.bias": {"weight_decay": 0.0}})'
ROOT = "the rule here has one eps, outside of the root"

constructor = Library(
    "optax",
    becomes={
        "learning_rate": "lr",
        "b1": "beta1",
        "b2": "beta2",
        "b3": "beta3",
        "betas": ("beta1", "beta2"),
        "decay": "rho",
        "initial_scale": "initial_accumulator",
        "initial_accumulator_value": "initial_accumulator",
    },
    told="eps_root",
    refused={
        "accumulator_dtype": _DTYPE,
        "mu_dtype": _DTYPE,
        "state_dtype": _DTYPE,
        "mask": _MASK,
        "weight_decay_mask": _MASK,
    },
)
