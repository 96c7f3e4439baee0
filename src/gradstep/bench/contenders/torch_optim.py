"""torch.optim, in each way that it has of going through the tensors."""

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from numpy.typing import NDArray

from gradstep.bench.contenders.base import Arrays, Contender, UnavailableError, known, load
from gradstep.bench.work import DECAY, MAX_NORM, Work

# Gradstep's name -> torch's, its argument -> ours, and fixed arguments.
_ADAM = {"lr": "lr", "betas": ("beta1", "beta2"), "eps": "eps"}
RULES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": "lr"}, {}),
    "momentum": ("SGD", {"lr": "lr", "momentum": "momentum"}, {}),
    "nesterov": ("SGD", {"lr": "lr", "momentum": "momentum"}, {"nesterov": True}),
    "adagrad": ("Adagrad", {"lr": "lr", "eps": "eps"}, {}),
    "rmsprop": ("RMSprop", {"lr": "lr", "alpha": "rho", "eps": "eps"}, {}),
    "adadelta": ("Adadelta", {"lr": "lr", "rho": "rho", "eps": "eps"}, {}),
    "adam": ("Adam", _ADAM, {}),
    "adamw": ("AdamW", {**_ADAM, "weight_decay": "weight_decay"}, {}),
    "adamax": ("Adamax", {"lr": "lr", "betas": ("beta1", "beta2")}, {}),
    "amsgrad": ("Adam", {"lr": "lr", "betas": ("beta1", "beta2")}, {"amsgrad": True}),
    "nadam": ("NAdam", {**_ADAM, "momentum_decay": "momentum_decay"}, {}),
    "radam": ("RAdam", _ADAM, {}),
    "asgd": ("ASGD", {key: key for key in ("lr", "lambd", "alpha", "t0")}, {}),
    "rprop": ("Rprop", {"lr": "lr"}, {}),
    "adafactor": ("Adafactor", {"lr": "lr"}, {}),
    "muon": ("Muon", {"lr": "lr", "momentum": "momentum", "weight_decay": "weight_decay"}, {}),
}


class TorchStep(Contender):
    """Parameters and gradients as torch's tensors; ``p.grad`` is set before the clock runs, ``opt.step()`` is timed.

    Parameters
    ----------
    work, arrays
        See :class:`~gradstep.bench.contenders.base.Kind`.
    threads
        Of torch, when the work does not say; None: as many as torch takes by itself.

    Attributes
    ----------
    device
        Where the tensors lie.
    """

    device = "cpu"

    def __init__(self, work: Work, arrays: Arrays, threads: int | None = None) -> None:
        self.torch = load("torch")
        self.dtype = getattr(self.torch, work.dtype)
        self.threads = threads or work.threads or default_threads(self.torch)
        self.params = [self.torch.nn.Parameter(x) for x in self.gradients(arrays)]
        self.average: list[Any] = []
        self.begin()
        self.optimizer = self.make(work)
        self.step = lambda _: self.optimizer.step()

    def make(self, work: Work) -> Any:
        """The optimizer."""
        raise NotImplementedError

    def gradients(self, arrays: Arrays) -> list[Any]:
        """Tensors of torch's own memory."""
        return [self.torch.from_numpy(x).to(device=self.device, dtype=self.dtype, copy=True) for x in arrays]

    def begin(self) -> None:
        """Torch's number of threads is the process's."""
        self.torch.set_num_threads(self.threads)

    def attach(self, grads: list[Any]) -> None:
        """Attach gradients as ``backward()`` does."""
        for p, g in zip(self.params, grads, strict=True):
            p.grad = g

    def parameters(self) -> list[NDArray[Any]]:
        """Return the parameters as NumPy arrays."""
        found = [p.detach().cpu() for p in self.params]
        return [x.float().numpy() if x.dtype.itemsize < 4 else x.numpy() for x in found]

    def held(self) -> tuple[int, int]:
        """Return the bytes of parameters and of arrays beside them."""
        kept = _tensors(self.torch, self.optimizer.state)
        return sum(p.nbytes for p in self.params), sum(x.nbytes for x in [*kept, *self.average])


class TorchOptim(TorchStep):
    """An optimizer of ``torch.optim``.

    Parameters
    ----------
    work, arrays, threads
        See :class:`TorchStep`.
    way
        ``"single"``, ``"foreach"`` or ``"fused"``; Muon, which has only the
        first, goes through them so for ``"foreach"`` too.
    """

    def __init__(self, work: Work, arrays: Arrays, way: str, threads: int | None = None) -> None:
        self.way = way
        super().__init__(work, arrays, threads)
        if work.chain:
            self.average = self.gradients(arrays)
            self.step = lambda _: self.whole_phase()

    def make(self, work: Work) -> Any:
        """The optimizer with this way of going through the tensors switched on and the others off."""
        name, arguments, fixed = known(RULES, work, "torch")
        made = getattr(self.torch.optim, name)
        ways = {key: key == self.way for key in ("foreach", "fused") if key in inspect.signature(made).parameters}
        if self.way == "fused" and "fused" not in ways:
            raise UnavailableError(f"torch has no fused {name}")
        h = work.hyper
        values = {key: tuple(h[k] for k in x) if isinstance(x, tuple) else h[x] for key, x in arguments.items()}
        return made(self.params, **values, **fixed, **ways)

    def whole_phase(self) -> None:
        """Clip, step, average."""
        torch, foreach = self.torch, self.way != "single"
        torch.nn.utils.clip_grad_norm_(self.params, MAX_NORM, foreach=foreach)
        self.optimizer.step()
        with torch.no_grad():
            if foreach:
                torch._foreach_lerp_(self.average, self.params, 1 - DECAY)
            else:
                for average, p in zip(self.average, self.params, strict=True):
                    average.lerp_(p, 1 - DECAY)


class TorchOnDevice(TorchOptim):
    """An optimizer of ``torch.optim`` over tensors on a CUDA device."""

    device = "cuda"


class Float32Muon(TorchOptim):
    """``torch.optim.Muon`` without its rounding to bfloat16 before the products, as Gradstep's and optax's have it."""

    def __init__(self, work: Work, arrays: Arrays) -> None:
        super().__init__(work, arrays, way="single")
        _muon = load("torch.optim._muon")
        theirs = _muon._zeropower_via_newtonschulz
        names = tuple("clone" if name == "bfloat16" else name for name in theirs.__code__.co_names)
        if names == theirs.__code__.co_names:
            raise UnavailableError("this torch's Muon has no bfloat16 to leave out")
        inner = FunctionType(theirs.__code__.replace(co_names=names), vars(_muon), argdefs=theirs.__defaults__)

        def step(_: Any) -> None:
            _muon._zeropower_via_newtonschulz = inner
            try:
                self.optimizer.step()
            finally:
                _muon._zeropower_via_newtonschulz = theirs

        self.step = step


def _tensors(torch: Any, kept: Any) -> list[Any]:
    """The tensors of an optimizer's state, at any depth."""
    if torch.is_tensor(kept):
        return [kept]
    inner = kept.values() if isinstance(kept, Mapping) else kept if isinstance(kept, list | tuple) else ()
    return [x for own in inner for x in _tensors(torch, own)]


_DEFAULT: list[int] = []


def default_threads(torch: Any) -> int:
    """Return the number of threads that torch took when it was first asked."""
    if not _DEFAULT:
        _DEFAULT.append(torch.get_num_threads())
    return _DEFAULT[0]
