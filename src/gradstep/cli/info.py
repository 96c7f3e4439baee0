"""``gradstep info`` and ``gradstep problems``: lists of what is installed, and of what can be compared on."""

from gradstep.cli.common import console

OPTIONAL = (
    *("llvmlite", "ml_dtypes", "scikit-learn", "joblib", "threadpoolctl", "plotly", "jinja2", "matplotlib", "optuna"),
    *("torch", "jax", "optax", "keras", "deepspeed", "bitsandbytes"),
)


def info() -> None:
    """Show versions, the engine in use, the kernel cache and which optional packages are installed."""
    from gradstep import rules, stages, variants
    from gradstep.engine.cpu.kernel_cache import folder
    from gradstep.engine.cpu.threads import get_threads
    from gradstep.environment import environment, version

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
        console().print(f"{key:{width}}  {value}", soft_wrap=True)


def problems() -> None:
    """List the problems that `gradstep compare` knows."""
    from gradstep.cli.tables import print_table
    from gradstep.compare.problems import PROBLEMS
    from gradstep.compare.problems.targets import records

    headings = ["problem", "family", "what is trained", "data", "size", "target (easy, hard)", "steps", "s/run"]
    measured, rows = records(), list[list[str]]()
    for make in PROBLEMS.values():
        p = make()
        seconds = f"{measured[p.name]['seconds']:g}" if p.name in measured else ""  # formulas take next to none
        rows.append([p.name, p.family, p.summary, p.source, p.size, p.levels, str(p.steps), seconds])
    print_table(console(), headings, rows, texts=headings[1:-2])
