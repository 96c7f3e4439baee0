"""Layers in a row: their names, the shapes from one to the next, and the table that ``Sequential.summary`` prints."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.nn.layers import Layer, Shape, shown


def named(layers: Sequence[Any]) -> list[Layer]:
    """Name the layers: each by its kind and the number of that kind before it.

    Raises
    ------
    GradstepTypeError
        For what is no layer.
    GradstepValueError
        For no layers, and for a layer that a model has already.
    """
    if not isinstance(layers, list | tuple) or not layers:
        raise GradstepValueError(f"Sequential needs a list of at least one layer, not {layers!r}.")
    kinds: Counter[str] = Counter()
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise GradstepTypeError(f"Sequential: layer {i} is {layer!r}, which is no layer of gradstep.nn.")
        if layer.built or any(layer is other for other in layers[:i]):
            raise GradstepValueError(f"Sequential: layer {i}, {layer!r}, is already in a model; make a new one.")
        kind = type(layer).__name__.lower()
        layer.name = f"{kind}_{kinds[kind]}"
        kinds[kind] += 1
    return list(layers)


def shapes_after(layers: Sequence[Layer], shape: Shape) -> list[Shape]:
    """Shape of one example after each layer; a :class:`GradstepValueError` names the layer that cannot take it."""
    shapes: list[Shape] = []
    for layer in layers:
        shape = layer.output_shape(shape)
        shapes.append(shape)
    return shapes


def table(layers: Sequence[Layer], shapes: Sequence[Shape], dtype: str) -> str:
    """One line a layer: name, how it was made, shape of one output example, how many numbers it learns."""
    rows = [("layer", "made by", "output", "parameters")]
    rows += [(x.name, repr(x), shown(shape), f"{x.parameters:,}") for x, shape in zip(layers, shapes, strict=True)]
    a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{w:{a}}  {x:{b}}  {y:{c}}  {z:>{d}}" for w, x, y, z in rows]
    rule = "-" * len(lines[0])
    total = sum(x.parameters for x in layers)
    return "\n".join((lines[0], rule, *lines[1:], rule, f"{total:,} parameters, {dtype}"))
