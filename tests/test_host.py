"""The host's half of a step: scalars stage by stage, memory, sums, and what it refuses."""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import ScalarError
from gradstep.form.chain import chain, program
from gradstep.rule import registry, rule
from gradstep.step.host import Host
from support import clear

pytestmark = pytest.mark.usefixtures("own_registry")

RANGE = (2.0**-149, float(np.finfo("float32").max))


class TestScalars:
    def ask(self, tx, t=1, hyper=None, sums=(), rows=1, range_=RANGE):
        made = program(tx)
        values = {**made.values(made.hyper, t - 1), **(hyper or {})}
        each = list(range(rows)) if made.over_tensor else [0]
        host = Host(made, [values], [0] * len(each), range_)
        return host.table(t, [made.memory()], lambda part, table: list(sums))

    def test_stage_by_stage(self):
        table, memory = self.ask(chain(gs.l2(0.1), gs.adam(lr=0.5)))
        assert [len(x) for x in table[0]] == [1, len(gs.adam.numbers)]
        assert table[0][1][gs.adam.numbers.index("rate")] == 0.5 / (1 - 0.9)
        assert memory == [{}]

    def test_memory_is_labelled_and_not_changed(self):
        made = program(gs.nadam(name="n"))
        old = made.memory()
        _, new = self.ask(gs.nadam(name="n"))
        assert old == {"n.product": 1.0} == made.memory()
        assert new[0]["n.product"] < 1.0

    def test_one_sum_over_all(self):
        table, _ = self.ask(chain(gs.clip_by_global_norm(1.0), gs.sgd), sums=[[25.0]])
        assert table[0][0] == (1 / 5,)

    def test_a_sum_for_each_tensor(self):
        table, _ = self.ask(chain(gs.clip_by_norm(1.0), gs.sgd), sums=[[16.0], [0.0], [0.25]], rows=3)
        assert [row[0] for row in table] == [(0.25,), (1.0,), (1.0,)]

    @pytest.mark.parametrize("total", [math.inf, -math.inf, math.nan])
    def test_a_sum_that_is_not_finite(self, total):
        with pytest.raises(gs.NonFiniteError, match="clip_by_global_norm: the sum over the gradients is not") as error:
            self.ask(chain(gs.clip_by_global_norm(1.0), gs.sgd), sums=[[total]])
        assert not isinstance(error.value, ScalarError)

    def test_a_scalar_too_large_for_the_dtype(self):
        with pytest.raises(ScalarError, match=r"adam: the scalar rate is 1\.0.*e\+39 at update 1") as error:
            self.ask(gs.adam(lr=1e38))
        assert clear(error)
        self.ask(gs.adam(lr=1e38), range_=(5e-324, 1.7e308))

    def test_an_eps_too_small_for_the_dtype(self):
        with pytest.raises(ScalarError, match="adam: eps = 1e-46 at update 1 is 0 in the parameters' dtype"):
            self.ask(gs.adam(eps=1e-46))
        self.ask(gs.adam(eps=1.5e-45))
        self.ask(gs.adam(eps=1e-46), range_=(5e-324, 1.7e308))

    def test_a_bound_that_bounds_nothing(self):
        tx = gs.chain(gs.clip_by_value(1e20), gs.adam)
        with pytest.raises(ScalarError, match="clip_by_value: max_value = 1e\\+20 lets gradients through") as error:
            self.ask(tx)
        assert clear(error)
        self.ask(tx, range_=(5e-324, 1.7e308))
        self.ask(gs.chain(gs.clip_by_value(1e20), gs.clip_by_value(1.0, name="again"), gs.adam))

    @pytest.mark.parametrize(
        ("failing", "text"),
        [
            (lambda: 1 / 0, "division by zero"),
            (lambda: math.log(0.0), "math domain error|expected a positive input"),
            (lambda: math.exp(1000.0), "math range error"),
            (lambda: math.nan, "the scalar lr is nan"),
        ],
    )
    def test_scalars_that_fail(self, failing, text):
        def odd(theta, g, lr):
            return theta - lr * g, g

        made = rule(lambda t, lr=0.1: {"lr": failing() if t == 3 else lr})(odd)
        with pytest.raises(ScalarError) as error:
            self.ask(made(), t=3)
        assert any(x in str(error.value) for x in text.split("|"))
        assert "at update 3" in str(error.value)
        assert clear(error)

    def test_an_integer_beyond_all_floats(self):
        def odd(theta, g, lr):
            return theta - lr * g, g

        made = rule(lambda t, count, lr=0.1: {"lr": lr, "count": 10**400 if t == 3 else 1}, memory={"count": 0.0})(odd)
        with pytest.raises(ScalarError, match="odd: the scalar count is inf at update 3"):
            self.ask(made(), t=3)
        made = rule(lambda t, lr=0.1: {"lr": -(10**400) if t == 3 else lr})(odd)
        with pytest.raises(ScalarError, match="odd: the scalar lr is -inf at update 3"):
            self.ask(made(), t=3)


OF_EACH = sorted(
    name
    for name, x in registry(None).items()
    if x.over == "tensor" and x.module.startswith("gradstep.") and not x.takes
)


class TestNumbersOfEach:
    """Scalars of many rows at once are those of a call for each."""

    def stage(self, name):
        made = registry(None)[name]
        given = {key: 0.5 for key, x in made.defaults.items() if x is None}
        if made.kind == "rule":
            return made(**given)
        return chain(made(**given), gs.sgd) if made.changes_gradient else chain(gs.sgd, made(**given))

    @pytest.mark.parametrize("name", OF_EACH)
    def test_they_are_the_same(self, name):
        made = program(self.stage(name))
        rng = np.random.default_rng(0)
        (count,) = (len(x.measure) for x in made.rules if x.measure)
        memory = [made.memory() | made.memory_of_each() for _ in range(5)]
        keeps = bool(made.memory_of_each())
        cohorts, rows = ([(0, (0,) * len(made.parts))] * (5 if keeps else 1), range(5) if keeps else [0] * 5)
        for t in (1, 2, 7):
            sums = [*(10.0 ** rng.integers(-5, 6, (4, count)) * rng.random((4, count))).tolist(), [0.0] * count]
            values = [made.values(made.hyper, t - 1)]
            host = Host(made, values, rows, RANGE, cohorts)
            table, after = host.table(t, memory if keeps else memory[:1], lambda *_, sums=sums: sums)
            for k, (own, before) in enumerate(zip(sums, memory, strict=True)):
                one = Host(made, values, [0], RANGE)
                (row,), (new,) = one.table(t, [before], lambda *_, own=own: [own])
                assert table[k] == row
                assert after[k if keeps else 0] == new
            memory = after if keeps else memory

    @pytest.mark.parametrize(
        ("sums", "text"),
        [
            ([1.0, 2.0, 3.0], "odd: scalars\\(\\) failed at update 1 .*division by zero"),
            ([1.0, 3.0, math.nan], "odd: the sum over the gradients is not finite"),
            ([1.0, 2.0 - 4e-16, 3.0], "odd: the scalar lr is -2.*e\\+45 at update 1"),
            ([1.0, 4.0, 2.5], "odd: eps = -1.0 at update 1 is 0 in the parameters' dtype"),
        ],
    )
    def test_the_error_is_that_of_a_call(self, sums, text):
        def odd(theta, g, lr, eps):
            return theta - lr * (g + eps), g

        made = rule(
            lambda total, lr=1e30: {"lr": lr / (total - 2.0), "eps": abs(total - 2.5) - 1.0},
            reduce=lambda g: g,
            over="tensor",
        )(odd)
        host = Host(program(made()), [{"lr": 1e30}], [0] * 3, RANGE)
        with pytest.raises(gs.NonFiniteError, match=text) as error:
            host.table(1, [{}], lambda *_: [[x] for x in sums])
        assert clear(error)
