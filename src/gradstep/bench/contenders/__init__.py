"""The contenders: Gradstep, its peers, and the loop by hand. One small class each, all with the same few methods."""

from collections.abc import Mapping
from functools import partial

from gradstep.bench.contenders.base import Arrays, Contender, Kind, UnavailableError
from gradstep.bench.contenders.by_hand import ByHand
from gradstep.bench.contenders.keras_apply import KerasApply
from gradstep.bench.contenders.on_device import GradstepOnDevice, GuestOnDevice, StreamsOnDevice
from gradstep.bench.contenders.optax_jit import OptaxJit
from gradstep.bench.contenders.ours import GradstepContender, Streams
from gradstep.bench.contenders.pytorch_optimizer import PytorchOptimizer, ScalableShampoo
from gradstep.bench.contenders.torch_optim import Float32Muon, TorchOnDevice, TorchOptim
from gradstep.bench.contenders.torch_others import DeepSpeedAdam, EightBitAdam
from gradstep.naming import unknown

__all__ = [
    "KINDS",
    "ON_DEVICE",
    "OURS",
    "STREAMS",
    "STREAMS_ON_DEVICE",
    "Arrays",
    "Contender",
    "Kind",
    "UnavailableError",
    "choose",
]

OURS = "gradstep"
STREAMS = Kind("streams", Streams, "numpy")
STREAMS_ON_DEVICE = Kind(STREAMS.name, StreamsOnDevice, "gradstep")
KINDS = {
    kind.name: kind
    for kind in (
        Kind(OURS, GradstepContender, "numpy"),
        Kind("gradstep-unguarded", partial(GradstepContender, on_nonfinite="ignore"), "numpy"),
        Kind("gradstep-1", partial(GradstepContender, threads=1), "numpy"),
        Kind("gradstep-bfloat16-state", partial(GradstepContender, state_dtype="bfloat16"), "numpy"),
        Kind("gradstep-8bit-state", partial(GradstepContender, state_dtype="8bit"), "numpy"),
        Kind("torch-single", partial(TorchOptim, way="single"), "torch", spare=2),
        Kind("torch-foreach", partial(TorchOptim, way="foreach"), "torch", spare=3),
        Kind("torch-fused", partial(TorchOptim, way="fused"), "torch"),
        Kind("torch-fused-1", partial(TorchOptim, way="fused", threads=1), "torch"),
        Kind("torch-float32", Float32Muon, "torch", spare=2, rules=("muon",)),
        Kind("optax", OptaxJit, "jax", spare=3),
        Kind("keras", KerasApply, "torch", spare=4),
        Kind("pytorch_optimizer", PytorchOptimizer, "torch", spare=3),
        Kind("pytorch_optimizer-scalable", ScalableShampoo, "torch", spare=3, rules=("shampoo",)),
        Kind("deepspeed", DeepSpeedAdam, "torch"),
        Kind("bitsandbytes-8bit", EightBitAdam, "torch"),
        Kind("numpy", ByHand, "numpy", spare=4),
    )
}
ON_DEVICE = {
    kind.name: kind
    for kind in (
        Kind(OURS, GradstepOnDevice, "gradstep"),
        Kind("gradstep-unguarded", partial(GradstepOnDevice, on_nonfinite="ignore"), "gradstep"),
        Kind("gradstep-guest", GuestOnDevice, "torch"),
        Kind("gradstep-bfloat16-state", partial(GradstepOnDevice, state_dtype="bfloat16"), "gradstep"),
        Kind("gradstep-8bit-state", partial(GradstepOnDevice, state_dtype="8bit"), "gradstep"),
        Kind("torch-foreach", partial(TorchOnDevice, way="foreach"), "torch", spare=3),
        Kind("torch-fused", partial(TorchOnDevice, way="fused"), "torch"),
    )
}


def choose(names: str | None, known: Mapping[str, Kind] = KINDS) -> list[Kind]:
    """The contenders in a comma-separated text: each by its name, or all of a library by the library's.

    Gradstep is always among them, first. ``None``: all that are ``known``.

    Raises
    ------
    GradstepValueError
        For a name that nobody has.
    """
    chosen = {OURS}
    for name in known if names is None else (part.strip() for part in names.split(",")):
        found = {name} if name in known and name != OURS else {k.name for k in known.values() if k.library == name}
        if not found:
            raise unknown("unknown contender", name, {*known, *(k.library for k in known.values())})
        chosen |= found
    return [kind for name, kind in known.items() if name in chosen]
