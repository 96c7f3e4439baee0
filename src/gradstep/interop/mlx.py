"""State from and to MLX's optimizers. A model there is stepped by arrays: ``gs.Optimizer`` takes NumPy's."""

from gradstep.interop.state.mlx import dump_state, load_state

__all__ = ["dump_state", "load_state"]
