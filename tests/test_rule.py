"""Declaring a rule: what is refused and in which words, what is counted, what the registry holds."""

import math
import sys

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import RuleError
from gradstep.form.equation import Expr, equation
from gradstep.rule import lookup, registry, rule, stage, variant
from gradstep.vocabulary import abs as magnitude
from gradstep.vocabulary import maximum, minimum, sign, sqrt, where
from support import clear

pytestmark = pytest.mark.usefixtures("own_registry")


def rates(lr=0.1):
    return {"lr": lr}


def with_step(step):
    """A rule called ``odd`` whose step is what ``step(theta, g, lr)`` gives."""

    def odd(theta, g, lr):
        return theta - lr * step(theta, g, lr), g

    return rule(rates)(odd)


def chosen(condition):
    return 1.0 if condition else 2.0


# What the update does -> the operation that the message must show, and what it must tell to do.
REFUSED = {
    "scalars added": (lambda theta, g, lr: (lr + 1.0) * g, "lr + 1.0", "compute it in scalars()"),
    "scalars subtracted": (lambda theta, g, lr: (1 - lr) * g, "1 - lr", "compute it in scalars()"),
    "scalars multiplied": (lambda theta, g, lr: lr * lr * g, "lr * lr", "compute it in scalars()"),
    "scalars divided": (lambda theta, g, lr: 2.0 / lr * g, "2.0 / lr", "compute it in scalars()"),
    "scalar negated": (lambda theta, g, lr: -lr * g, "-lr", "compute it in scalars()"),
    "root of a scalar": (lambda theta, g, lr: sqrt(lr) * g, "sqrt(lr)", "compute it in scalars()"),
    "maximum of scalars": (lambda theta, g, lr: maximum(lr, 0.0) * g, "maximum(lr, 0.0)", "compute it in scalars()"),
    "divided by a scalar": (lambda theta, g, lr: g / lr, "g / lr", "reciprocal"),
    "divided by a literal": (lambda theta, g, lr: g / 2, "g / 2", "reciprocal"),
    "power": (lambda theta, g, lr: g**2, "g ** 2", "write the product out"),
    "reflected power": (lambda theta, g, lr: 2**g, "2 ** g", "write the product out"),
    "if": (lambda theta, g, lr: g * chosen(g > 0.0), "(g > 0.0)", "use where"),
    "and": (lambda theta, g, lr: where(g > 0.0 and theta > 0.0, g, 0.0), "(g > 0.0)", "use where"),
    "not": (lambda theta, g, lr: where(not g > 0.0, g, 0.0), "(g > 0.0)", "use where"),
    "chained comparison": (lambda theta, g, lr: where(0.0 < g < 1.0, g, 0.0), "(g > 0.0)", "use where"),
    "built-in max": (lambda theta, g, lr: max(g, 0.0), "(0.0 > g)|(g < 0.0)", "maximum"),
    "built-in abs": (lambda theta, g, lr: abs(g), "built-in abs", "import abs from gradstep.vocabulary"),
    "built-in round": (lambda theta, g, lr: round(g), "round", "gradstep.vocabulary"),
    "equality": (lambda theta, g, lr: where(g == 0.0, theta, g), "g == 0.0", "a single < or >"),
    "inequality": (lambda theta, g, lr: where(g != g, theta, g), "g != g", "a single < or >"),
    "at most": (lambda theta, g, lr: where(g <= 0.0, theta, g), "g <= 0.0", "a single < or >"),
    "at least": (lambda theta, g, lr: where(g >= 0.0, theta, g), "g >= 0.0", "a single < or >"),
    "floor division": (lambda theta, g, lr: g // 2.0, "g // 2.0", "gradstep.vocabulary"),
    "reflected floor division": (lambda theta, g, lr: 2.0 // g, "2.0 // g", "gradstep.vocabulary"),
    "remainder": (lambda theta, g, lr: g % 2.0, "g % 2.0", "gradstep.vocabulary"),
    "reflected remainder": (lambda theta, g, lr: 2.0 % g, "2.0 % g", "gradstep.vocabulary"),
    "matrix product": (lambda theta, g, lr: theta @ g, "theta @ g", "gradstep.vocabulary"),
    "bitwise and": (lambda theta, g, lr: where((g > 0.0) & (g < 1.0), g, 0.0), "&", "gradstep.vocabulary"),
    "bitwise or": (lambda theta, g, lr: where((g > 0.0) | (g < 1.0), g, 0.0), "|", "gradstep.vocabulary"),
    "bitwise not": (lambda theta, g, lr: where(~(g > 0.0), g, 0.0), "~", "gradstep.vocabulary"),
    "unary plus": (lambda theta, g, lr: +g, "+", "gradstep.vocabulary"),
    "shift": (lambda theta, g, lr: g << 1, "<<", "gradstep.vocabulary"),
    "divmod": (lambda theta, g, lr: divmod(g, 2.0)[0], "divmod", "gradstep.vocabulary"),
    "math": (lambda theta, g, lr: math.sqrt(g), "g", "gradstep.vocabulary"),
    "float": (lambda theta, g, lr: float(g), "g", "gradstep.vocabulary"),
    "int": (lambda theta, g, lr: int(g), "g", "gradstep.vocabulary"),
    "numpy function": (lambda theta, g, lr: np.sqrt(g), "np.sqrt(g)", "gradstep.vocabulary"),
    "numpy maximum": (lambda theta, g, lr: np.maximum(g, 0.0), "np.maximum(g, 0.0)", "gradstep.vocabulary"),
    "numpy array": (lambda theta, g, lr: np.ones(3) * g, "np.multiply", "gradstep.vocabulary"),
    "numpy scalar on the left": (
        lambda theta, g, lr: np.float64(2.0) * g,
        "np.multiply(2.0, g)",
        "gradstep.vocabulary",
    ),
    "numpy scalar on the right": (lambda theta, g, lr: g * np.float64(2.0), "g * 2.0", "literals"),
    "numpy where": (lambda theta, g, lr: np.where(g > 0.0, g, 0.0), "", "gradstep.vocabulary"),
    "method": (lambda theta, g, lr: g.sum(), "g.sum", "one element at a time"),
    "numpy sum": (lambda theta, g, lr: np.sum(g), "g.sum", "one element at a time"),
    "shape": (lambda theta, g, lr: g * g.shape[0], "g.shape", "one element at a time"),
    "index": (lambda theta, g, lr: g[0], "g [...] 0", "one element at a time"),
    "slice": (lambda theta, g, lr: g[1:], "[...]", "one element at a time"),
    "iteration": (lambda theta, g, lr: [x * x for x in g], "g", "one element at a time"),
    "length": (lambda theta, g, lr: g * len(g), "g", "one element at a time"),
    "condition as a number": (lambda theta, g, lr: g * (g > 0.0), "g * (g > 0.0)", "only arrays"),
    "condition negated": (lambda theta, g, lr: -(g > 0.0), "-(g > 0.0)", "only arrays"),
    "condition compared": (
        lambda theta, g, lr: where((g > 0.0) < lr, g, 0.0),
        "((g > 0.0) < lr)|(g > 0.0) < lr",
        "only arrays",
    ),
    "condition in a word": (lambda theta, g, lr: sqrt(g > 0.0), "sqrt((g > 0.0))", "only arrays"),
    "where without condition": (lambda theta, g, lr: where(g, theta, 0.0), "where(g, theta, 0.0)", "a single < or >"),
    "where with a bool": (lambda theta, g, lr: where(True, theta, g), "where(True, theta, g)", "a single < or >"),
    "where of literals": (lambda theta, g, lr: where(g > 0.0, 1.0, 0.0), "where((g > 0.0), 1.0, 0.0)", "inside"),
    "where of scalars": (lambda theta, g, lr: where(g > 0.0, lr, 0.0) * g, "where((g > 0.0), lr, 0.0)", "inside"),
    "bool": (lambda theta, g, lr: g * True, "g * True", "only arrays"),
    "string": (lambda theta, g, lr: g * "2", "g * 2", "only arrays"),
    "None": (lambda theta, g, lr: g + None, "g + None", "only arrays"),
    "complex": (lambda theta, g, lr: g * 1j, "g * 1j", "only arrays"),
    "unknown name": (lambda theta, g, lr: undefined * g, "undefined", "gradstep.vocabulary"),  # noqa: F821
    "too many operands": (lambda theta, g, lr: sqrt(g, g), "sqrt()", "gradstep.vocabulary"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_rule_is_refused_by_the_operation_and_what_to_do(case):
    step, operation, advice = REFUSED[case]
    with pytest.raises(RuleError) as error:
        with_step(step)
    text = str(error.value)
    assert text.startswith("rule odd: ")
    assert any(x in text for x in operation.split("|") if x or not operation) or operation in text
    assert advice in text
    assert clear(error)
    assert "odd" not in registry()


def test_what_is_allowed_is_counted():
    def busy(theta, g, m, lr):
        m = maximum(magnitude(g), minimum(m, 3.0)) + sign(g)
        theta = theta - lr * where(g > 0.0, g * 0.5, -m) / sqrt(m)
        return theta, g, m

    made = rule(rates, state="m")(busy)
    assert dict(made.operations) == {
        "maximum": 1, "abs": 1, "minimum": 1, "sign": 1, "+": 1, "-": 1, "*": 2, "/": 1, "where": 1, ">": 1,
        "negate": 1, "sqrt": 1,
    }  # fmt: skip
    assert made.numbers == ("lr",)


def test_a_scalar_may_be_compared_and_chosen_by():
    made = with_step(lambda theta, g, lr: where(lr > 0.5, g, theta))
    assert made.operations["where"] == 1


def test_a_measure_costs_nothing_in_the_update():
    def shrunk(theta, g, factor):
        return theta, factor * g

    made = stage(lambda total: {"factor": 1 / (1 + total)}, reduce=lambda theta, g: g * g, over="all")(shrunk)
    assert dict(made.operations) == {"*": 1}


def plain(theta, g, lr):
    return theta - lr * g, g


def kept(theta, g, m, lr):
    return theta - lr * m, g, m


def counted(theta, g, n):
    return theta - n * g, g


DECLARATIONS = {
    "no tuple": (lambda: rule(rates)(lambda theta, g, lr: theta - lr * g), "must return theta, g"),
    "too little": (lambda: rule(rates, state="m")(lambda theta, g, m, lr: (theta - lr * m, g)), "theta, g, m"),
    "a scalar": (lambda: rule(rates)(lambda theta, g, lr: (lr, g)), "returns lr as theta, which is no array"),
    "a literal": (lambda: rule(rates)(lambda theta, g, lr: (0.0, g)), "returns 0.0 as theta"),
    "a condition": (lambda: rule(rates)(lambda theta, g, lr: (theta > g, g)), "(theta > g) as theta"),
    "other names": (lambda: rule(rates)(lambda x, g, lr: (x, g)), "must take ('theta', 'g', 'lr')"),
    "other order": (lambda: rule(rates, state="m")(lambda g, theta, m, lr: (theta, g, m)), "must take"),
    "a scalar too few": (lambda: rule(rates)(lambda theta, g: (theta, g)), "must take ('theta', 'g', 'lr')"),
    "a scalar too many": (lambda: rule(rates)(lambda theta, g, lr, x: (theta, g)), "must take"),
    "unknown argument": (lambda: rule(lambda mu, lr=0.1: {"lr": lr})(plain), "asks for mu"),
    "total without a sum": (lambda: rule(lambda total, lr=0.1: {"lr": lr})(plain), "asks for total"),
    "reduce alone": (lambda: rule(rates, reduce=lambda theta, g: g)(plain), "belong together"),
    "over alone": (lambda: rule(rates, over="all")(plain), "belong together"),
    "memory lost": (lambda: rule(lambda n: {"n": n}, memory={"k": 1.0})(counted), "memory k|asks for n"),
    "memory not returned": (lambda: rule(lambda k: {"n": k}, memory={"k": 1.0})(counted), "memory k"),
    "unit of nothing": (lambda: rule(rates, units={"eps": "g"})(plain), "units= has 'eps'; known: g, lr."),
    "start of nothing": (lambda: rule(rates, start={"m": 1.0})(plain), "start= has 'm', and the rule has no slot"),
    "unit of a typo": (lambda: rule(rates, units={"Lr": "g"})(plain), "units= has 'Lr'; did you mean lr?"),
    "unit that is none": (lambda: rule(rates, units={"lr": "thta/g"})(plain), "has 'thta'; did you mean theta?"),
    "exception from nothing": (
        lambda: rule(rates, exceptions={"first_step_descend": "it goes uphill now and then"})(plain),
        "exceptions= has 'first_step_descend'; did you mean first_step_descends?",
    ),
    "letter of nothing": (lambda: rule(rates, symbols={"rate": "r"})(plain), "symbols= has 'rate'; did you mean lr?"),
    "square of nothing": (lambda: rule(rates, nonnegative="v")(plain), "has 'v', and the rule has no slot"),
    "a schedule as default": (
        lambda: rule(lambda lr=lambda t: 0.1: {"lr": lr})(plain), "the default of lr must be a number"),
    "scalars that fail": (lambda: rule(lambda lr=0.1: {"lr": lr + None})(plain), "scalars fails"),
    "scalars without dict": (lambda: rule(lambda lr=0.1: lr)(plain), "must return a dict"),
    "slot twice": (lambda: rule(rates, state="m m")(kept), "the name m is taken"),
    "slot like a hyperparameter": (lambda: rule(rates, state="lr")(plain), "the name lr is taken"),
    "a hyperparameter called t": (lambda: rule(lambda t=0.1: {"lr": t})(plain), "the name t is taken"),
    "a hyperparameter called as a sum": (
        lambda: rule(lambda total=0.1: {"lr": total}, reduce=lambda g: g, over="all")(plain), "total is taken"),
    "measure of a scalar": (
        lambda: rule(rates, reduce=lambda theta, g: 1.0, over="all")(plain), "as total, which is no array"),
    "measure of what it does not see": (
        lambda: rule(rates, reduce={"size": lambda theta, v: theta * v}, over="all")(plain),
        "the sum size asks for v, which is none of ['g', 'theta']"),
    "early without sums": (lambda: rule(rates, early=rates)(plain), "early= is for numbers that reduce= needs"),
    "an option misspelt": (
        lambda: rule(rates, pover=2), "@rule: unknown option 'pover'; did you mean over or power"),
    "an option misspelt of a variant": (
        lambda: variant(gs.adam, unit={"lr": "g"}), "@variant: unknown option 'unit'; did you mean units"),
    "an option misspelt of a stage": (lambda: stage(rates, bound="lr"), "@stage: unknown option 'bound'; did you mean"),
    "a hyperparameter as an option": (lambda: rule(rates, lr=0.1), "A hyperparameter and its default stand in the"),
    "two defaults": (
        lambda: rule(rates, early=lambda lr=0.2: {"k": lr}, reduce=lambda g: g, over="all")(plain),
        "lr is 0.1 in scalars() and 0.2 in early()"),
    "early and scalars alike": (
        lambda: rule(rates, early=rates, reduce=lambda g: g, over="all")(plain), "both return lr"),
    "early that asks for a sum": (
        lambda: rule(rates, early=lambda total: {"k": total}, reduce=lambda g: g, over="all")(plain),
        "early() asks for total"),
    "a rule that wraps": (lambda: rule(rates, wraps=True)(plain), "wraps= is for a stage behind a rule"),
    "before in another place": (
        lambda: stage(wraps=True)(lambda theta, before, g: (theta, g)), "must take ('before', 'theta', 'g')"),
    "before without wraps": (lambda: stage()(lambda before, theta, g: (theta, g)), "must take ('theta', 'g')"),
    "measure that branches": (
        lambda: rule(rates, reduce=lambda theta, g: g if g > 0 else theta, over="all")(plain), "truth value"),
    "read that fails": (lambda: rule(rates, read=lambda theta: theta.mean())(plain), "theta.mean"),
}  # fmt: skip


@pytest.mark.parametrize("case", DECLARATIONS)
def test_a_declaration_is_refused(case):
    declare, text = DECLARATIONS[case]
    before = registry(None)
    with pytest.raises(RuleError) as error:
        declare()
    assert any(part in str(error.value) for part in text.split("|"))
    assert clear(error)
    assert registry(None) == before


def test_a_default_out_of_range_is_refused():
    with pytest.raises(gs.GradstepValueError, match="lr must be finite and >= 0, not -1"):
        rule(lambda lr=-1.0: {"lr": lr})(plain)


def test_a_name_belongs_to_one_module():
    rule(rates)(plain)
    again = rule(lambda lr=0.2: {"lr": lr})(plain)  # a notebook cell that runs twice
    assert registry()["plain"] is again

    def adam(theta, g, lr):
        return theta - lr * g, g

    with pytest.raises(RuleError, match=r"gradstep\.rules\.adam has a rule of that name; choose another"):
        rule(rates)(adam)
    assert registry()["adam"] is gs.adam


class TestRegistry:
    def test_kinds(self):
        assert {"adam", "sgd", "radam"} <= registry().keys()
        assert {"l2", "ema", "clip_by_value"} <= registry("stage").keys()
        assert registry(None) == {**registry(), **registry("stage")}
        assert list(registry()) == sorted(registry())
        assert not registry().keys() & registry("stage").keys()

    def test_lookup(self):
        assert lookup("adam") is gs.adam
        with pytest.raises(gs.GradstepValueError, match=r"unknown rule 'adma'; did you mean adam"):
            lookup("adma")
        with pytest.raises(gs.GradstepValueError, match=r"^unknown rule 'zzz'; gradstep show --list has them all\.$"):
            lookup("zzz")
        with pytest.raises(
            gs.GradstepValueError, match=r"^unknown rule 'mmsp'; the nearest .*rmsprop.*; gradstep show"
        ):
            lookup("mmsp")

    def test_a_copy_is_handed_out(self):
        registry().clear()
        assert registry()

    def test_docs_tell_paper_shapes_and_units(self):
        for name, made in registry(None).items():
            if made.module.startswith("gradstep."):
                assert made.doc, name
            if made.kind == "rule" or made.module.startswith("gradstep.variants."):
                whole = f"{made.doc}\n{sys.modules[made.module].__doc__}"  # a file of variants says it once
                assert "Shapes:" in whole, name
                assert "Units:" in whole, name


class TestCalls:
    def test_positional_values_follow_the_declaration(self):
        assert gs.adam(0.1, 0.8).parts[0].given == {"lr": 0.1, "beta1": 0.8}

    @pytest.mark.parametrize(
        ("call", "kind", "text"),
        [
            (lambda: gs.sgd(0.1, 0.2), TypeError, "2 positional values"),
            (lambda: gs.sgd(0.1, lr=0.2), TypeError, "lr is given twice"),
            (lambda: gs.adam(beta=0.9), ValueError, "unknown hyperparameter 'beta'; did you mean beta"),
            (lambda: gs.adam(lr="0.1"), TypeError, "lr must be a number or a schedule"),
            (lambda: gs.adam(lr=True), TypeError, "lr must be a number or a schedule"),
            (lambda: gs.adam(lr=None), TypeError, "lr must be a number or a schedule"),
            (lambda: gs.adam(lr=1j), TypeError, "lr must be a number or a schedule"),
            (lambda: gs.adam(lr=np.array(0.1)), TypeError, "lr must be a number or a schedule"),
            (lambda: gs.adam(lr=math.nan), ValueError, "lr must be finite and >= 0, not nan"),
            (lambda: gs.adam(lr=math.inf), ValueError, "lr must be finite and >= 0, not inf"),
            (lambda: gs.adam(lr=10**400), ValueError, "lr must be finite and >= 0, not inf"),
            (lambda: gs.adam(lr=-1e-3), ValueError, "lr must be finite and >= 0, not -0.001"),
            (lambda: gs.adam(beta1=1.0), ValueError, "beta1 must be finite and >= 0 and < 1, not 1.0"),
            (lambda: gs.adam(beta2=-0.1), ValueError, "beta2 must be finite and >= 0 and < 1"),
            (lambda: gs.adam(eps=0.0), ValueError, "eps must be finite and > 0, not 0.0"),
            (lambda: gs.momentum(momentum=1.5), ValueError, "momentum must be finite and >= 0 and < 1"),
            (lambda: gs.clip_by_norm(0.0), ValueError, "max_norm must be finite and >= 1e-150"),
            (lambda: gs.adam(name=""), TypeError, "name= must be a str"),
            (lambda: gs.adam(name=3), TypeError, "name= must be a str"),
            (lambda: gs.adam(name="b/adam"), ValueError, "there is no '/' in a name="),
        ],
    )
    def test_bad_values(self, call, kind, text):
        with pytest.raises(kind) as error:
            call()
        assert isinstance(error.value, gs.GradstepError)
        assert text in str(error.value)
        assert clear(error)

    def test_numbers_of_any_real_type_become_floats(self):
        from fractions import Fraction

        for x in (np.float32(0.5), np.int64(1), Fraction(1, 2), 1):
            value = gs.sgd(lr=x).parts[0].given["lr"]
            assert type(value) is float
            assert value == x

    def test_repr(self):
        assert repr(gs.adam(lr=0.1, name="fast")) == "adam(lr=0.1, name='fast')"
        assert repr(gs.chain(gs.l2(0.1), gs.sgd)) == "chain(l2(weight_decay=0.1), sgd())"
        assert repr(gs.sgd) == "<rule sgd(lr=0.01)>"
        assert repr(gs.decay) == "<stage decay(lr=None, weight_decay=0.01)>"

    def test_what_is_declared_cannot_be_changed(self):
        with pytest.raises(TypeError):
            gs.adam.defaults["lr"] = 1.0
        with pytest.raises(TypeError):
            gs.adam(lr=0.1).parts[0].given["lr"] = 1.0
        with pytest.raises(AttributeError):
            gs.adam.name = "eve"


def test_host_gives_scalars_and_memory_apart():
    numbers, memory = gs.nadam.host(1, {k: float(v) for k, v in gs.nadam.defaults.items()}, {"product": 1.0})
    assert set(numbers) == set(gs.nadam.numbers)
    assert memory.keys() == {"product"}
    assert 0.0 < memory["product"] < 0.9


@pytest.mark.parametrize("symbol", ["+=", "-=", "*=", "/="])
def test_an_update_in_place_is_refused(symbol):
    """It would change the caller's array."""

    def odd(theta, g, v, lr):
        match symbol:
            case "+=":
                v += g
            case "-=":
                v -= g
            case "*=":
                v *= g
            case _:
                v /= g
        return theta - lr * v, g, v

    with pytest.raises(RuleError, match=f"v \\{symbol} g. changes an operand in place"):
        rule(rates, state="v")(odd)


def test_a_stage_is_bounded_by_one_of_its_hyperparameters():
    def odd(theta, g, lr):
        return theta, lr * g

    with pytest.raises(RuleError, match="bounds='max_norm' is none of its hyperparameters"):
        stage(rates, bounds="max_norm")(odd)


@pytest.mark.parametrize("name", sorted(registry(None)))
def test_a_printed_line_stands_after_those_that_it_names(name):
    def below(x):
        yield from (y for arg in x.args if isinstance(arg, Expr) for y in (arg, *below(arg)))

    lines = equation(registry(None)[name]).lines
    for k, line in enumerate(lines):
        later = {id(x.value): x.name for x in lines[k + 1 :]}
        named = {later[id(x)] for x in below(line.value) if id(x) in later}
        assert not named, f"{line.name} is printed before {named}"


@pytest.mark.parametrize("name", ["adam", "accumulate", "clip_by_norm", "ema", "torch_like"])
def test_help_is_that_of_the_rule(name):
    import pydoc

    made = gs.conventions.constructor("nadam_torch") if name == "torch_like" else getattr(gs, name)
    text = pydoc.plain(pydoc.render_doc(made))
    assert made.doc.splitlines()[0] in text
    assert "Host floats kept between steps" not in text
