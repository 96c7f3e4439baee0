"""pytorch_optimizer over torch's tensors, through all tensors together where it can."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradstep.bench.contenders.base import UnavailableError, known, load
from gradstep.bench.contenders.torch_optim import TorchStep
from gradstep.bench.work import Work

# Gradstep's name -> its own. Arguments other than the learning rate are its defaults, but for decay, which is off, and
# SETTINGS, with which an optimizer does at each step what ours does.
RULES = {
    "adabelief": "AdaBelief",
    "adafactor": "AdaFactor",
    "adamax": "AdaMax",
    "adan": "Adan",
    "ademamix": "AdEMAMix",
    "adopt": "ADOPT",
    "came": "CAME",
    "dadapt_adam": "DAdaptAdam",
    "dadapt_sgd": "DAdaptSGD",
    "ftrl": "FTRL",
    "lamb": "Lamb",
    "laprop": "LaProp",
    "lars": "LARS",
    "lion": "Lion",
    "madgrad": "MADGRAD",
    "muon": "Muon",
    "prodigy": "Prodigy",
    "psgd_kron": "Kron",
    "radam": "RAdam",
    "schedule_free_adamw": "ScheduleFreeAdamW",
    "schedule_free_sgd": "ScheduleFreeSGD",
    "sgdw": "SGDW",
    "shampoo": "Shampoo",
    "signum": "SignSGD",
    "simplified_ademamix": "SimplifiedAdEMAMix",
    "sm3": "SM3",
    "soap": "SOAP",
    "stable_adamw": "StableAdamW",
    "yogi": "Yogi",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "Kron": {"precondition_frequency": 1},
    "SGDW": {"momentum": 0.9},
    "SM3": {"momentum": 0.9},
}


class PytorchOptimizer(TorchStep):
    """An optimizer of pytorch_optimizer."""

    rules: Mapping[str, str] = RULES

    def make(self, work: Work) -> Any:
        """Make the library's optimizer, with ``foreach`` where it has that."""
        if work.chain:
            raise UnavailableError("pytorch_optimizer neither clips nor averages")
        name = known(self.rules, work, "pytorch_optimizer")
        made = getattr(load("pytorch_optimizer"), name)
        has = inspect.signature(made).parameters
        settings = {"weight_decay": 0.0, "foreach": True, "lr": work.hyper["lr"]}
        params: Any = [{"params": self.params, "use_muon": True}] if name == "Muon" else self.params
        made = made(params, **{key: x for key, x in settings.items() if key in has}, **SETTINGS.get(name, {}))
        if hasattr(made, "train"):
            made.train()  # schedule-free methods have two modes
        return made


class ScalableShampoo(PytorchOptimizer):
    """The library's other Shampoo, in blocks and with a step grafted from another rule."""

    rules = MappingProxyType({"shampoo": "ScalableShampoo"})
