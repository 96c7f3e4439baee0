"""The guest in torch beside torch's own optimizers, where a model or its state changes around them."""

import copy
import itertools
import warnings

import pytest

import gradstep as gs

torch = pytest.importorskip("torch")
from gradstep.interop.torch import Optimizer  # noqa: E402 - needs torch

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # of torch's own
SAME = {"rtol": 0.0, "atol": 1e-12}
KINDS = ("torch", "guest")


def make(kind, params, name="Adam", **hyper):
    return (
        getattr(torch.optim, name)(params, **hyper) if kind == "torch" else Optimizer(params, f"torch.{name}", **hyper)
    )


def parameter(*values, dtype=torch.float64):
    return torch.nn.Parameter(torch.tensor(values, dtype=dtype))


def steps(opt, params, n, first=0):
    for k in range(first, first + n):
        for j, p in enumerate(params):
            p.grad = torch.full_like(p, 1.0 + k + 0.5 * j)
        opt.step()


def both(run):
    """Return what a function of the kind of optimizer gives for torch's own and for a guest."""
    return [run(kind) for kind in KINDS]


class TestCounts:
    """Numbers of the state that are written in place."""

    @pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad"])
    def test_a_state_that_is_zeroed_begins_anew(self, name):
        def run(kind):
            p = parameter(1.0, -2.0)
            opt = make(kind, [p], name, lr=0.1)
            steps(opt, [p], 5)
            for x in opt.state[p].values():
                x.fill_(1.0 if name == "NAdam" and x.ndim == 0 and float(x) < 1 else 0.0)  # a product begins at 1
            steps(opt, [p], 3)
            return p, int(opt.state[p]["step"])

        (theirs, count), (ours, own) = both(run)
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-7)
        assert own == count == 3

    @pytest.mark.parametrize("how", ["in place", "another tensor", "a number"])
    def test_a_count_that_is_written_is_the_next_updates(self, how):
        def run(kind):
            p, q = parameter(1.0), parameter(1.0)
            opt = make(kind, [p, q], lr=0.1)
            steps(opt, [p, q], 2)
            if how == "in place":
                opt.state[p]["step"].fill_(40)
            else:
                opt.state[p]["step"] = torch.tensor(40.0) if how == "another tensor" or kind == "torch" else 40
            steps(opt, [p, q], 3)
            return [p, q], [int(opt.state[x]["step"]) for x in (p, q)]

        (theirs, counts), (ours, own) = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)
        assert own == counts == [43, 5]

    def test_a_checkpoint_that_is_read_into_the_state(self, tmp_path):
        dcp = pytest.importorskip("torch.distributed.checkpoint")

        def run(kind):
            p, q = parameter(0.0, 1.0), parameter(9.0, 9.0)
            opt, other = make(kind, [p], lr=0.1), make(kind, [q], lr=0.1)
            steps(opt, [p], 20)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dcp.save({"p": p.detach(), "o": opt.state_dict()}, checkpoint_id=tmp_path / kind, no_dist=True)
                steps(other, [q], 1)
                dcp.load({"p": q.detach(), "o": other.state_dict()}, checkpoint_id=tmp_path / kind, no_dist=True)
            steps(opt, [p], 3, 20)
            steps(other, [q], 3, 20)
            assert torch.equal(p, q)
            return int(other.state[q]["step"])

        assert both(run) == [23, 23]

    @pytest.mark.parametrize(("count", "said"), [(-1, r"is -1\.0, and must be a number"), (2.5, r"is torch\.float32")])
    def test_what_is_no_count_is_refused(self, count, said):
        p = parameter(1.0)
        opt = Optimizer([p], "adam")
        steps(opt, [p], 2)
        before = p.item()
        if count == -1:
            opt.state[p]["step"].fill_(count)
        else:
            opt.state[p]["step"] = torch.tensor(count)
        with pytest.raises(gs.GradstepValueError, match=rf"state of '0\.0': step {said}"):
            steps(opt, [p], 1)
        assert p.item() == before


class TestStateDicts:
    @pytest.mark.parametrize("name", gs.conventions.torch.__all__)
    def test_without_a_flag_it_is_at_its_default(self, name):
        if name in ("SparseAdam", "Muon"):  # Muon takes matrices alone, and this model has none
            return
        for flag in (
            "foreach",
            "maximize",
            "capturable",
            "fused",
            "differentiable",
            "decoupled_weight_decay",
            "amsgrad",
        ):
            p = parameter(1.0)
            opt = make("guest", [p], name, lr=0.1)
            steps(opt, [p], 2)
            kept = copy.deepcopy(opt.state_dict())
            kept["param_groups"][0].pop(flag, None)
            opt.load_state_dict(kept)
            assert opt.param_groups[0].get(flag) in (None, False, name == "AdamW")
            steps(opt, [p], 1)
        kept["param_groups"][0].pop("lr")
        with pytest.raises(gs.GradstepValueError, match="group 0 has no lr"):
            opt.load_state_dict(kept)

    @pytest.mark.parametrize(("first", "second"), [("Adam", "AdamW"), ("AdamW", "Adam")])
    def test_adam_and_adamw_take_each_others(self, first, second):
        def run(kind):
            p, q = parameter(1.0, -2.0), parameter(1.0, -2.0)
            opt, other = make(kind, [p], first, lr=0.1, weight_decay=0.3), make(kind, [q], second, lr=0.5)
            steps(opt, [p], 3)
            with torch.no_grad():
                q.copy_(p)
            other.load_state_dict(opt.state_dict())
            steps(other, [q], 3)
            return q, {key: x for key, x in other.param_groups[0].items() if key != "params"}

        (theirs, group), (ours, own) = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)
        assert own == group

    RULES = (
        "momentum",
        "nesterov",
        "rmsprop",
        "adam",
        "radam",
        "adagrad",
        "torch.RMSprop",
        "torch.RAdam",
        "torch.Adam",
    )

    @pytest.mark.parametrize(("rule", "other"), list(itertools.permutations(RULES, 2)))
    def test_that_of_another_rule_is_refused(self, rule, other):
        p = parameter(1.0)
        opt, stranger = Optimizer([p], rule, lr=0.1), Optimizer([p], other, lr=0.1)
        for x in (opt, stranger):
            steps(x, [p], 1)
        before = copy.deepcopy(opt.state_dict())
        with pytest.raises(gs.GradstepValueError, match=f"the state is one of {other}, and this optimizer is {rule}"):
            opt.load_state_dict(stranger.state_dict())
        after = opt.state_dict()
        assert after["param_groups"] == before["param_groups"]
        assert {k: float(x.sum()) for k, x in after["state"][0].items()} == {
            k: float(x.sum()) for k, x in before["state"][0].items()
        }

    def test_that_of_another_rule_which_does_not_say_so_is_known_by_its_groups(self):
        p = parameter(1.0)
        kept = Optimizer([p], "torch.RMSprop").state_dict()
        del kept["rule"]  # as torch.distributed.checkpoint leaves it out
        with pytest.raises(gs.GradstepValueError, match="group 0: alpha is no hyperparameter of 'momentum'"):
            Optimizer([p], "momentum").load_state_dict(kept)


class TestSwitches:
    """Values of a group that are switches in a constructor, turned in mid-run."""

    @pytest.mark.parametrize(
        ("name", "hyper", "changes"),
        [
            ("SGD", {}, [("momentum", 0.9)]),
            ("SGD", {"dampening": 0.5}, [("momentum", 0.9)]),
            ("SGD", {"momentum": 0.9}, [("momentum", 0.0)]),
            ("SGD", {"momentum": 0.9, "dampening": 0.5}, [("momentum", 0.0), ("momentum", 0.8)]),
            ("SGD", {"momentum": 0.9}, [("nesterov", True), ("nesterov", False)]),
            ("SGD", {}, [("momentum", 0.9), ("maximize", True)]),
            ("RMSprop", {"momentum": 0.5}, [("momentum", 0.0), ("momentum", 0.9)]),
            ("Adam", {"amsgrad": True}, [("amsgrad", False), ("amsgrad", True)]),
            ("Adam", {"weight_decay": 0.1}, [("decoupled_weight_decay", True)]),
        ],
    )
    @pytest.mark.parametrize("reload", [False, True])
    def test_like_torch(self, name, hyper, changes, reload):
        def run(kind):
            p, q = parameter(1.0, -2.0), parameter(0.5)
            opt = make(kind, [p, q], name, lr=0.01, **hyper)
            steps(opt, [p], 1)  # q has no gradient yet
            steps(opt, [p, q], 2)
            for key, value in changes:
                opt.param_groups[0][key] = value
                steps(opt, [p, q], 2)
                if reload:
                    kept = copy.deepcopy(opt.state_dict())
                    opt = make(kind, [p, q], name, lr=0.5)
                    opt.load_state_dict(kept)
            return p, q

        theirs, ours = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)

    def test_what_torch_does_not_begin_begins_here(self):
        p = parameter(1.0)
        opt = Optimizer([p], "torch.RMSprop", lr=0.01)
        steps(opt, [p], 2)
        v = opt.state[p]["v"].clone()
        opt.param_groups[0].update(momentum=0.9, centered=True)
        steps(opt, [p], 1)
        assert {key.rpartition(".")[2] for key in opt.state[p]} == {"v", "mean", "b", "step"}
        assert opt.state[p]["scale_by_centered_rms.v"].item() == pytest.approx(0.99 * v.item() + 0.01)

    def test_a_state_that_misses_something_is_refused_all_the_same(self):
        p = parameter(1.0)
        opt = Optimizer([p], "torch.Adam", lr=0.1)
        steps(opt, [p], 1)
        del opt.state[p]["v"]
        with pytest.raises(gs.GradstepValueError, match=r"state of '0\.0' is m, step; this optimizer keeps m, step, v"):
            steps(opt, [p], 1)

    @pytest.mark.parametrize("name", ["SGD", "RMSprop"])
    def test_a_scheduler_that_cycles_the_momentum(self, name):
        def run(kind):
            p = parameter(1.0, -2.0)
            opt = make(kind, [p], name, lr=0.5)
            scheduler = torch.optim.lr_scheduler.CyclicLR(opt, 0.01, 0.03, step_size_up=2, base_momentum=0.0)
            for k in range(8):
                steps(opt, [p], 1, k)
                scheduler.step()
            return p

        theirs, ours = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)

    def test_values_are_looked_at_when_there_is_something_to_step(self):
        p = parameter(1.0)
        opt = Optimizer([p], "torch.SGD", lr=0.1)
        opt.param_groups[0]["momentum"] = 5.0
        opt.step()
        p.grad = torch.ones_like(p)
        with pytest.raises(gs.GradstepValueError, match="momentum must be finite and >= 0 and < 1"):
            opt.step()

    @pytest.mark.parametrize("pair", [[0.5, 0.9], (torch.tensor(0.5), torch.tensor(0.9))])
    def test_a_pair_that_is_changed_in_place(self, pair):
        p, q = parameter(1.0), parameter(1.0)
        opt, other = Optimizer([p], "torch.Adam", betas=pair), Optimizer([q], "torch.Adam", betas=(0.5, 0.9))
        steps(opt, [p], 2)
        steps(other, [q], 2)
        if isinstance(pair, list):
            opt.param_groups[0]["betas"][0] = 0.25
        else:
            opt.param_groups[0]["betas"][0].fill_(0.25)
        other.param_groups[0]["betas"] = (0.25, 0.9)
        steps(opt, [p], 2)
        steps(other, [q], 2)
        torch.testing.assert_close(p, q, rtol=0.0, atol=1e-7)


class TestRates:
    @pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
    @pytest.mark.parametrize("rule", ["torch.Adam", "adam", "keras.Adam"])
    def test_a_tensor_of_one_element(self, rule, shape):
        p, q = parameter(1.0), parameter(1.0)
        rate = gs.conventions.rate_name(rule)
        opt = Optimizer([p], rule, **{rate: torch.full(shape, 0.5)})
        other = Optimizer([q], rule, **{rate: 0.5})
        for lr in (0.5, 0.25):
            opt.param_groups[0]["lr"].fill_(lr)
            other.param_groups[0]["lr"] = lr
            steps(opt, [p], 1)
            steps(other, [q], 1)
        assert p.item() == q.item()

    def test_a_tensor_of_several_is_refused(self):
        with pytest.raises(gs.GradstepValueError, match="the learning rate is Tensor of 2 elements"):
            Optimizer([parameter(1.0)], "torch.Adam", lr=torch.ones(2))


class TestModels:
    """A model that becomes what it is after its optimizer has been made."""

    @pytest.mark.parametrize("before", [0, 3])
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
    def test_another_dtype(self, before, dtype):
        net = torch.nn.Linear(3, 2)
        opt = Optimizer(net.parameters(), "torch.Adam", lr=0.1)
        steps(opt, [*net.parameters()], before)
        net.to(dtype)
        other = copy.deepcopy(net)
        peer = Optimizer(other.parameters(), "torch.Adam", lr=0.1)
        if before:
            kept = opt.state[net.weight]
            wide = torch.float64 if dtype == torch.float64 else torch.float32
            state = {k: (x.to(wide) if x.ndim else x).clone() for k, x in kept.items()}
            bias = {k: (x.to(wide) if x.ndim else x).clone() for k, x in opt.state[net.bias].items()}
            peer.state[other.weight], peer.state[other.bias] = state, bias
        for own, made in ((net, opt), (other, peer)):
            steps(made, [*own.parameters()], 2, before)
        assert torch.equal(net.weight, other.weight)
        assert torch.equal(net.bias, other.bias)
        assert int(opt.state[net.weight]["step"]) == before + 2

    def test_another_shape_begins_anew_where_no_update_was_made(self):
        p = parameter(1.0, 2.0)
        opt = Optimizer([p], "torch.Adam", lr=0.1)
        p.data = torch.ones(3, dtype=torch.float64)
        steps(opt, [p], 1)
        assert opt.state[p]["m"].shape == (3,)
        p.data = torch.ones(4, dtype=torch.float64)
        with pytest.raises(gs.GradstepValueError, match=r"m is torch\.float64\[3\], and must be torch\.float64\[4\]"):
            steps(opt, [p], 1)

    def test_an_average_begins_at_the_parameters_of_the_first_step(self):
        p = parameter(0.0, 0.0)
        opt = Optimizer([p], gs.chain(gs.sgd(lr=0.0), gs.ema(decay=0.5)))
        with torch.no_grad():
            p.fill_(8.0)  # as weights are loaded
        steps(opt, [p], 2)
        assert opt.state[p]["average"].tolist() == [8.0, 8.0]

    def test_lazy_modules(self):
        def run(kind):
            torch.manual_seed(0)
            net = torch.nn.Sequential(torch.nn.LazyLinear(3), torch.nn.Linear(3, 1)).double()
            opt = make(kind, net.parameters(), lr=0.1)
            kept = opt.state_dict()
            x = torch.ones(2, 4, dtype=torch.float64)
            for _ in range(3):
                opt.zero_grad()
                net(x).square().sum().backward()
                opt.step()
            assert len(kept["param_groups"]) == 1
            return [*net.parameters()]

        torch.manual_seed(0)
        theirs, ours = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)

    def test_the_meta_device(self):
        with torch.device("meta"):
            net = torch.nn.Linear(3, 2)
        opt = Optimizer(net.parameters(), "torch.Adam", lr=0.1)
        assert not opt.state
        net.weight.grad = torch.ones_like(net.weight)
        with pytest.raises(gs.GradstepTypeError, match=r"parameter '0\.0' is on the meta device .*to_empty"):
            opt.step()
        net.weight.grad = None
        torch.__future__.set_swap_module_params_on_conversion(True)  # else the module gets new parameters
        try:
            net.to_empty(device="cpu")
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
        net.reset_parameters()
        net(torch.ones(1, 3)).sum().backward()
        opt.step()
        assert int(opt.state[net.weight]["step"]) == 1

    def test_a_step_of_nothing_on_the_meta_device_is_told(self):
        with torch.device("meta"):
            net = torch.nn.Linear(3, 2)
        opt = Optimizer(net.parameters(), "torch.Adam", lr=0.1)
        net.to_empty(device="cpu")
        net.reset_parameters()
        net(torch.ones(1, 3)).sum().backward()
        with pytest.warns(UserWarning, match="on the meta device, .*has new parameters"):
            opt.step()
        opt.step()  # once

    def test_other_tensor_subclasses_are_refused(self):
        class Mine(torch.Tensor):
            @classmethod
            def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
                return func(*args, **(kwargs or {}))

        p = torch.Tensor._make_subclass(Mine, torch.ones(2), True)
        with pytest.raises(gs.GradstepTypeError, match=r"parameter '0\.0' is a Mine, a tensor subclass"):
            Optimizer([p], "adam")
        with pytest.raises(gs.GradstepValueError, match=r"parameter '0\.0' is sparse"):
            Optimizer([torch.ones(2).to_sparse().requires_grad_()], "adam")

    @pytest.mark.parametrize("name", ["Adam", "SGD", "NAdam"])
    def test_the_same_parameter_twice(self, name):
        def run(kind):
            p, q = parameter(1.0, 2.0), parameter(3.0)
            with pytest.warns(UserWarning, match="duplicate parameters"):
                opt = make(kind, [p, q, p], name, lr=0.1, foreach=False)
            steps(opt, [p, q], 3)
            with pytest.warns(UserWarning, match="duplicate parameters"):
                other = make(kind, [p, q, p], name, lr=0.1, foreach=False)
            other.load_state_dict(copy.deepcopy(opt.state_dict()))
            steps(other, [p, q], 2)
            return [p, q], [int(other.state[x].get("step", (6, 3)[x is q])) for x in (p, q)]

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.*foreach= is ignored")
            (theirs, counts), (ours, own) = both(run)
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-7 if name == "NAdam" else 1e-12)
        assert own == ([10, 5] if name == "SGD" else counts)

    def test_twice_in_two_groups_is_refused_by_torch(self):
        p = parameter(1.0)
        with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
            Optimizer([{"params": [p]}, {"params": [p]}], "adam")


class TestSparse:
    """Gradients of which only some rows are there."""

    ROWS = ([1, 3, 1], [0], [5, 3], [], [1, 0, 5])

    def run(self, kind, name, hyper, dtype=torch.float64, width=4):
        net = torch.nn.Embedding(6, width, sparse=True, dtype=dtype)
        net.weight.data = torch.arange(-3.0 * width, 3.0 * width).reshape(6, width).to(dtype) / 8
        opt = make(kind, net.parameters(), name, **hyper)
        for rows in self.ROWS:
            opt.zero_grad()
            weights = torch.arange(float(width), dtype=dtype) * (4 / width)
            (net(torch.tensor(rows, dtype=torch.long)) * weights).square().sum().backward()
            opt.step()
        return net.weight, opt

    @pytest.mark.parametrize(
        ("name", "hyper"),
        [
            ("SGD", {"lr": 0.1}),
            ("SGD", {"lr": 0.1, "maximize": True}),
            ("SGD", {"lr": 0.1, "momentum": 0.9}),
            ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
            ("SparseAdam", {"lr": 0.1}),
            ("SparseAdam", {"lr": 0.1, "betas": (0.5, 0.9), "maximize": True}),
        ],
    )
    @pytest.mark.parametrize("width", [4, 18])
    def test_like_torch(self, name, hyper, width):
        (theirs, _), (ours, _) = both(lambda kind: self.run(kind, name, hyper, width=width))
        torch.testing.assert_close(ours, theirs, **SAME)

    def test_rows_are_handed_to_the_step(self, monkeypatch):
        """Bits are those of ``gs.rows``, and the guest's own gathering has nothing to do."""
        monkeypatch.delattr("gradstep.interop.torch.rows.Rows.__init__")
        generator = torch.Generator().manual_seed(3)
        for width in (4, 18):
            weight = torch.randn(6, width, generator=generator).requires_grad_()
            table = weight.detach().clone().numpy()
            guest, opt = Optimizer([weight], "adagrad", lr=0.1), gs.Optimizer(table, "adagrad", lr=0.1)
            for rows in self.ROWS:
                values = torch.randn(len(rows), width, generator=generator)
                index = torch.tensor([rows], dtype=torch.long)
                weight.grad = torch.sparse_coo_tensor(index, values, (6, width))
                guest.step()
                opt.step(gs.rows(rows, values.numpy()))
                assert weight.detach().numpy().tobytes() == table.tobytes()

    def test_coordinates_that_are_no_rows(self):
        def run(kind):
            p = parameter(*range(12)).detach().reshape(3, 4).requires_grad_()
            opt = make(kind, [p], "SGD", lr=0.1)
            for _ in range(2):
                p.grad = torch.sparse_coo_tensor([[0, 2, 0], [1, 3, 1]], torch.ones(3, dtype=p.dtype), (3, 4))
                opt.step()
            return p

        theirs, ours = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_other_dtypes(self, dtype):
        weight, opt = self.run("guest", "SparseAdam", {"lr": 0.1}, dtype)
        wide, _ = self.run("guest", "SparseAdam", {"lr": 0.1}, torch.float32)
        torch.testing.assert_close(weight.float(), wide, rtol=0.0, atol=0.05 if dtype == torch.bfloat16 else 1e-6)
        assert opt.state[weight]["m"].dtype == torch.float32

    def test_only_rows_are_written(self):
        weight = torch.nn.Embedding(6, 4, sparse=True).weight
        opt = Optimizer([weight], "torch.SparseAdam", lr=0.1)
        weight.grad = torch.sparse_coo_tensor([[2, 4]], torch.ones(2, 4), (6, 4))
        before = weight.detach().clone()
        opt.step()
        assert (weight != before).any(1).tolist() == [False, False, True, False, True, False]
        assert (opt.state[weight]["m"] != 0).any(1).tolist() == [False, False, True, False, True, False]
        assert weight._version > 0

    def test_beside_dense_gradients(self):
        def run(kind):
            p, q = parameter(1.0, 2.0, 3.0), parameter(4.0)
            opt = make(kind, [p, q], "Adagrad", lr=0.1)
            for k in range(4):
                rows = torch.tensor([[k % 3]])
                p.grad = (
                    torch.sparse_coo_tensor(rows, torch.ones(1, dtype=p.dtype), (3,)) if k % 2 else torch.ones_like(p)
                )
                q.grad = torch.ones_like(q) if k != 2 else None
                opt.step()
            return p, q

        theirs, ours = both(run)
        torch.testing.assert_close(ours, theirs, **SAME)

    @pytest.mark.parametrize("policy", ["raise", "skip"])
    def test_all_or_nothing(self, policy):
        p, q = parameter(1.0, 2.0), parameter(3.0)
        opt = Optimizer([p, q], "torch.SGD", lr=0.1, on_nonfinite=policy)
        q.grad = torch.ones_like(q)
        p.grad = torch.sparse_coo_tensor([[1]], torch.tensor([float("nan")]).double(), (2,))
        if policy == "raise":
            with pytest.raises(gs.NonFiniteError, match=r"gradient '0\.0' is not finite"):
                opt.step()
        else:
            opt.step()
            assert opt.skipped == 1
        assert (p.tolist(), q.tolist()) == ([1.0, 2.0], [3.0])

    @pytest.mark.parametrize(
        ("rule", "hyper"),
        [
            ("torch.Adam", {}),
            ("adam", {}),
            ("torch.SGD", {"weight_decay": 0.1}),
            ("torch.Adagrad", {"weight_decay": 0.1}),
        ],
    )
    def test_a_rule_that_moves_all_rows_refuses(self, rule, hyper):
        p = parameter(1.0, 2.0)
        opt = Optimizer([p], rule, **hyper)
        p.grad = torch.sparse_coo_tensor([[1]], torch.ones(1).double(), (2,))
        with pytest.raises(gs.GradstepTypeError, match=r"gradient '0\.0' is sparse, .*moves all rows; .*to_dense"):
            opt.step()
        assert p.tolist() == [1.0, 2.0]

    def test_dense_gradients_are_not_for_rows_alone(self):
        p = parameter(1.0, 2.0)
        opt = Optimizer([p], "torch.SparseAdam")
        p.grad = torch.ones_like(p)
        with pytest.raises(gs.GradstepTypeError, match=r"'0\.0' is dense; torch\.SparseAdam takes sparse"):
            opt.step()
