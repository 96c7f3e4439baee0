"""Storage of float32 numbers in fewer bits: the formats, and the bits that round at random.

Arithmetic is always float32; only what is stored is low. This is the NumPy form of every format, which
:mod:`gradstep.engine.cpu.codecs` repeats in compiled code bit for bit. The reasons are in decision 5.
"""

from gradstep.array.storage.blocks import BLOCK, Blocks
from gradstep.array.storage.counter import draws, high, low, step_key, tensor_key, tensor_number
from gradstep.array.storage.floats import Bfloat16, Float16
from gradstep.array.storage.format import Format, Stored
from gradstep.array.storage.layout import BLOCKS, LOW, Layout

FORMATS: dict[str, Format] = {made.name: made for made in (Bfloat16(), Float16(), *map(Blocks, BLOCKS))}

__all__ = [
    "BLOCK",
    "BLOCKS",
    "FORMATS",
    "LOW",
    "Bfloat16",
    "Blocks",
    "Float16",
    "Format",
    "Layout",
    "Stored",
    "draws",
    "high",
    "low",
    "step_key",
    "tensor_key",
    "tensor_number",
]
