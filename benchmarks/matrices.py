"""A step of the rules of whole matrices beside other libraries', in one process: time as ratios, and peak memory.

python benchmarks/matrices.py [rules] [copies]

24 matrices of 768x768 and 12 of 768x3072 in float32; ``copies`` (12 as a default) makes that 2 and 1 for each. Turns
are interleaved, in an order drawn anew; a ratio is the median over rounds of a peer's time over ours. Peak memory is
what a step takes beside what was there before it, in arrays of the size of the largest parameter.
"""

import ctypes
import sys
import time
import warnings

import numpy as np

import gradstep as gs
from gradstep.bench.memory import peak_extra

RULES = "muon,soap,shampoo,adafactor,came,sm3,psgd_kron"
ROUNDS, PAUSE = 7, 0.05


def shapes(copies):
    return [(768, 768)] * (2 * copies) + [(768, 3072)] * copies


def ours(rule, sizes):
    rng = np.random.default_rng(0)
    opt = gs.Optimizer([rng.standard_normal(x, np.float32) for x in sizes], rule)
    grads = [[rng.standard_normal(x, np.float32) for x in sizes] for _ in range(2)]
    return lambda k: opt.step(grads[k % 2])


def by_torch(make, sizes):
    import torch

    rng = np.random.default_rng(0)
    params = [torch.nn.Parameter(torch.from_numpy(rng.standard_normal(x, np.float32))) for x in sizes]
    opt = make(torch, params)
    grads = [[torch.from_numpy(rng.standard_normal(x, np.float32)) for x in sizes] for _ in range(2)]

    def step(k):
        for p, g in zip(params, grads[k % 2], strict=True):
            p.grad = g
        opt.step()

    return step


def by_optax(make, sizes):
    import jax
    import optax

    rng = np.random.default_rng(0)
    params = [jax.numpy.asarray(rng.standard_normal(x, np.float32)) for x in sizes]
    tx = make(optax)
    grads = [[jax.numpy.asarray(rng.standard_normal(x, np.float32)) for x in sizes] for _ in range(2)]

    def one(params, state, g):
        updates, state = tx.update(g, state, params)
        return optax.apply_updates(params, updates), state

    jitted, carried = jax.jit(one, donate_argnums=(0, 1)), [(params, tx.init(params))]

    def step(k):
        carried[0] = jitted(*carried[0], grads[k % 2])
        jax.block_until_ready(carried[0])

    return step


def pytorch_optimizer(name, **options):
    def make(_, params):
        import pytorch_optimizer

        made = getattr(pytorch_optimizer, name)
        return made([{"params": params, "use_muon": True}] if name == "Muon" else params, **options)

    return by_torch, make


def float32_muon(torch, params):
    """torch.optim.Muon, which rounds to bfloat16 for its products, without that."""
    import inspect

    from torch.optim import _muon

    text = inspect.getsource(_muon._zeropower_via_newtonschulz).replace(".bfloat16()", ".clone()")
    exec(text, vars(_muon))  # noqa: S102 - torch's own function, less one call
    return torch.optim.Muon(params)


PEERS = {
    "muon": {
        "torch": (by_torch, lambda torch, p: torch.optim.Muon(p)),
        "torch-float32": (by_torch, float32_muon),
        "pytorch_optimizer": pytorch_optimizer("Muon"),
        "optax": (by_optax, lambda optax: optax.contrib.muon(0.02)),
    },
    "soap": {"pytorch_optimizer": pytorch_optimizer("SOAP")},
    "shampoo": {
        "pytorch_optimizer": pytorch_optimizer("Shampoo"),
        "pytorch_optimizer-scalable": pytorch_optimizer("ScalableShampoo"),
    },
    "adafactor": {
        "torch": (by_torch, lambda torch, p: torch.optim.Adafactor(p)),
        "torch-foreach": (by_torch, lambda torch, p: torch.optim.Adafactor(p, foreach=True)),
        "pytorch_optimizer": pytorch_optimizer("AdaFactor"),
        "optax": (by_optax, lambda optax: optax.adafactor(0.01)),
    },
    "came": {"pytorch_optimizer": pytorch_optimizer("CAME")},
    "sm3": {
        "pytorch_optimizer": pytorch_optimizer("SM3", momentum=0.9),
        "optax": (by_optax, lambda optax: optax.sm3(0.1)),
    },
    "psgd_kron": {"pytorch_optimizer": pytorch_optimizer("Kron", precondition_frequency=1)},
}


def main(rules=RULES, copies="12"):
    sizes = shapes(int(copies))
    largest = 4 * max(x[0] * x[1] for x in sizes)
    print(f"{2 * int(copies)} of 768x768, {copies} of 768x3072, float32, median of {ROUNDS} rounds")
    for rule in rules.split(","):
        steps = {"gradstep": ours(rule, sizes)}
        for name, (how, make) in PEERS[rule].items():
            try:
                steps[name] = how(make, sizes)
                steps[name](0)
            except Exception as error:  # a peer may be missing, or fail in its own way
                print(f"  {rule}: {name} is left out: {type(error).__name__}: {str(error)[:90]}")
                steps.pop(name, None)
        times = {name: [] for name in steps}
        peaks = {}
        for name, step in steps.items():
            for k in range(2):
                step(k)
            peaks[name] = peak_extra(lambda step=step: step(0))
        rng = np.random.default_rng(1)
        names = list(steps)
        for k in range(ROUNDS):
            for i in rng.permutation(len(names)):
                time.sleep(PAUSE)
                begin = time.perf_counter()
                steps[names[i]](k)
                times[names[i]].append(time.perf_counter() - begin)
        mine = np.array(times["gradstep"])
        print(f"{rule}: {1e3 * np.median(mine):.0f} ms a step; peak {(peaks['gradstep'] or 0) / largest:.1f} arrays")
        for name in names[1:]:
            ratio = np.median(np.array(times[name]) / mine)
            print(f"  {name:28} / ours {ratio:.2f}; peak {(peaks[name] or 0) / largest:.1f}")
        ctypes.CDLL(None).malloc_trim(0)
        sys.stdout.flush()


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(*sys.argv[1:])
