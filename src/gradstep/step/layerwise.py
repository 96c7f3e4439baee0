"""Layer-wise decay of the learning rate, by groups."""

from collections.abc import Sequence

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.hyper import Domain, in_domain, times
from gradstep.naming import real


def layerwise(layers: Sequence[str], decay: float) -> dict[str, dict[str, times]]:
    """Return groups in which each layer has a smaller learning rate than the one after it.

    Layer i of n gets ``lr decay^(n - 1 - i)``: the last has the rate itself. It follows schedules, and combines with
    other groups: ``groups=gs.layerwise(...) | {"*.bias": {"weight_decay": 0.0}}``.

    Source: Clark et al. 2020 (ELECTRA), arXiv:2003.10555, and Bao et al. 2021 (BEiT), arXiv:2106.08254;
    ``layer_decay`` of timm, whose order is the embedding, the blocks, the head.

    Parameters
    ----------
    layers
        Name patterns, from the input to the output. End numbers by a dot: ``"block.1.*"``, as ``"block.1*"`` is 10 too.
    decay
        More than 0, usually 0.65 to 0.95.

    Returns
    -------
    dict
        ``{pattern: {"lr": gs.times(factor)}}``.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For what is no list of patterns, a pattern given twice, or a factor that is not above 0.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.layerwise(["embed", *(f"block.{i}.*" for i in range(2)), "head.*"], decay=0.5)["embed"]
    {'lr': times(factor=0.125)}
    """
    if isinstance(layers, str) or not all(isinstance(pattern, str) for pattern in layers):
        raise GradstepTypeError(f"layerwise: layers must be a list of name patterns, not {layers!r}.")
    if twice := sorted({pattern for pattern in layers if list(layers).count(pattern) > 1}):
        raise GradstepValueError(f"layerwise: the pattern {twice[0]!r} is there twice.")
    factor = in_domain("decay", real("layerwise: decay", decay), "layerwise", Domain(0.0, open_low=True))
    return {pattern: {"lr": times(factor**k)} for k, pattern in enumerate(reversed(layers))}
