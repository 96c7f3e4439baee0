"""pytorch_optimizer over torch's tensors, through all tensors together where it can."""

import inspect
from typing import Any

from gradstep.bench.contenders.base import UnavailableError, known, load
from gradstep.bench.contenders.torch_optim import TorchStep
from gradstep.bench.work import Work

# Gradstep's name -> its own. Arguments other than the learning rate are its defaults, but for decay, which is off.
RULES = {
    "adabelief": "AdaBelief",
    "adamax": "AdaMax",
    "adan": "Adan",
    "ademamix": "AdEMAMix",
    "adopt": "ADOPT",
    "dadapt_adam": "DAdaptAdam",
    "dadapt_sgd": "DAdaptSGD",
    "ftrl": "FTRL",
    "lamb": "Lamb",
    "laprop": "LaProp",
    "lars": "LARS",
    "lion": "Lion",
    "madgrad": "MADGRAD",
    "prodigy": "Prodigy",
    "radam": "RAdam",
    "schedule_free_adamw": "ScheduleFreeAdamW",
    "schedule_free_sgd": "ScheduleFreeSGD",
    "sgdw": "SGDW",
    "signum": "SignSGD",
    "simplified_ademamix": "SimplifiedAdEMAMix",
    "stable_adamw": "StableAdamW",
    "yogi": "Yogi",
}


class PytorchOptimizer(TorchStep):
    """An optimizer of pytorch_optimizer."""

    def make(self, work: Work) -> Any:
        """Make the library's optimizer, with ``foreach`` where it has that."""
        if work.chain:
            raise UnavailableError("pytorch_optimizer neither clips nor averages")
        made = getattr(load("pytorch_optimizer"), known(RULES, work, "pytorch_optimizer"))
        has = inspect.signature(made).parameters
        settings = {"weight_decay": 0.0, "foreach": True, "lr": work.hyper["lr"]}
        made = made(self.params, **{key: x for key, x in settings.items() if key in has})
        if hasattr(made, "train"):
            made.train()  # schedule-free methods have two modes
        return made
