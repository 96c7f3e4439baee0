"""Checkpoints: an optimizer in a file that is old or new but never half of each, with every bit under a hash.

``opt.save("run.safetensors")``, ``opt.restore("run.safetensors")``, and :func:`load` for the plain arrays.
"""

from gradstep.checkpoint.format import write
from gradstep.checkpoint.rng import Rng
from gradstep.checkpoint.transfer import Checkpoint, Parts, as_saved, load, plan, user_metadata

__all__ = ["Checkpoint", "Parts", "Rng", "as_saved", "load", "plan", "user_metadata", "write"]
