"""``gradstep info``: what is installed, and what runs a step here."""

from gradstep.cli.console import console

OPTIONAL = (
    *("llvmlite", "ml_dtypes", "scikit-learn", "joblib", "threadpoolctl", "plotly", "jinja2", "matplotlib", "optuna"),
    *("torch", "jax", "optax", "keras", "deepspeed", "bitsandbytes"),
)


def info() -> None:
    """Show versions, the engine in use, the kernel cache and which optional packages are installed."""
    from gradstep import rules, stages, variants
    from gradstep.compare.environment import environment, version
    from gradstep.engine.kernel_cache import folder
    from gradstep.engine.threads import get_threads

    cache = folder()
    packages = {name: version(name) for name in OPTIONAL}
    lines = {
        **environment(),
        "threads": f"{get_threads()} at most for a large step",
        "kernel cache": str(cache) if cache else "nowhere (GRADSTEP_CACHE_DIR is empty)",
        "rules": str(len(rules.__all__)),
        "other stages": str(len(stages.__all__)),
        "variants of other libraries": str(len(variants.__all__)),
        "found": ", ".join(f"{name} {found}" for name, found in packages.items() if found) or "nothing optional",
        "not found": ", ".join(name for name, found in packages.items() if not found) or "nothing",
    }
    width = max(map(len, lines))
    for key, value in lines.items():
        console().print(f"{key:{width}}  {value}", markup=False, soft_wrap=True)
