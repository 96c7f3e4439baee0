"""mlx.optimizers on the CPU: parameters in float32, state by the keys of ``optimizer.state``."""

import sys
from pathlib import Path

if __name__ == "__main__":  # this folder has a file of the library's own name: look in tests/ instead
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))

from typing import Any

import mlx.core as mx
import mlx.optimizers
import numpy as np
from mlx.utils import tree_flatten

from references.cases import Arrays, Case, Problem, Trajectory
from references.record.common import main


def run(case: Case, task: Problem) -> Trajectory:
    """State is a path such as ``a/m``; ``step`` and ``learning_rate`` stand beside the parameters."""
    with mx.stream(mx.cpu):
        params = {name: mx.array(x) for name, x in task.start.items()}
        opt = getattr(mlx.optimizers, case.constructor)(**case.given())
        opt.init(params)
        theta, state = [_arrays(params)], []
        for grads in task.grads:
            params = opt.apply_gradients({name: mx.array(g) for name, g in grads.items()}, params)
            mx.eval(params, opt.state)
            theta.append(_arrays(params))
            state.append({key.replace(".", "/"): np.array(x) for key, x in tree_flatten(opt.state)})
        return Trajectory(theta, state)


def _arrays(params: dict[str, Any]) -> Arrays:
    return {name: np.array(x) for name, x in params.items()}


if __name__ == "__main__":
    main("mlx", {"mlx": (mx.__version__, "0.32.4")}, run)
