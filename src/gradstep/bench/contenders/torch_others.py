"""Adam by other libraries over torch's tensors: DeepSpeed's for the CPU, bitsandbytes' with 8-bit state."""

from typing import Any

from gradstep.bench.contenders.base import UnavailableError, load
from gradstep.bench.contenders.torch_optim import TorchStep
from gradstep.bench.work import Work


class DeepSpeedAdam(TorchStep):
    """``DeepSpeedCPUAdam``: written for states that are offloaded to the CPU; compiled when it is first made."""

    def make(self, work: Work) -> Any:
        """Make the library's optimizer."""
        refuse(work, "DeepSpeedCPUAdam", "adam", "adamw")
        if work.dtype == "float64":
            raise UnavailableError("DeepSpeedCPUAdam has no float64")
        h, made = work.hyper, load("deepspeed.ops.adam").DeepSpeedCPUAdam
        settings = {"lr": h["lr"], "betas": (h["beta1"], h["beta2"]), "eps": h["eps"]}
        return made(self.params, **settings, weight_decay=h.get("weight_decay", 0.0), adamw_mode=work.rule == "adamw")


class EightBitAdam(TorchStep):
    """``bitsandbytes.optim.Adam8bit``: tensors below 4096 elements keep their state in float32."""

    def make(self, work: Work) -> Any:
        """Make the library's optimizer."""
        refuse(work, "bitsandbytes", "adam", "adamw")
        if work.dtype == "float64":
            raise UnavailableError("bitsandbytes has no float64")
        h, made = work.hyper, getattr(load("bitsandbytes").optim, {"adam": "Adam8bit", "adamw": "AdamW8bit"}[work.rule])
        settings = {"lr": h["lr"], "betas": (h["beta1"], h["beta2"]), "eps": h["eps"]}
        return made(self.params, **settings, weight_decay=h.get("weight_decay", 0.0))


def refuse(work: Work, who: str, *rules: str) -> None:
    """Say that a library does not do this work, if so."""
    if work.chain:
        raise UnavailableError(f"{who} neither clips nor averages")
    if work.rule not in rules:
        raise UnavailableError(f"{who} has no {work.rule}")
