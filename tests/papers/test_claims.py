"""What the papers show of their rules, where the experiment fits here: seen on a few numbers, in a moment."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.variants import sign_sgd


def descend(tx, theta, gradient, steps, box=None):
    """Yield theta after each step from `gradient(theta, t)`, t = 0, 1, ..., kept within [-box, box] where asked."""
    theta = np.array(theta, float)
    opt = gs.Optimizer(theta, tx)
    for t in range(steps):
        opt.step(gradient(theta, t))
        if box is not None:
            np.clip(theta, -box, box, out=theta)
        yield theta.copy()


def last(tx, theta, gradient, steps, box=None):
    *_, theta = descend(tx, theta, gradient, steps, box)
    return theta


def averaged(tx, theta, gradient, steps):
    theta = np.array(theta, float)
    opt = gs.Optimizer(theta, tx)
    for t in range(steps):
        opt.step(gradient(theta, t))
    return opt.averaged()


# ---- Adam does not always converge


def test_amsgrad_converges_where_adam_goes_the_wrong_way():
    """Reddi et al. 2018, arXiv:1904.09237, section 3: f_t = 3 x for t mod 3 = 1, else -x, on [-1, 1]; best is -1."""

    def gradient(x, t):
        return np.array([3.0 if t % 3 == 0 else -1.0])

    def falling(t):
        return 0.5 / np.sqrt(t + 1)

    hyper = {"lr": falling, "beta1": 0.0, "beta2": 1 / (1 + 3**2)}  # Theorem 1
    assert last(gs.adam(**hyper), [0.0], gradient, 600, box=1)[0] > 0.8
    assert last(gs.amsgrad(**hyper), [0.0], gradient, 600, box=1)[0] < -0.8


@pytest.mark.parametrize("beta2", [0.1, 0.5, 0.9, 0.999])
def test_adopt_converges_for_any_beta2(beta2):
    """Taniguchi et al. 2024, arXiv:2411.02853, section 5, the toy problem with k = 10, on [-1, 1]; best is -1."""
    heavy = np.random.default_rng(1).random(4000) < 1 / 10

    def gradient(x, t):
        return np.array([10.0 if heavy[t] else -1.0])

    def falling(t):
        return 0.05 / np.sqrt(1 + 0.01 * t)

    unclipped = gs.adopt(lr=falling, beta2=beta2, clip_exponent=4.0)  # clipped it needs t > 10^4
    path = descend(unclipped, [0.0], gradient, 4000, box=1)
    assert np.mean(list(path)[-1000:]) < -0.5
    if beta2 < 0.99:
        path = descend(gs.adam(lr=falling, beta2=beta2), [0.0], gradient, 4000, box=1)
        assert np.mean(list(path)[-1000:]) > 0.5, "Adam goes to the wrong end"


def test_laprop_stays_bounded_where_adam_does_not():
    """Ziyin et al. 2020, arXiv:2002.04839, section 3: beta1 above sqrt(beta2), one gradient and then little."""
    grads = [1.0] + [1e-9] * 60

    def longest(tx):
        path = [0.0, *(x[0] for x in descend(tx, [0.0], lambda _, t: np.array([grads[t]]), len(grads)))]
        return np.abs(np.diff(path)).max()

    hyper = {"lr": 1.0, "beta1": 0.9, "beta2": 0.5, "eps": 1e-15}
    assert longest(gs.adam(**hyper)) > 100
    assert longest(gs.laprop(**hyper)) < 1.01


def test_stable_adamw_takes_no_long_step_after_quiet():
    """Wortsman et al. 2023, arXiv:2304.13013, section 3: where v is out of date, AdamW's update is much too long."""
    rng = np.random.default_rng(2)
    grads = [1e-3 * rng.normal(size=50) for _ in range(100)] + [rng.normal(size=50)]

    def rms(tx):
        *_, before, after = descend(tx, np.zeros(50), lambda _, t: grads[t], len(grads))
        return np.sqrt(np.mean((after - before) ** 2))

    hyper = {"lr": 1.0, "beta2": 0.99, "weight_decay": 0.0}
    assert rms(gs.adamw(**hyper)) > 0.6
    assert rms(gs.stable_adamw(**hyper)) < 0.2


def test_yogi_forgets_a_large_gradient_slowly():
    """Zaheer et al. 2018, section 3: v falls by a share of g^2, not of itself, so that the rate does not jump up."""
    grads = [10.0] + [0.1] * 3000

    def step(tx):
        *_, before, after = descend(tx, [0.0], lambda _, t: np.array([grads[t]]), len(grads))
        return (before - after)[0]

    assert step(gs.adam(lr=1.0, beta1=0.0, beta2=0.999, eps=1e-3)) > 0.7
    assert step(gs.yogi(lr=1.0, beta1=0.0, beta2=0.999, eps=1e-3, initial_accumulator=1e-6)) < 0.4


# ---- faster on the papers' own functions


def rosenbrock(x, t):
    a, b = x
    return np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])


def test_adabelief_takes_large_steps_along_small_steady_gradients():
    """Zhuang et al. 2020, arXiv:2010.07468, Figure 2: |x| + |y| and a narrow valley, at the same rate."""

    def corner(x, t):
        return np.sign(x)

    def valley(x, t):
        a, b = x
        return np.array([np.sign(a + b) + np.sign(a - b) / 10, np.sign(a + b) - np.sign(a - b) / 10])

    for gradient in (corner, valley):
        left = {}
        for name in ("adam", "adabelief"):
            path = np.array(list(descend(getattr(gs, name)(lr=1e-3), [0.4, 0.3], gradient, 300)))
            left[name] = np.abs(path[-1]).sum()
        assert left["adabelief"] < 0.5 * left["adam"]


def test_ademamix_uses_old_gradients():
    """Pagliardini et al. 2024, arXiv:2409.03137, Figure 2: on Rosenbrock's function it is nearer at the same rate."""
    start, steps = [-3.0, 5.0], 1500
    near = {
        "adam": last(gs.adam(lr=3e-3), start, rosenbrock, steps),
        "ademamix": last(gs.ademamix(lr=3e-3, beta3=0.999, alpha=9.0), start, rosenbrock, steps),
    }
    distance = {name: np.abs(x - 1).max() for name, x in near.items()}
    assert distance["ademamix"] < distance["adam"]


# ---- without a rate to tune


def logistic(n=200, d=10, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * x @ rng.normal(size=d))), 1.0, -1.0)

    def loss(w):
        return np.mean(np.logaddexp(0, -y * (x @ w)))

    def gradient(w, t):
        return -x.T @ (y / (1 + np.exp(y * (x @ w)))) / n

    return loss, gradient, np.zeros(d)


@pytest.mark.parametrize(
    ("free", "plain", "rates"),
    [
        (gs.prodigy(), "adam", np.logspace(-3, 0, 7)),
        (gs.dadapt_adam(), "adam", np.logspace(-3, 0, 7)),
        (gs.dadapt_sgd(), "sgd", np.logspace(-2, 1, 7)),
        (gs.dog(), "sgd", np.logspace(-2, 1, 7)),
        (gs.dowg(), "sgd", np.logspace(-2, 1, 7)),
    ],
    ids=["prodigy", "dadapt_adam", "dadapt_sgd", "dog", "dowg"],
)
def test_as_good_as_a_tuned_rate(free, plain, rates):
    """Mishchenko & Defazio 2023, Defazio & Mishchenko 2023, Ivgi et al. 2023, Khaled et al. 2023: convex, no tuning."""
    loss, gradient, start = logistic()
    lowest = loss(last(gs.adam(lr=0.1), start, gradient, 1000))
    tuned = sorted(loss(last(getattr(gs, plain)(lr=lr), start, gradient, 300)) - lowest for lr in rates)
    found = loss(last(free, start, gradient, 300)) - lowest
    assert found < tuned[2] + 1e-3, "as good as the third of seven rates"
    assert tuned[-1] > 3e-3, "while the wrong rate is much worse"


def digits(steps):
    """Softmax regression on scikit-learn's digits, by batches of 50."""
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    x, hot = np.hstack([x / 16, np.ones((len(x), 1))]), np.eye(10)[y]
    batches = np.random.default_rng(9).integers(0, len(x), (steps, 50))

    def likely(rows, w):
        z = np.exp(rows @ w)
        return z / z.sum(axis=1, keepdims=True)

    def loss(w):
        return -np.mean(np.log(np.sum(likely(x, w) * hot, axis=1)))

    def gradient(w, t):
        rows, wanted = x[batches[t]], hot[batches[t]]
        return rows.T @ (likely(rows, w) - wanted) / len(rows)

    return loss, gradient, np.zeros((65, 10))


def test_digits_need_no_tuned_rate():
    """Better than the second best of rates ten times apart. (DoG's results are those of averaged parameters.)"""
    loss, gradient, start = digits(300)
    for plain, rates, names in (
        (gs.adam, (0.01, 0.1, 1.0), ("prodigy", "dadapt_adam")),
        (gs.sgd, (0.1, 1.0, 10.0), ("dadapt_sgd", "dowg")),
    ):
        _, second, _ = sorted(loss(last(plain(lr=lr), start, gradient, 300)) for lr in rates)
        for name in names:
            assert loss(last(getattr(gs, name)(), start, gradient, 300)) < second, name


# ---- averages in the place of schedules


def noisy(seed=4, steps=3000):
    noise = np.random.default_rng(seed).normal(size=(steps, 8))
    scale = np.linspace(0.3, 1.0, 8)
    return lambda w, t: scale * (w - 1) + noise[t]


def error(w):
    return np.sum((w - 1) ** 2)


def test_schedule_free_needs_no_schedule():
    """Defazio et al. 2024, arXiv:2405.15682: at a constant rate x is as good as with a rate that falls to zero."""
    steps, lr = 3000, 0.3
    constant = error(last(gs.sgd(lr=lr), np.zeros(8), noisy(), steps))
    falling = error(last(gs.sgd(lr=lambda t: lr * (1 - t / steps)), np.zeros(8), noisy(), steps))
    free = error(averaged(gs.schedule_free_sgd(lr=lr), np.zeros(8), noisy(), steps))
    assert free < constant / 10
    assert free < 2 * falling


def test_schedule_free_reads_x():
    """x = (y - (1 - beta1) z) / beta1, the average of z with equal weights: z is plain descent by gradients at y."""
    grads = []

    def gradient(y, t):
        grads.append(noisy()(y, t))
        return grads[-1]

    x = averaged(gs.schedule_free_sgd(lr=0.3), np.zeros(8), gradient, 50)
    np.testing.assert_allclose(x, np.mean(-0.3 * np.cumsum(grads, axis=0), axis=0), rtol=1e-12)


def test_asgds_average_is_better_than_its_last_point():
    """Polyak & Juditsky 1992: the average over all points behind t0, at a rate that hardly falls."""
    steps = 3000
    tx = gs.asgd(lr=0.3, lambd=0.0, t0=100)
    points = np.array(list(descend(tx, np.zeros(8), noisy(), steps)))
    mean = averaged(tx, np.zeros(8), noisy(), steps)
    np.testing.assert_allclose(mean, points[101:].mean(axis=0), rtol=1e-12)
    assert error(mean) < error(points[-1]) / 10


# ---- what moves


@pytest.mark.parametrize("rule", [sign_sgd, gs.signum, gs.lion], ids=lambda rule: rule.name)
def test_signs_move_every_element_as_far(rule):
    """Bernstein et al. 2018, arXiv:1802.04434; Chen et al. 2023, arXiv:2302.06675: only signs are told."""
    rng = np.random.default_rng(5)
    grads = 10.0 ** rng.uniform(-8, 8, (20, 6)) * rng.choice([-1, 1], (20, 6))
    path = np.array([np.zeros(6), *descend(rule(lr=0.25), np.zeros(6), lambda _, t: grads[t], 20)])
    assert (np.abs(np.diff(path, axis=0)) == 0.25).all()


def test_rprop_sees_signs_alone():
    """Riedmiller & Braun 1993: a loss bent by a growing function is descended alike."""

    def plain(x, t):
        return x - 1

    def steep(x, t):
        return (x - 1) * np.exp(3 * (x - 1) ** 2)

    one, two = (np.array(list(descend(gs.rprop(lr=0.1), [3.0, -2.0], f, 40))) for f in (plain, steep))
    assert (one == two).all()
    assert np.abs(one[-1] - 1).max() < 1e-2


def test_ftrl_gives_zeros():
    """McMahan et al. 2013: l1 makes weights that are exactly zero, where steps along the subgradient do not."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(1000, 10))
    y = x[:, 0] - 2 * x[:, 1]

    def gradient(w, t):
        return x[t] * (x[t] @ w - y[t])

    sparse = last(gs.ftrl(lr=0.5, l1=10.0), np.zeros(10), gradient, 1000)
    plain = last(gs.sgd(lr=0.02), np.zeros(10), lambda w, t: gradient(w, t) + 0.02 * np.sign(w), 1000)
    assert np.count_nonzero(sparse) == 2
    assert np.count_nonzero(plain) == 10
