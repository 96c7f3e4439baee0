"""Which topic of pydoc a sentence is from, told by its words: a linear model of rare and frequent features."""

from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from gradstep.compare.problems.data import SPLITS
from gradstep.compare.problems.problem import NOISY, Problem, Split, Task, Values, labelled, minibatches, size_option
from gradstep.compare.problems.targets import frozen
from gradstep.compare.problems.text import source, split_of, topic_sentences

TOPICS = (
    "attribute-access",
    "compound",
    "customization",
    "debugger",
    "execmodel",
    "formatstrings",
    "import",
    "strings",
)
L2 = 1e-4  # weight of half the squared norm of w, in the training loss alone
FEWEST = 3  # sentences that a word is in, and words that a sentence has
BATCH = 64


def topics(batch: float = BATCH) -> Problem:
    """Softmax regression on tf-idf of words, as text is classified by linear models (Joachims 1998, ECML).

    Rare words have gradients in few batches: the sparse features that Adagrad was made for (Duchi et al. 2011).
    """
    many = size_option("pydoc-words", "batch", batch, 500)
    count = len(bags()[0])

    def begin(seed: int) -> Task:
        return _task(seed, many)

    return Problem(
        name=labelled("pydoc-words", {"batch": batch}, {"batch": BATCH}),
        summary=f"topic of a sentence by its words: softmax regression with L2, batches of {many}",
        source=source(),
        size=f"{count} words, {len(TOPICS)} topics, {(count + 1) * len(TOPICS)} parameters",
        target=frozen("pydoc-words", "train", NOISY),
        steps=500,
        every=10,
        scale={"theta/g": 5.0, "theta": 5e-2},
        family="linear models",
        begin=begin,
        needs="scipy",
    )


def _task(seed: int, many: int) -> Task:
    splits = tables()
    x, y = splits["train"]
    w = 0.1 * np.random.default_rng(seed).standard_normal((x.shape[1], len(TOPICS)))
    b = np.zeros(len(TOPICS))

    def scores(x: Any) -> tuple[np.ndarray, np.ndarray]:
        z = x @ w + b
        z -= z.max(axis=1, keepdims=True)
        return z, np.log(np.exp(z).sum(axis=1))

    @np.errstate(over="ignore", invalid="ignore")  # a run that diverges shows in its loss
    def value_and_grad(batch: np.ndarray) -> tuple[float, Any]:
        inputs, labels, rows = x[batch], y[batch], np.arange(len(batch))
        z, log_sum = scores(inputs)
        by_z = np.exp(z - log_sum[:, None])
        by_z[rows, labels] -= 1
        by_z /= len(rows)
        value = float((log_sum - z[rows, labels]).mean()) + L2 / 2 * float((w * w).sum())
        return value, {"w": inputs.T @ by_z + L2 * w, "b": by_z.sum(axis=0)}

    @np.errstate(over="ignore", invalid="ignore")
    def evaluate(split: Split) -> Values:
        inputs, labels = splits[split]
        z, log_sum = scores(inputs)
        value = float((log_sum - z[np.arange(len(labels)), labels]).mean())
        value += L2 / 2 * float((w * w).sum()) if split == "train" else 0.0
        return {"loss": value, "accuracy": float((z.argmax(axis=1) == labels).mean())}

    return Task({"w": w, "b": b}, minibatches(len(y), many, seed), value_and_grad, evaluate)


@cache
def bags() -> tuple[list[str], dict[Split, list[tuple[Counter[str], int]]]]:
    """Return the words that are looked at, and each split's sentences: how often they have a word, and their topic."""
    found: dict[Split, list[tuple[Counter[str], int]]] = {split: [] for split in SPLITS}
    for k, topic in enumerate(TOPICS):
        for sentence in topic_sentences(topic):
            counts = Counter(sentence.split())
            if len(counts) >= FEWEST:
                found[split_of(sentence)].append((counts, k))
    holding = Counter(word for counts, _ in found["train"] for word in counts)
    return sorted(word for word, n in holding.items() if n >= FEWEST), found


@cache
def tables() -> dict[Split, tuple[Any, np.ndarray]]:
    """Return sparse rows of all sentences with the numbers of their topics.

    A row has (1 + log count) log(sentences / those with the word), counted in the training part, scaled to length 1.
    """
    from scipy.sparse import csr_array

    words, found = bags()
    column = {word: j for j, word in enumerate(words)}
    splits: dict[Split, tuple[Any, np.ndarray]] = {}
    rarity = np.zeros(len(words))
    for split, sentences in found.items():
        cells = [(i, column[w], n) for i, (bag, _) in enumerate(sentences) for w, n in bag.items() if w in column]
        i, j, counts = np.array(cells).T
        if split == "train":
            rarity = np.log(len(sentences) / np.bincount(j))
        values = (1 + np.log(counts)) * rarity[j]
        values /= np.sqrt(np.bincount(i, values * values))[i]
        shape = len(sentences), len(words)
        splits[split] = csr_array((values, (i, j)), shape), np.array([k for _, k in sentences])
    return splits
