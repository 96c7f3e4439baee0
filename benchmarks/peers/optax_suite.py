"""Optax's own tests of its aliases and of what goes around them; it needs ``pip install absl-py``."""

from typing import Any

from peers.suite import Expected, Suite

PAGE = "docs/migrating/optax.md"
FOLDERS = {
    "_src": ("alias", "float64", "sharding", "update"),
    "schedules": ("_inject",),
    "transforms": ("_accumulation", "_combining", "_conditionality", "_freezing", "_layouts", "_masking"),
    "tree_utils": ("_state_utils",),
}


def swap() -> None:
    """Replace optax's constructors that are known here, where its tests take them from."""
    import optax
    from optax._src import alias

    import gradstep as gs

    for name in gs.conventions.optax.__all__:
        guest = _guest(gs, name, getattr(alias, name))
        setattr(optax, name, guest)
        setattr(alias, name, guest)


def _guest(gs: Any, name: str, theirs: Any) -> Any:
    from functools import wraps
    from inspect import signature

    from peers.plugin import counted

    @wraps(theirs)  # inject_hyperparams asks for the signature
    def make(*args: Any, **given: Any) -> Any:
        own = signature(theirs).bind(*args, **given).arguments
        return gs.interop.optax.transformation(f"optax.{name}", **own)

    return counted(make)


SUITE = Suite(
    files=[f"optax/{folder}/{name}_test.py" for folder, names in FOLDERS.items() for name in names],
    swap=swap,
    packages=("jax", "optax"),
    environment=(("JAX_PLATFORMS", "cpu"), ("XLA_FLAGS", "--xla_force_host_platform_device_count=8")),
    options=("--continue-on-collection-errors", "-k", "not LBFGSTest and not lbfgs"),
    expected=(
        Expected("test_explicit_dtype", "complex64, and cannot be stored", "A complex moment cannot be stored", PAGE),
        Expected("test_explicit_dtype", "bfloat16.* != dtype.'float32'", "float32 without them", PAGE),
        Expected("", "adds the step and climbs", "without a learning_rate optax adds the step and climbs", PAGE),
        Expected("test_masked_state_structure", "different structures", "it asks for optax's own type of state"),
    ),
)
