"""SM3 as optax 0.2.8 has it (optax/_src/transform.py, scale_by_sm3): of one or two axes, sm3.py's."""

from .sm3 import DEFAULTS as DEFAULTS
from .sm3 import trajectory as trajectory

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_sm3"
