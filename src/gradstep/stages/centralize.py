"""Gradients whose mean over each unit is zero. Yong et al. 2020 (ECCV), arXiv:2004.01461, equation (1).

It comes before the rule. A unit is what one output is computed from: the last axis counts outputs in gradstep.nn, Keras
and Flax, the first in torch. Arrays of fewer than two axes, such as biases, stay as they are.

Shapes: theta, g alike, of any number of axes.   Units: there is no hyperparameter.
"""

from gradstep.rule import stage
from gradstep.vocabulary import mean


@stage(whole=True, folds="last", fewest=2)
def centralize_columns(theta, g):
    """Gradient centralization by units along the last axis: gradstep.nn, Keras, Flax. Yong et al. 2020, (1)."""
    g = g - mean(g, "rows")
    return theta, g


@stage(whole=True, folds="first", fewest=2)
def centralize_rows(theta, g):
    """Gradient centralization by units along the first axis: torch, and optax.centralize. Yong et al. 2020, (1)."""
    g = g - mean(g, "columns")
    return theta, g
