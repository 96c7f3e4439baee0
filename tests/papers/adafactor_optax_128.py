"""Adafactor as optax 0.2.8 has it by default, of arrays with fewer than 128 rows or columns: not factored."""

from .adafactor_optax_unfactored import CITATION as CITATION
from .adafactor_optax_unfactored import DEFAULTS as DEFAULTS
from .adafactor_optax_unfactored import trajectory as trajectory
