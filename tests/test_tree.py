"""Nests to names and leaves, and back; nests that do not fit."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradstep as gs
from gradstep.array.tree import flatten
from support import clear

Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - as users write it


def x(n=0.0):
    return np.array(n)


NESTS = {
    "bare": (x(1), ("params",)),
    "dict": ({"w": x(1), "b": x(2)}, ("w", "b")),
    "list": ([x(1), x(2)], ("0", "1")),
    "tuple": ((x(1), (x(2), x(3))), ("0", "1.0", "1.1")),
    "named tuple": (Pair(x(1), [x(2)]), ("0", "1.0")),
    "deep": ({"a": {"b": [{"c": (x(1),)}]}}, ("a.b.0.c.0",)),
    "integer keys": ({3: x(1), 1: x(2)}, ("3", "1")),
    "empty dict": ({}, ()),
    "empty list": ([], ()),
    "empty inside": ({"a": {}, "b": x(1), "c": []}, ("b",)),
    "ordered dict": (OrderedDict(z=x(1), a=x(2)), ("z", "a")),
    "one name by chance": ({"0": [], 0: x(1)}, ("0",)),
    "dots": ({"a.b": x(1), "a": {"c": x(2)}}, ("a.b", "a.c")),
}


@pytest.mark.parametrize("case", NESTS)
def test_names_and_round_trip(case):
    tree, names = NESTS[case]
    nest, leaves = flatten(tree)
    assert nest.names == names
    assert nest.leaves(tree, "gradients") == tuple(leaves)
    assert nest.leaves(dict(zip(names, leaves, strict=True)), "gradients") == tuple(leaves)
    built = nest.build(leaves)
    again, same = flatten(built)
    assert again == nest
    assert same == leaves


def test_build_keeps_kinds():
    tree = {"p": Pair(x(1), [x(2), (x(3),)])}
    nest, leaves = flatten(tree)
    built = nest.build(leaves)
    assert type(built["p"]) is Pair
    assert type(built["p"].right) is list
    assert type(built["p"].right[1]) is tuple


def test_another_order_of_keys():
    nest, _ = flatten({"a": x(1), "b": x(2)})
    assert [float(y) for y in nest.leaves({"b": x(20), "a": x(10)}, "gradients")] == [10.0, 20.0]


def test_a_list_for_a_tuple_is_fine():
    nest, _ = flatten((x(1), x(2)))
    assert [float(y) for y in nest.leaves([x(10), x(20)], "gradients")] == [10.0, 20.0]


def test_what_is_missing_is_none():
    nest, _ = flatten({"a": {"w": x(1), "b": x(2)}, "c": x(3)})
    assert nest.leaves({}, "gradients") == (None,) * 3
    assert nest.leaves({"a": None}, "gradients") == (None,) * 3
    assert nest.leaves({"a.b": 7}, "gradients") == (None, 7, None)
    assert nest.leaves({"a": {"b": 7}}, "gradients") == (None, 7, None)
    assert nest.leaves(None, "gradients") == (None,) * 3


def test_looking_does_not_add_to_a_defaultdict():
    nest, _ = flatten({"a": x(1)})
    grads = defaultdict(lambda: x(5))
    assert nest.leaves(grads, "gradients") == (None,)
    assert not grads


@pytest.mark.parametrize(
    ("tree", "kind", "text"),
    [
        ({"a": x(), "z": x()}, ValueError, "gradients: 'z' belongs to no parameter"),
        ({"a": x(), "b": {"w": x(), "v": x()}}, ValueError, "gradients: 'v' under 'b' belongs to no parameter"),
        ({"a": x(), "b": x(), "c": [x(), x()]}, TypeError, "gradients: expected a dict under 'b', not ndarray"),
        (
            {"a": x(), "b": {"w": x()}, "c": x()},
            TypeError,
            "gradients: expected a list or tuple under 'c', not ndarray",
        ),
        ({"a": x(), "b": {"w": x()}, "c": [x()]}, ValueError, "gradients: 1 of 2 under 'c'; they have the form"),
        ({"a": x(), "b": {"w": x()}, "c": {"0": x()}}, TypeError, "expected a list or tuple under 'c', not dict"),
        ([x(), x(), x()], TypeError, "gradients: expected a dict, not list"),
        (x(), TypeError, "gradients: expected a dict, not ndarray"),
        ({"a": x(), "b.w": x(), "c.0": x(), "c.2": x()}, ValueError, "'b.w' belongs to no parameter"),
    ],
)
def test_nests_that_do_not_fit(tree, kind, text):
    nest, _ = flatten({"a": x(), "b": {"w": x()}, "c": [x(), x()]})
    with pytest.raises(kind) as error:
        nest.leaves(tree, "gradients")
    assert isinstance(error.value, gs.GradstepError)
    assert text in str(error.value)
    assert clear(error)


@pytest.mark.parametrize("leaf", [1.0, None, "w", {1.0}, np.ones(2).tolist, object(), [1.0, 2.0]])
def test_what_is_no_array_is_refused(leaf):
    with pytest.raises(gs.GradstepTypeError, match=r"parameter 'a\.") as error:
        flatten({"a": {"w": leaf}})
    assert "parameters are an array, or dicts, lists and tuples of arrays" in str(error.value)
    assert clear(error)


@pytest.mark.parametrize("tree", [{"a.b": x(), "a": {"b": x()}}, {1: x(), "1": x()}, {"": x(), "params": x()}])
def test_one_name_for_two_leaves_is_refused(tree):
    with pytest.raises(gs.GradstepValueError, match="two parameters have the name") as error:
        flatten(tree)
    assert clear(error)


keys = st.text("abc.01", min_size=1, max_size=3) | st.integers(0, 3)
nests = st.recursive(
    st.integers(0, 99).map(x),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(nests)
def test_any_nest_is_rebuilt_or_refused(tree):
    try:
        nest, leaves = flatten(tree)
    except gs.GradstepValueError as error:
        assert "two parameters have the name" in str(error)  # noqa: PT017
        return
    assert len(set(nest.names)) == len(nest.names) == len(leaves)
    assert repr(nest.build(leaves)) == repr(tree)
    assert [id(y) for y in nest.leaves(tree, "gradients")] == [id(y) for y in leaves]
    by_name = dict(zip(nest.names, leaves, strict=True))
    assert [id(y) for y in nest.leaves(by_name, "gradients")] == [id(y) for y in leaves]


class TestDeepNests:
    def test_as_deep_as_it_may_be(self):
        x = np.zeros(1)
        tree = x
        for _ in range(100):
            tree = [tree]
        nest, leaves = flatten(tree)
        assert leaves == [x]
        assert nest.leaves(tree, "gradients") == (x,)
        again = nest.build([x])
        for _ in range(100):
            (again,) = again
        assert again is x
        with pytest.raises(gs.GradstepValueError, match=r"the nest is more than 100 levels deep, at '0\.0\.0"):
            flatten([tree])

    @pytest.mark.parametrize("levels", [900, 5000])
    def test_deeper_than_python_calls(self, levels):
        tree = np.zeros(1)
        for k in range(levels):
            tree = ([tree], (tree,), {"a": tree})[k % 3]
        for use in (flatten, lambda x: gs.Optimizer(x, "sgd"), lambda x: gs.init(gs.sgd(), x)):
            with pytest.raises(gs.GradstepValueError, match="more than 100 levels deep"):
                use(tree)

    @pytest.mark.parametrize("kind", ["dict", "list", "twice", "within"])
    def test_one_that_contains_itself(self, kind):
        tree = {"w": np.zeros(1)}
        if kind == "dict":
            tree["a"] = tree
        elif kind == "list":
            tree["a"] = [tree]
        elif kind == "twice":
            tree |= {"a": tree, "b": [tree, tree], "w": np.zeros(1)}
            tree["a"] = tree["b"][1] = tree
        else:
            tree["a"] = {"c": (inner := [np.zeros(1)])}
            inner.append(inner)
        for use in (flatten, lambda x: gs.Optimizer(x, "sgd"), lambda x: gs.init(gs.sgd(), x)):
            with pytest.raises(gs.GradstepValueError, match=r"the nest contains itself, at '[abc.01]+'"):
                use(tree)

    def test_a_part_that_stands_there_twice_is_no_cycle(self):
        part = {"w": np.zeros(1)}
        assert flatten({"a": part, "b": [part]})[0].names == ("a.w", "b.0.w")
