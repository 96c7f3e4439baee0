"""Models of English that read a passage and tell each next character: a transformer, and a network with memory."""

from typing import Any

import numpy as np

from gradstep.compare.problems.networks import train_on_tape
from gradstep.compare.problems.problem import NOISY, Problem, Task, labelled, size_option
from gradstep.compare.problems.tape import Array, Params, Var, normalise, relu, sigmoid, softmax, stack, tanh
from gradstep.compare.problems.targets import frozen
from gradstep.compare.problems.text import ALPHABET, passages, sentences, source
from gradstep.errors import GradstepValueError

LETTERS = len(ALPHABET)
LENGTH = 12  # characters of a passage
HEADS = 2
HIDDEN = np.where(np.tri(LENGTH), 0.0, -1e9).astype(np.float32)  # added to scores: nothing looks ahead
THINNED = 16  # every 16th passage is evaluated
BATCH, WIDTH = 16, 32


def transformer(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """One block of the decoder of Vaswani et al. 2017 (arXiv:1706.03762), normalised before each half as in GPT-2.

    Raises
    ------
    GradstepValueError
        When the width is odd, which two heads cannot share.
    """
    wide = size_option("pydoc-transformer", "width", width)
    if wide % HEADS:
        raise GradstepValueError(f"problem pydoc-transformer: width must be even, for {HEADS} heads, not {wide}.")

    def begin(seed: int) -> Task:
        return train_on_tape(attend, _attention(seed, wide), passages(LENGTH), many, seed, THINNED)

    many = size_option("pydoc-transformer", "batch", batch)
    return Problem(
        name=labelled("pydoc-transformer", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"next characters: a transformer of one block, {HEADS} heads, width {wide}, batches of {many}",
        source=source(),
        size=_size(8 * wide * wide + (2 * LETTERS + LENGTH + 8) * wide + LETTERS),
        target=frozen("pydoc-transformer", "validation", NOISY),
        steps=300,
        every=20,
        scale={"theta/g": 2e-1, "theta": 5e-3},
        family="text",
        begin=begin,
    )


def lstm(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """The LSTM of Hochreiter and Schmidhuber 1997 (Neural Computation 9), with the forget gate of Gers et al. 2000."""
    wide, many = size_option("pydoc-lstm", "width", width), size_option("pydoc-lstm", "batch", batch)

    def begin(seed: int) -> Task:
        return train_on_tape(remember, _memory(seed, wide), passages(LENGTH), many, seed, THINNED)

    return Problem(
        name=labelled("pydoc-lstm", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"next characters: an LSTM of width {wide}, batches of {many}",
        source=source(),
        size=_size(4 * wide * (LETTERS + wide + 1) + LETTERS * (wide + 1)),
        target=frozen("pydoc-lstm", "validation", NOISY),
        steps=200,
        every=10,
        scale={"theta/g": 3.0, "theta": 3e-2},
        family="text",
        begin=begin,
    )


def _size(parameters: int) -> str:
    return f"{len('. '.join(sentences()))} characters, {parameters} parameters"


def attend(p: dict[str, Var], x: Array) -> Var:
    """Scores of each next character, (passages, places, letters), by attention."""
    many, wide = len(x), p["embedding"].value.shape[1]

    def heads(a: Var) -> Var:
        return a.reshape(many, LENGTH, HEADS, wide // HEADS).transpose(0, 2, 1, 3)

    h = p["embedding"][x] + p["place"]
    a = normalise(h, (2,)) * p["scale1"] + p["shift1"]
    q, k, v = (heads(a @ p[name]) for name in ("query", "key", "value"))
    weights = softmax(q @ k.transpose(0, 1, 3, 2) * (wide // HEADS) ** -0.5 + HIDDEN)
    h = h + (weights @ v).transpose(0, 2, 1, 3).reshape(many, LENGTH, wide) @ p["joined"]
    a = normalise(h, (2,)) * p["scale2"] + p["shift2"]
    h = h + relu(a @ p["inner"] + p["bias"]) @ p["outer"]
    return (normalise(h, (2,)) * p["scale3"] + p["shift3"]) @ p["letters"] + p["letters_bias"]


def _attention(seed: int, wide: int) -> Params:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape) / np.sqrt(wide)

    params = {"embedding": normal(LETTERS, wide), "place": normal(LENGTH, wide)}
    params |= {name: normal(wide, wide) for name in ("query", "key", "value", "joined")}
    params |= {"inner": normal(wide, 2 * wide), "bias": np.zeros(2 * wide), "outer": normal(2 * wide, wide)}
    for k in "123":
        params |= {f"scale{k}": np.ones(wide), f"shift{k}": np.zeros(wide)}
    return params | {"letters": normal(wide, LETTERS), "letters_bias": np.zeros(LETTERS)}


def remember(p: dict[str, Var], x: Array) -> Var:
    """Scores of each next character, (passages, places, letters), from a state that is carried along."""
    wide = len(p["recurrent"].value)
    given = p["input"][x.T] + p["bias"]  # a letter chooses its row
    h: Any = np.zeros((len(x), wide), p["bias"].value.dtype)
    c, out = h, []
    for t in range(x.shape[1]):
        z = given[t] + h @ p["recurrent"]
        gates = sigmoid(z[:, : 3 * wide])
        kept, told, shown = (gates[:, k * wide : (k + 1) * wide] for k in range(3))
        c = kept * c + told * tanh(z[:, 3 * wide :])
        h = shown * tanh(c)
        out.append(h)
    return stack(out).transpose(1, 0, 2) @ p["letters"] + p["letters_bias"]


def _memory(seed: int, wide: int) -> Params:
    rng = np.random.default_rng(seed)
    shapes = {"input": (LETTERS, 4 * wide), "recurrent": (wide, 4 * wide), "letters": (wide, LETTERS)}
    params = {name: rng.standard_normal(shape) / np.sqrt(wide) for name, shape in shapes.items()}
    params["bias"] = np.repeat([1.0, 0.0, 0.0, 0.0], wide)  # it keeps what it has, as Gers et al. start
    return params | {"letters_bias": np.zeros(LETTERS)}
