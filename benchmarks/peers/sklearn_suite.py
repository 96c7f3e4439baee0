"""scikit-learn's own tests of its perceptrons; they are in its wheel: CHECKOUT may be the folder of site-packages."""

from inspect import signature
from typing import Any

from peers.suite import Expected, Suite

PAGE = "docs/migrating/sklearn.md"
_ADAM = {"beta_1": "beta1", "beta_2": "beta2", "epsilon": "eps"}


def swap() -> None:
    """Replace both perceptrons by guests that are told their arguments as the page translates them."""
    import sklearn.neural_network

    for name in ("MLPClassifier", "MLPRegressor"):
        guest = _guest(name, getattr(sklearn.neural_network, name))
        setattr(sklearn.neural_network, name, guest)
        globals()[name] = guest  # pickle looks it up here


def _guest(name: str, theirs: Any) -> type:
    import gradstep as gs
    from peers.plugin import counted

    own: Any = getattr(gs.interop.sklearn, name)

    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807
        asked = signature(theirs).bind(*args, **given).arguments
        every = {key: x.default for key, x in signature(theirs).parameters.items()} | asked
        own.__init__(self, **_translated(every, signature(own).parameters))

    made = counted(__init__)
    made.__signature__ = signature(own.__init__)  # from which scikit-learn reads the parameters
    return type(name, (own,), {"__init__": made, "__module__": __name__})


def _translated(every: dict[str, Any], known: Any) -> dict[str, Any]:
    """Return the arguments of scikit-learn's perceptrons as those of ours."""
    for key, value in (("learning_rate", "constant"), ("loss", "squared_error")):
        if every.get(key, value) != value and (key, every["solver"]) != ("learning_rate", "lbfgs"):
            raise NotImplementedError(f"{key}={every[key]!r}")
    out = {key: x for key, x in every.items() if key in known}
    if every["solver"] == "adam":
        return {**out, "optimizer_params": {own: every[key] for key, own in _ADAM.items()}}
    if every["solver"] != "sgd":
        raise NotImplementedError(f"solver={every['solver']!r}")
    if not every["momentum"]:
        return {**out, "optimizer": "sgd"}
    rule = "nesterov" if every["nesterovs_momentum"] else "momentum"
    return {**out, "optimizer": rule, "optimizer_params": {"momentum": every["momentum"]}}


SUITE = Suite(
    files=("sklearn/neural_network/tests/test_mlp.py",),
    swap=swap,
    packages=("scikit-learn",),
    options=("--noconftest", "-W", "ignore::UserWarning"),
    expected=(
        Expected("", "solver='lbfgs'", 'nothing for `"lbfgs"`', PAGE),
        Expected("", "learning_rate='", '`"constant"`; for others a schedule', PAGE),
        Expected("", "loss='poisson'", 'of the regressor: `"squared_error"`', PAGE),
        Expected("test_nonfinite_params", "NonFiniteError", "A run that diverges ends with `gs.NonFiniteError`", PAGE),
        Expected("test_partial_fit_regression", "> 0.65", "The first weights are other ones", PAGE),
        Expected("test_preserve_feature_names", "holds one class", "One class alone is refused", PAGE),
        Expected("test_fit$", "not fitted", "it writes the layers of a network that is not there before fit"),
        Expected("test_n_iter_no_change", "_no_improvement_count", "it reads a private count"),
        Expected(
            "test_early_stopping_stratified", "only 1 member", "a label is called True there, and 1 as given here"
        ),
    ),
)
