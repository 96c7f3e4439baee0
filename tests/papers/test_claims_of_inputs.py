"""What the papers show of rules that take a loss or a diagonal of the Hessian, or keep a number for each layer."""

import numpy as np

import gradstep as gs


def least_squares(n=40, d=10, seed=1):
    """A solvable one, a row at a time: the loss of each is zero at the solution."""
    rng = np.random.default_rng(seed)
    x, solution = rng.normal(size=(n, d)) * np.logspace(0, 1, d), rng.normal(size=d)
    rows = rng.integers(0, n, 4000)

    def loss_and_gradient(w, t):
        row = x[rows[t]]
        gap = row @ (w - solution)
        return 0.5 * gap * gap, gap * row

    return loss_and_gradient, solution


def followed(tx, steps=4000):
    loss_and_gradient, solution = least_squares()
    w = np.zeros_like(solution)
    opt = gs.Optimizer(w, tx)
    for t in range(steps):
        loss, g = loss_and_gradient(w, t)
        opt.step(g, loss=loss)
    return np.linalg.norm(w - solution) / np.linalg.norm(solution)


def test_polyak_converges_without_a_rate():
    """Loizou et al. 2021, arXiv:2002.10542, section 5: to the solution itself, where there is one for all data."""
    assert followed(gs.polyak(lr=1e6)) < 2e-3


def test_momo_bears_a_rate_that_is_much_too_large():
    """Schaipp et al. 2024, arXiv:2305.07583, Figure 1: what the tuned rate gives, it gives for rates far above."""
    assert max(followed(gs.momo(lr=lr), 2500) for lr in (0.1, 100.0)) < 1e-3
    loss_and_gradient, solution = least_squares()
    w = np.zeros_like(solution)
    opt = gs.Optimizer(w, "momentum", lr=0.1)
    for t in range(60):
        opt.step(loss_and_gradient(w, t)[1])
    assert np.linalg.norm(w - solution) > 1e3, "momentum at such a rate flies away"


def test_sophia_goes_straight_down_a_sharp_and_a_flat_direction():
    """Liu et al. 2023, arXiv:2305.14342, Figure 2: 8 (a - 1)^2 (1.3 a^2 + 2 a + 1) + (b - 4)^2 / 2."""

    def derivatives(x):
        a, b = x
        p, dp = 1.3 * a * a + 2 * a + 1, 2.6 * a + 2
        g = 8 * (2 * (a - 1) * p + (a - 1) ** 2 * dp)
        h = 8 * (2 * p + 4 * (a - 1) * dp + 2.6 * (a - 1) ** 2)
        return np.array([g, b - 4]), np.array([h, 1.0])

    def end(tx, steps, curved=False):
        x = np.array([0.2, 0.0])
        opt = gs.Optimizer(x, tx)
        for _ in range(steps):
            g, h = derivatives(x)
            opt.step(g, **({"curvature": np.maximum(h, 0.0)} if curved else {}))
        return np.abs(x - [1, 4]).max()

    sophia = gs.sophia(lr=0.5, beta1=0.0, beta2=0.0, gamma=1.0, k=1)
    assert end(sophia, 30, curved=True) < 1e-4
    assert end(gs.sgd(lr=0.015), 30) > 1, "slow where it is flat"
    assert end(gs.signum(lr=0.5, beta1=0.0), 30) > 0.1, "to and fro where it is sharp"


def test_novograd_does_not_see_the_scale_of_a_layer():
    """Ginsburg et al. 2019, arXiv:1905.11286, section 3: gradients are normalised layer by layer."""
    rng = np.random.default_rng(2)
    grads = rng.normal(size=(20, 2, 5))
    ends = []
    for scale in (1.0, 1024.0):
        params = {"a": np.zeros(5), "b": np.zeros(5)}
        opt = gs.Optimizer(params, "novograd", eps=1e-300)
        for a, b in grads:
            opt.step({"a": a, "b": scale * b})
        ends.append(params)
    for key in "ab":
        np.testing.assert_allclose(ends[0][key], ends[1][key], rtol=1e-14)


def test_ldog_moves_each_layer_by_its_own_distance():
    """Ivgi et al. 2023, arXiv:2302.12022, section 4.1: a layer with large gradients does not hold the other back."""
    params = {"steep": np.full(4, 2.0), "flat": np.full(4, 2.0)}
    together = {key: x.copy() for key, x in params.items()}
    for name, w in (("ldog", params), ("dog", together)):
        opt = gs.Optimizer(w, name)
        for _ in range(400):
            opt.step({"steep": 1e3 * (w["steep"] - 1), "flat": 1e-3 * (w["flat"] - 1)})
    assert np.abs(params["flat"] - 1).max() < 0.05
    assert np.abs(together["flat"] - 1).max() > 0.5
