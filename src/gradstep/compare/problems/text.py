"""A model of English, character by character, on a text that every Python has: the help topics of pydoc."""

import hashlib
import platform
import re
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gradstep.compare.problems.data import SHARES, SPLITS, Arrays
from gradstep.compare.problems.networks import train
from gradstep.compare.problems.problem import NOISY, Problem, Split, Task, labelled, size_option
from gradstep.compare.problems.targets import frozen

ALPHABET = " abcdefghijklmnopqrstuvwxyz.,'"
CONTEXT = 8  # characters that the next one is told by
THINNED = 16  # every 16th place is evaluated
BATCH, WIDTH = 64, 64


def pydoc(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """The neural probabilistic language model of Bengio et al. 2003 (JMLR 3), on characters.

    Its text differs a little from one Python to the next; the source line says which one it is. A sentence is in the
    same split whatever stands around it, so that the target holds for all of them.
    """
    many, wide = size_option("pydoc-chars", "batch", batch), size_option("pydoc-chars", "width", width)

    def begin(seed: int) -> Task:
        from gradstep.nn import Conv2D, Dense, Flatten, Sequential

        size = len(ALPHABET)
        layers = [Conv2D(size, 8, 1), Flatten(), Dense(CONTEXT * 8, wide, "tanh"), Dense(wide, size, "softmax")]
        one_hot = np.eye(size, dtype=np.float32)
        # Places in the context stand in a row of pixels, so that one embedding serves them all.
        return train(Sequential(layers, seed=seed), contexts(), many, seed, lambda x: one_hot[x][:, None], THINNED)

    text = ". ".join(sentences())
    return Problem(
        name=labelled("pydoc-chars", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"next of {CONTEXT} characters: embedding of 8, hidden layer of {wide}, batches of {many}",
        source=source(),
        size=f"{len(text)} characters, {95 * wide + 278} parameters",
        target=frozen("pydoc-chars", "validation", NOISY),
        steps=2000,
        every=50,
        scale={"theta/g": 3e-1, "theta": 1e-2},
        family="text",
        begin=begin,
    )


def source() -> str:
    """The package and the version that the text comes from, and its hash."""
    digest = hashlib.sha256(". ".join(sentences()).encode()).hexdigest()
    return f"pydoc_data.topics of Python {platform.python_version()}, sha256 {digest[:8]}"


@cache
def sentences() -> list[str]:
    """Return the sentences of all topics, each once, in the letters of :data:`ALPHABET`; all else becomes a space."""
    from pydoc_data.topics import topics

    return _cut(". ".join(topics[name] for name in sorted(topics)))


def topic_sentences(name: str) -> list[str]:
    """Return those of one topic."""
    from pydoc_data.topics import topics

    return _cut(topics[name])


def _cut(text: str) -> list[str]:
    cleaned = re.sub(f"[^{ALPHABET[1:]}]+", " ", text.lower().replace("\u2019", "'"))
    return [sentence for sentence in dict.fromkeys(map(str.strip, cleaned.split(". "))) if sentence]


@cache
def contexts() -> dict[Split, Arrays]:
    """Numbers of ``CONTEXT`` characters in a row, and of the next; before and after a sentence there are spaces."""
    windows: dict[Split, list[np.ndarray]] = {split: [] for split in SPLITS}
    for sentence in sentences():
        numbers = np.array([ALPHABET.index(c) for c in f"{'':{CONTEXT}}{sentence}. "])
        windows[split_of(sentence)].append(sliding_window_view(numbers, CONTEXT + 1))
    splits: dict[Split, Arrays] = {}
    for split, found in windows.items():
        places = np.concatenate(found)
        splits[split] = places[:, :-1], places[:, -1]
    return splits


@cache
def passages(length: int) -> dict[Split, Arrays]:
    """Numbers of so many characters in a row, and of those that follow each; passages do not overlap."""
    splits: dict[Split, Arrays] = {}
    for split in SPLITS:
        text = ". ".join(sentence for sentence in sentences() if split_of(sentence) == split)
        numbers = np.array([ALPHABET.index(c) for c in text])
        rows = sliding_window_view(numbers, length + 1)[::length]
        splits[split] = rows[:, :-1], rows[:, 1:]
    return splits


def split_of(sentence: str) -> Split:
    """The split of a sentence, whatever stands around it."""
    return SHARES[hashlib.sha256(sentence.encode()).digest()[0] % len(SHARES)]
