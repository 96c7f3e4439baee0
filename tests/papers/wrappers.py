"""What changes the gradients, the step or the average of any rule, over lists of numbers (an array) at 80 digits."""

from mpmath import mpf

from .exact import exact
from .matrices import mean, norm


@exact()
def mars(gradients, gamma, beta1, first=0):
    """Yuan et al. 2024, arXiv:2411.10438, Algorithm 2, approximate: the last gradient stands for the one before.

    c_t = g_t + gamma beta1 / (1 - beta1) (g_t - g_{t-1}),   cut to norm 1 where it is longer

    of one array: the gradients that the rule is given. g_0 is zero, as in the authors' code; with first=1 it is g_1, as
    in timm 1.0.31.
    """
    last = gradients[0] if first else [mpf(0)] * len(gradients[0])
    for g in gradients:
        c = [a + gamma * beta1 / (1 - beta1) * (a - b) for a, b in zip(g, last, strict=True)]
        length = norm([c])
        last = g
        yield [a / max(1, length) for a in c]


@exact()
def cautious_heavyball(thetas, moved, gs):
    """HeavyBall 3.2.1: of the step u = thetas - moved what has the gradient's sign stays, times n / max(1, kept).

    The signs are those of the floats: zero goes with the positive, so that nothing is lost where g or u is zero.
    """
    u = [before - after for before, after in zip(thetas, moved, strict=True)]
    kept = [(a < 0) == (g < 0) for a, g in zip(u, gs, strict=True)]
    scale = mpf(len(u)) / max(1, sum(kept))
    return [x - scale * a if keep else x for x, keep, a in zip(thetas, kept, u, strict=True)]


def lookahead(theta0, step, gradients, alpha, k):
    """Zhang et al. 2019 (NeurIPS), arXiv:1907.08610, Algorithm 1, around step(theta, g), which gives the next theta.

    slow starts at theta0; at every k-th step slow = slow + alpha (fast - slow), and the fast weights go on from there.
    """
    fast = slow = theta0
    for t, g in enumerate(gradients, 1):
        fast = step(fast, g)
        if t % k == 0:
            slow = fast = [a + alpha * (b - a) for a, b in zip(slow, fast, strict=True)]
        yield fast


@exact()
def agc(g, w, clip, eps, guard=0):
    """Brock et al. 2021 (ICML), arXiv:2102.06171, equation (3): each unit's gradient is cut to clip max(||w||, eps).

    g and w are matrices whose rows are the units, as in torch's layout; for optax 0.2.8's turn them, and a vector is
    one row. guard is the least that ||g|| counts as a divisor, 1e-6 in the libraries.
    """
    for row, own in zip(g, w, strict=True):
        most = clip * max(norm([own]), eps)
        yield [a * most / max(norm([row]), guard) for a in row] if norm([row]) > most else row


@exact()
def centralize(g):
    """Yong et al. 2020 (ECCV), arXiv:2004.01461, equation (1): each row less its mean; a vector as it is."""
    return g if len(g[0]) == 1 else [[a - mean(row) for a in row] for row in g]


@exact()
def swa(thetas, start=0, every=1):
    """Izmailov et al. 2018 (UAI), arXiv:1803.05407, Algorithm 1: the mean of every `every`-th theta behind `start`.

    thetas are the values of one parameter after updates 1, 2, ...; before the first that counts, theta itself.
    """
    average, n = None, 0
    for t, theta in enumerate(thetas, 1):
        if t > start and (t - start) % every == 0:
            average = theta if n == 0 else (average * n + theta) / (n + 1)
            n += 1
        yield theta if average is None else average


@exact()
def ema_corrected(thetas, decay):
    """The exponential average with Adam's correction: weights decay^(t-i) (1 - decay) / (1 - decay^t), no theta_0."""
    average = mpf(0)
    for t, theta in enumerate(thetas, 1):
        average = decay * average + (1 - decay) * theta
        yield average / (1 - decay**t)


@exact()
def ema_warmed(thetas, decay, gamma=1.0, power=2 / 3):
    """timm 1.0.31, timm/utils/model_ema.py, ModelEmaV3 with use_warmup, its step 1 at the first update.

    Its decay is min(decay, 1 - (1 + n / gamma)^-power), where n counts the updates before: it is zero at the first.
    """
    average = mpf(0)
    for n, theta in enumerate(thetas):
        own = min(decay, 1 - (1 + n / mpf(gamma)) ** -power)
        average = own * average + (1 - own) * theta
        yield average


@exact()
def ema_warmed_tf(theta0, thetas, decay):
    """tf.train.ExponentialMovingAverage with num_updates: "min(decay, (1 + num_updates) / (10 + num_updates))".

    Its shadow starts at the variable, theta0; num_updates is 1 after the first update.
    """
    average = theta0
    for t, theta in enumerate(thetas, 1):
        own = min(decay, mpf(1 + t) / (10 + t))
        average = own * average + (1 - own) * theta
        yield average


@exact()
def polynomial_average(thetas, gamma=8):
    """Shamir & Zhang 2013 (ICML), arXiv:1212.1824, as DoG's authors have it (PolynomialDecayAverager)."""
    average = mpf(0)
    for t, theta in enumerate(thetas, 1):
        w = (gamma + 1) / (gamma + mpf(t))
        average = (1 - w) * average + w * theta
        yield average


@exact()
def proximal_decay(thetas, lr, weight_decay):
    """Xie et al. 2022, arXiv:2208.06677, Algorithm 1, line 8: after the step, theta / (1 + lr weight_decay)."""
    return [theta / (1 + lr * weight_decay) for theta in thetas]


@exact()
def corrected_decay(thetas, lr, top, weight_decay):
    """timm's corrected_weight_decay: theta - lr^2 / top weight_decay theta, with top the largest lr so far."""
    return [theta - lr**2 / top * weight_decay * theta for theta in thetas]


@exact()
def soft_threshold(thetas, lr, l1):
    """The proximal step of l1 |theta|: towards zero by lr l1, and no further."""
    return [max(abs(theta) - lr * l1, mpf(0)) * (1 if theta > 0 else -1) for theta in thetas]


@exact()
def cautious_decay(thetas, moved, lr, weight_decay):
    """HeavyBall 3.2.1, cautious_weight_decay: decay where the step u = thetas - moved goes towards zero as well."""
    return [b - lr * weight_decay * a if (a - b) * a > 0 else b for a, b in zip(thetas, moved, strict=True)]
