"""Models of the comparison beside their papers' formulas, written again, and data beside plain counts."""

import math

import numpy as np
import pytest
from problem_cases import problem

from gradstep.compare.problems import burgers, factors, networks, normalised, sequences, tape, text, words
from gradstep.compare.problems.data import SPLITS
from gradstep.compare.problems.text import ALPHABET


def begun(name, monkeypatch):
    monkeypatch.setattr(networks, "DTYPE", "float64")
    return problem(name).begin(0)


def on_tape(params):
    return {name: tape.Var(x) for name, x in params.items()}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_the_lstm_is_that_of_the_papers_unit_by_unit(monkeypatch):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, in loops over units."""
    task = begun("pydoc-lstm:width=3", monkeypatch)
    rng = np.random.default_rng(0)
    for x in task.params.values():
        x += rng.standard_normal(x.shape) / 4
    p, letters = task.params, rng.integers(0, 30, 12)
    h, c, expected = [0.0] * 3, [0.0] * 3, []
    for letter in letters:
        z = [
            p["input"][letter, k] + p["bias"][k] + sum(h[i] * p["recurrent"][i, k] for i in range(3)) for k in range(12)
        ]
        forget, enter, leave = ([sigmoid(z[3 * gate + k]) for k in range(3)] for gate in range(3))
        c = [forget[k] * c[k] + enter[k] * math.tanh(z[9 + k]) for k in range(3)]
        h = [leave[k] * math.tanh(c[k]) for k in range(3)]
        expected.append([sum(h[i] * p["letters"][i, k] for i in range(3)) + p["letters_bias"][k] for k in range(30)])
    found = sequences.remember(on_tape(p), letters[None]).value[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_the_transformer_is_that_of_the_paper_place_by_place(monkeypatch):
    """Vaswani et al. 2017, sections 3.2 and 3.3, one head and one place after the other."""
    task = begun("pydoc-transformer:width=4", monkeypatch)
    rng = np.random.default_rng(0)
    for x in task.params.values():
        x += rng.standard_normal(x.shape) / 4
    p, letters = task.params, rng.integers(0, 30, 12)

    def layer_norm(x, k):
        return (x - np.mean(x)) / math.sqrt(np.var(x) + 1e-5) * p[f"scale{k}"] + p[f"shift{k}"]

    before = [p["embedding"][letter] + p["place"][t] for t, letter in enumerate(letters)]
    expected = []
    for t, x in enumerate(before):
        seen = [layer_norm(y, 1) for y in before[: t + 1]]
        out = []
        for head in (slice(0, 2), slice(2, 4)):
            q = (seen[t] @ p["query"])[head]
            weights = np.array([math.exp(q @ (y @ p["key"])[head] / math.sqrt(2)) for y in seen])
            out.append(sum(w * (y @ p["value"])[head] for w, y in zip(weights / weights.sum(), seen, strict=True)))
        h = x + np.concatenate(out) @ p["joined"]
        h = h + np.maximum(layer_norm(h, 2) @ p["inner"] + p["bias"], 0) @ p["outer"]
        expected.append(layer_norm(h, 3) @ p["letters"] + p["letters_bias"])
    found = sequences.attend(on_tape(p), letters[None]).value[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_width_of_two_heads_is_even():
    with pytest.raises(ValueError, match="width must be even, for 2 heads, not 3"):
        problem("pydoc-transformer:width=3")


def test_passages_go_on_one_character_later_and_do_not_overlap():
    inputs, following = text.passages(12)["train"]
    np.testing.assert_array_equal(inputs[:, 1:], following[:, :-1])
    joined = "".join(ALPHABET[k] for k in inputs.ravel())
    first = next(s for s in text.sentences() if text.split_of(s) == "train")
    assert joined.startswith(f"{first}. ")
    assert sum(len(x) for x, _ in text.passages(12).values()) * 12 <= sum(len(s) + 2 for s in text.sentences())


def test_the_convolution_is_normalised_over_the_batch(monkeypatch):
    """By loops over filters; and the size of filters before a normalisation does not matter."""
    task = begun("digits-batchnorm:width=3", monkeypatch)
    p, x = task.params, np.random.default_rng(0).standard_normal((4, 8, 8, 1))
    a = x
    for k in "12":
        size = a.shape[1] - 2
        z = np.zeros((4, size, size, 3))
        for n, i, j, f in np.ndindex(z.shape):
            z[n, i, j, f] = a[n, i : i + 3, j : j + 3].ravel() @ p[f"filters{k}"][:, f]
        z = (z - z.mean((0, 1, 2))) / np.sqrt(z.var((0, 1, 2)) + 1e-5) * p[f"scale{k}"] + p[f"shift{k}"]
        a = np.maximum(z, 0)
    expected = a.mean((1, 2)) @ p["classes"] + p["bias"]
    found = normalised.scores(on_tape(p), x).value
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    p["filters2"] *= 1e3
    np.testing.assert_allclose(normalised.scores(on_tape(p), x).value, expected, rtol=1e-3, atol=1e-4)


def test_words_are_weighed_as_the_page_says():
    names, found = words.bags()
    table, topics = words.tables()["train"]
    sentences = found["train"]
    assert table.shape == (len(sentences), len(names))
    assert topics.tolist() == [k for _, k in sentences]
    bag, _ = sentences[5]
    row = {
        word: (1 + math.log(n)) * math.log(len(sentences) / sum(word in other for other, _ in sentences))
        for word, n in bag.items()
        if word in names
    }
    length = math.sqrt(sum(x * x for x in row.values()))
    expected = [row.get(word, 0.0) / length for word in names]
    np.testing.assert_allclose(table[[5]].toarray()[0], expected, rtol=1e-12)
    assert table.nnz < 0.05 * table.shape[0] * table.shape[1]


def test_pixels_are_in_one_split_each():
    found = factors.entries()
    places = np.concatenate([i * 64 + j for i, j, _ in found.values()])
    assert len(set(places.tolist())) == len(places) == 1797 * 64
    _, _, known = found["train"]
    assert (known.mean(), known.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))


def test_the_solution_of_burgers_equation_solves_it():
    rng = np.random.default_rng(0)
    places, h = np.stack([rng.uniform(-0.95, 0.95, 50), rng.uniform(0.1, 1, 50)], axis=1), 1e-3
    x, t = np.array([h, 0]), np.array([0, h])
    u, up, down = burgers.solution(places), burgers.solution(places + x), burgers.solution(places - x)
    u_t = (burgers.solution(places + t) - burgers.solution(places - t)) / (2 * h)
    left_over = u_t + u * (up - down) / (2 * h) - burgers.VISCOSITY * (up - 2 * u + down) / h**2
    assert abs(left_over).max() < 1e-4
    edge = np.linspace(-1, 1, 9)
    first = burgers.solution(np.stack([edge, np.full(9, 1e-9)], axis=1))
    np.testing.assert_allclose(first, -np.sin(np.pi * edge), atol=1e-6)
    for end in (-1.0, 1.0):
        np.testing.assert_allclose(burgers.solution(np.array([[end, 0.3], [end, 1.0]])), 0, atol=1e-12)


def test_the_jet_has_the_derivatives_of_the_network():
    p = problem("burgers-pinn").begin(0).params
    places, h = np.random.default_rng(0).uniform(-1, 1, (20, 2)), 1e-4
    x, t = np.array([h, 0]), np.array([0, h])

    def u(at):
        return burgers.jet(on_tape(p), at)[0].value

    y = np.tanh(np.tanh(places @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]) @ p["w3"] + p["b3"]
    found = [var.value for var in burgers.jet(on_tape(p), places)]
    np.testing.assert_allclose(found[0], y, rtol=1e-12)
    np.testing.assert_allclose(found[1], (u(places + x) - u(places - x)) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(found[2], (u(places + t) - u(places - t)) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(found[3], (u(places + x) - 2 * y + u(places - x)) / h**2, atol=1e-5)


@pytest.mark.parametrize("split", SPLITS)
def test_an_evaluation_looks_at_its_own_places(split):
    places, solved = burgers.looked_at(split)
    assert places.shape == (512, 2)
    assert (np.abs(places[:, 0]) <= 1).all()
    assert ((places[:, 1] >= 0) & (places[:, 1] <= 1)).all()
    np.testing.assert_array_equal(solved[:, 0], burgers.solution(places))
    others = [burgers.looked_at(other)[0] for other in SPLITS if other != split]
    assert not any((places == other).any() for other in others)
