"""Problems whose losses are measured: what they simulate, and that their gradients are right on average."""

import math

import numpy as np
import pytest
from problem_cases import problem

from gradstep.compare.problems import cartpole, vqe
from gradstep.compare.problems.data import SPLITS

X, Z, ONE = np.array([[0.0, 1], [1, 0]]), np.diag([1.0, -1]), np.eye(2)


def product(*factors):
    out = np.eye(1)
    for factor in factors:
        out = np.kron(out, factor)
    return out


def at(matrix, *qubits):
    return product(*(matrix if k in qubits else ONE for k in range(4)))


ENERGY = -sum(at(Z, k, k + 1) for k in range(3)) - sum(at(X, k) for k in range(4))


def test_the_circuit_and_its_energy_are_products_of_matrices():
    angles = np.random.default_rng(0).uniform(-3, 3, (2, 4, 4))
    controlled = np.eye(16)
    for k in range(3):
        controlled = controlled @ ((np.eye(16) + at(Z, k) + at(Z, k + 1) - at(Z, k, k + 1)) / 2)
    for own, psi, energy in zip(angles, vqe.states(angles), vqe.measured(angles, 0), strict=True):
        expected = np.eye(16)[0]
        for layer in own:
            turns = [np.array([[math.cos(a / 2), -math.sin(a / 2)], [math.sin(a / 2), math.cos(a / 2)]]) for a in layer]
            expected = product(*turns) @ controlled @ expected
        np.testing.assert_allclose(psi, expected, atol=1e-14)
        assert energy == pytest.approx(expected @ ENERGY @ expected, abs=1e-13)
    assert pytest.approx(np.linalg.eigvalsh(ENERGY)[0], abs=1e-12) == vqe.GROUND


def test_shots_are_right_on_average_and_have_the_noise_of_their_number():
    task, exact = problem("vqe").begin(0), problem("vqe:shots=0").begin(0)
    loss, grads = exact.value_and_grad(0)
    found = [task.value_and_grad(next(task.batches)) for _ in range(2000)]
    for drawn, right in (
        ([value for value, _ in found], loss),
        ([g["angles"] for _, g in found], grads["angles"]),
    ):
        error = np.std(drawn, axis=0) / np.sqrt(len(found))
        assert (np.abs(np.mean(drawn, axis=0) - right) < 4.5 * error + 1e-12).all()
    few = problem("vqe:shots=10").begin(0)
    noise = np.std([few.value_and_grad(next(few.batches))[0] for _ in range(500)])
    assert noise / np.std([value for value, _ in found]) == pytest.approx(math.sqrt(10), rel=0.15)
    assert task.value_and_grad(7)[0] == task.value_and_grad(7)[0]
    assert task.evaluate("train") == {"loss": pytest.approx(loss, abs=1e-12)}


def test_the_cart_and_pole_move_as_the_paper_has_it():
    """Barto, Sutton and Anderson 1983, appendix, with Florian's corrected signs and no friction."""
    rng = np.random.default_rng(0)
    for x, v, angle, w in rng.uniform(-0.3, 0.3, (20, 4)):
        force = rng.choice([-10.0, 10.0])
        gravity, m, mass, half = 9.8, 0.1, 1.1, 0.5
        within = (-force - m * half * w**2 * math.sin(angle)) / mass
        spin = (gravity * math.sin(angle) + math.cos(angle) * within) / (
            half * (4 / 3 - m * math.cos(angle) ** 2 / mass)
        )
        speeding = (force + m * half * (w**2 * math.sin(angle) - spin * math.cos(angle))) / mass
        expected = [x + 0.02 * v, v + 0.02 * speeding, angle + 0.02 * w, w + 0.02 * spin]
        found = cartpole.moved(np.array([[x], [v], [angle], [w]]), np.array([force > 0]))
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


def test_episodes_end_where_the_pole_falls_and_choices_follow_the_policy():
    params = problem("cartpole").begin(0).params
    drawn = next(cartpole.chances(np.random.default_rng(0), 200))
    states, rights, alive = cartpole.episodes(params, drawn)
    assert (np.diff(alive.astype(int), axis=0) <= 0).all()  # what has ended has ended
    lost = alive.argmin(axis=0)
    assert (lost > 5).all()
    for k in np.flatnonzero(~alive.all(axis=0))[:20]:
        last = cartpole.moved(states[lost[k], k][:, None], rights[lost[k], [k]])[:, 0]
        assert abs(last[2]) >= math.radians(12) or abs(last[0]) >= 2.4
        assert (np.abs(states[: lost[k] + 1, k, 2]) < math.radians(12)).all()
    first = np.tanh(states[0] @ params["w"] + params["b"]) @ params["v"] + params["c"]
    np.testing.assert_array_equal(rights[0], drawn[4] < 1 / (1 + np.exp(-first[:, 0])))


def test_policy_gradients_are_right_on_average(monkeypatch):
    """Beside differences of the mean loss of many episodes, both with their noise."""
    monkeypatch.setattr(cartpole, "LIMIT", 25)
    many = 4000
    task = problem(f"cartpole:width=2,batch={many}").begin(0)
    task.params["c"] += 0.3
    direction = {name: np.random.default_rng(1).standard_normal(x.shape) for name, x in task.params.items()}
    slopes, differences = [], []
    for _, batch in zip(range(12), task.batches, strict=False):
        slopes.append(sum(float((g * direction[k]).sum()) for k, g in task.value_and_grad(batch)[1].items()))
        losses = []
        for sign in (0.1, -0.2, 0.1):
            for k, x in task.params.items():
                x += sign * direction[k]
            losses.append(task.value_and_grad(batch)[0])
        differences.append((losses[0] - losses[1]) / 0.2)
    noise = math.hypot(np.std(slopes), np.std(differences)) / math.sqrt(12)
    assert abs(np.mean(slopes)) > 10 * np.std(slopes) / math.sqrt(12)
    assert np.mean(slopes) == pytest.approx(np.mean(differences), abs=4 * noise + 0.02 * abs(np.mean(slopes)))


def test_evaluations_play_the_same_episodes_again():
    task = problem("cartpole").begin(0)
    values = {split: task.evaluate(split)["loss"] for split in SPLITS}
    assert values == {split: task.evaluate(split)["loss"] for split in SPLITS}
    assert all(0.5 < x < 1 for x in values.values())
    for x in task.params.values():
        x *= 0
    task.params["w"][:, 0], task.params["v"][0] = [0.1, 0.3, 3, 1], 10  # pushes to where the pole leans
    assert task.evaluate("test")["loss"] < 0.05
