"""Nests of arrays (dicts, lists and tuples of any depth) to dotted names and leaves, and back."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Number
from operator import itemgetter
from typing import Any, TypeVar

import array_api_compat
import numpy as np

from gradstep.array.namespaces import clothed, is_bare
from gradstep.errors import GradstepTypeError, GradstepValueError

T = TypeVar("T")
Pick = Callable[[Any], tuple[Any, ...] | None]
_FORM = "they have the form of the parameters"
BARE = "params"  # the name of a leaf that is the whole nest
DEEPEST = 100  # levels of a nest: far fewer than Python can call functions within one another


class ReadOnly(Mapping[str, T]):
    """A mapping that cannot be written into. A copy of it, deep or pickled, is a dict of copies."""

    __slots__ = ("_own",)

    def __init__(self, own: Mapping[str, T]) -> None:
        self._own = own

    def __getitem__(self, key: str) -> T:
        try:
            return self._own[key]
        except KeyError:
            there = ", ".join(map(repr, self._own)) or "nothing"
            raise KeyError(f"{key!r} is not there; there is {there}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def __repr__(self) -> str:
        return repr(self._own)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self._own),)

    def copy(self) -> dict[str, T]:
        """Return a dict with the same values."""
        return dict(self._own)


@dataclass(frozen=True)
class Node:
    """One level of a nest: its kind, its keys and the nodes under them; a leaf has no keys and kind ``None``."""

    kind: type | None
    keys: tuple[Any, ...] = ()
    children: tuple["Node", ...] = ()

    @cached_property
    def pick(self) -> Pick:
        """The function that returns the leaves of a tree of exactly this form, and None for another."""
        if self.kind is None:
            return lambda tree: None if isinstance(tree, Mapping) else (tree,)
        level = _by_key(self.keys) if self.kind is dict else _in_order(len(self.keys))
        below = [(k, child.pick) for k, child in enumerate(self.children) if child.kind is not None]
        return _nested(level, below) if below else level


@dataclass(frozen=True)
class Nest:
    """The form of a nest: dotted names in order, and what it takes to read or to build another of the same form."""

    names: tuple[str, ...]
    root: Node

    def leaves(self, tree: Any, what: str) -> tuple[Any, ...]:
        """The leaves of ``tree``, which has this form or is a dict by dotted name; ``what`` names it in errors.

        Where a dict lacks an entry, or has ``None`` for one, the leaves are ``None``: the caller knows which it needs.

        Raises
        ------
        GradstepValueError
            When there are too many entries, or too few in a list.
        GradstepTypeError
            When something else stands where a nest should.
        """
        if (usual := self.root.pick(tree)) is not None:
            return usual
        if isinstance(tree, Mapping):
            keys, names = set(tree), set(self.names)
            in_form = self.root.kind is dict and keys <= set(self.root.keys)
            if keys == names or (keys <= names and not in_form):
                return tuple(map(tree.get, self.names))
        if self.root.kind is None:
            return (tree,)
        leaves: list[Any] = []
        _pick(self.root, tree, "", what, leaves)
        return tuple(leaves)

    def build(self, leaves: list[Any]) -> Any:
        """A nest of this form with these leaves."""
        return _build(self.root, iter(leaves))


def flatten(tree: Any) -> tuple[Nest, list[Any]]:
    """The form of a nest and its leaves.

    Parameters
    ----------
    tree
        An array, or dicts, lists and tuples of arrays to any depth. ``{"a": {"w": x}, "b": [y]}`` has the names
        ``a.w`` and ``b.0``; a single array is called ``params``.

    Raises
    ------
    GradstepTypeError
        For anything else than an array at the end of a branch.
    GradstepValueError
        When two leaves would have the same name, or the nest is more than 100 levels deep, or contains itself.
    """
    names: list[str] = []
    leaves: list[Any] = []
    root = _survey(tree, "", names, leaves, ())
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise GradstepValueError(
                f"two parameters have the name {name!r}: a key with a dot in it meets a nested one."
            )
        seen.add(name)
    return Nest(tuple(names), root), leaves


def is_array(x: Any) -> bool:
    """Return True for an array of some namespace."""
    return array_api_compat.is_array_api_obj(x) and not isinstance(x, np.matrix)  # array-api-compat 1.11 takes one


def _survey(tree: Any, name: str, names: list[str], leaves: list[Any], above: tuple[int, ...]) -> Node:
    if is_array(tree) or is_bare(tree):
        names.append(name or BARE)
        leaves.append(tree if is_array(tree) else _clothed(name or BARE, tree))
        return Node(None)
    if id(tree) in above:
        raise GradstepValueError(f"parameters: the nest contains itself, at {name!r}.")
    if len(above) == DEEPEST:
        raise GradstepValueError(f"parameters: the nest is more than {DEEPEST} levels deep, at {name[:20]!r}...")
    above = (*above, id(tree))
    if isinstance(tree, Mapping):
        items = list(tree.items())
        kind: type = dict
    elif isinstance(tree, list | tuple):
        items = list(enumerate(tree))
        kind = type(tree)
    else:
        raise GradstepTypeError(
            f"parameter {name or BARE!r} is of type {type(tree).__name__}; parameters are an array, or dicts, lists "
            f"and tuples of arrays{_wrap(tree)}."
        )
    children = tuple(_survey(x, f"{name}.{key}" if name else str(key), names, leaves, above) for key, x in items)
    return Node(kind, tuple(key for key, _ in items), children)


def _clothed(name: str, x: Any) -> Any:
    """Return bare memory of a device as an array that can be written to."""
    if x.__cuda_array_interface__["data"][1]:
        raise GradstepValueError(f"parameter {name!r} is read-only; hand in a copy.")
    return clothed(f"parameter {name!r}", x)


def _wrap(x: Any) -> str:
    """Return what makes parameters of an object that is none, as the end of an error."""
    if isinstance(x, Number):
        return "; write numpy.array(...) around a number, and give options of some parameters by groups="
    if isinstance(x, Iterator):
        return "; write list(...) around it"
    if hasattr(x, "named_parameters"):  # a module of torch
        return "; write dict(model.named_parameters())"
    return ""


def _by_key(keys: tuple[Any, ...]) -> Pick:
    get = itemgetter(*keys) if len(keys) > 1 else _of_one(keys[0]) if keys else lambda _: ()

    def pick(tree: Any) -> tuple[Any, ...] | None:
        if type(tree) is not dict or len(tree) != len(keys):
            return None
        try:
            return get(tree)
        except KeyError:
            return None

    return pick


def _of_one(key: Any) -> Callable[[Any], tuple[Any, ...]]:
    return lambda tree: (tree[key],)


def _in_order(n: int) -> Pick:
    def pick(tree: Any) -> tuple[Any, ...] | None:
        return tuple(tree) if type(tree) in (list, tuple) and len(tree) == n else None

    return pick


def _nested(level: Pick, below: list[tuple[int, Pick]]) -> Pick:
    """The leaves of a level and of the nests ``below`` it, by their places."""

    def pick(tree: Any) -> tuple[Any, ...] | None:
        values = level(tree)
        if values is None:
            return None
        leaves: list[Any] = []
        after = 0
        for k, inner in below:
            some = inner(values[k])
            if some is None:
                return None
            leaves += values[after:k]
            leaves += some
            after = k + 1
        leaves += values[after:]
        return tuple(leaves)

    return pick


def _pick(node: Node, tree: Any, name: str, what: str, leaves: list[Any]) -> None:
    """Append the leaves of ``tree``, which stands at ``name``."""
    if (usual := node.pick(tree)) is not None:
        leaves += usual
        return
    where = f" under {name!r}" if name else ""
    if tree is None:
        values: list[Any] = [None] * len(node.keys)
    elif node.kind is dict:
        if not isinstance(tree, Mapping):
            raise GradstepTypeError(f"{what}: expected a dict{where}, not {type(tree).__name__}; {_FORM}.")
        values = [tree.get(key) for key in node.keys]
        if not tree.keys() <= set(node.keys):
            extra = next(key for key in tree if key not in node.keys)
            raise GradstepValueError(f"{what}: {extra!r}{where} belongs to no parameter.")
    else:
        if not isinstance(tree, list | tuple):
            raise GradstepTypeError(f"{what}: expected a list or tuple{where}, not {type(tree).__name__}; {_FORM}.")
        if len(tree) != len(node.keys):
            raise GradstepValueError(f"{what}: {len(tree)} of {len(node.keys)}{where}; {_FORM}.")
        values = list(tree)
    for key, child, x in zip(node.keys, node.children, values, strict=True):
        if child.kind is None:
            leaves.append(x)
        else:
            _pick(child, x, f"{name}.{key}" if name else str(key), what, leaves)


def _build(node: Node, leaves: Iterator[Any]) -> Any:
    if node.kind is None:
        return next(leaves)
    values = [next(leaves) if child.kind is None else _build(child, leaves) for child in node.children]
    if node.kind is dict:
        return dict(zip(node.keys, values, strict=True))
    make: Any = getattr(node.kind, "_make", node.kind)  # a named tuple has _make
    return make(values)
