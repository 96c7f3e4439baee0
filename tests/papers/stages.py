"""The stages once more, as plain functions over lists of numbers (a "tensor" is a list), at 80 digits.

Clipping by norm is Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, Algorithm 1:

    if ||g|| >= threshold:  g = (threshold / ||g||) g

(written with > below: at equality the factor is one). The library clips one tensor, or all of them as one vector.
Unscaling is Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.
Weight decay, arXiv:1711.05101 (Loshchilov & Hutter 2019): l2 goes into the gradient, decay into the parameter.
The average is that of Polyak & Juditsky 1992 with exponential weights, and no bias correction: it starts at theta0,
or, as Keras' use_ema (Keras 3.15, keras/src/optimizers/base_optimizer.py), at the parameter after the first update.
The scalings are the RMSprops of the libraries without their lr, over the gradients that one element gets:

    v_t = rho v_{t-1} + (1 - rho) g_t^2,   v_0 = initial_accumulator
    a_t = rho a_{t-1} + (1 - rho) g_t,     a_0 = 0                     (centered)

- g_t / (sqrt(v_t) + eps) and g_t / (sqrt(v_t - a_t^2) + eps): torch 2.13, torch/optim/rmsprop.py (without v_0)
- inside, g_t / sqrt(v_t + eps) and g_t / sqrt(v_t - a_t^2 + eps): Keras 3.15, keras/src/optimizers/rmsprop.py (without
  v_0), and optax 0.2.8, optax/_src/transform.py, scale_by_rms and scale_by_stddev
- corrected, v_t / (1 - rho^t) and a_t / (1 - rho^t) take the place of v_t and a_t: optax with bias_correction=True. v_0
  is divided as well.

v_t - a_t^2 is a variance and never negative. Where it is zero, as after the first gradient of the corrected ones, only
eps is left to divide by, and the libraries, whose difference is rounded, can meet the root of a negative number.
"""

from mpmath import mpf, sqrt

from .exact import exact


def norm(values):
    return sqrt(sum(value**2 for value in values))


def clipped(values, length, max_norm):
    return [value * max_norm / length for value in values] if length > max_norm else values


@exact()
def clip_by_value(gs, max_value):
    return [min(max(g, -max_value), max_value) for g in gs]


@exact()
def clip_by_norm(tensors, max_norm):
    return [clipped(tensor, norm(tensor), max_norm) for tensor in tensors]


@exact()
def clip_by_global_norm(tensors, max_norm):
    length = norm([value for tensor in tensors for value in tensor])
    return [clipped(tensor, length, max_norm) for tensor in tensors]


@exact()
def unscale(gs, loss_scale):
    return [g / loss_scale for g in gs]


@exact()
def l2(gs, thetas, weight_decay):
    return [g + weight_decay * theta for g, theta in zip(gs, thetas, strict=True)]


@exact()
def decay(thetas, lr, weight_decay):
    return [theta - lr * weight_decay * theta for theta in thetas]


@exact()
def cautious(thetas, moved, gs):
    """Liang et al. 2024, arXiv:2411.16085, Algorithm 1, of u = thetas - moved: w = w - alpha phi(u g) u for one array.

    phi is 1 where u g > 0, else 0; alpha = d / (nnz(phi) + 1), with d the number of elements.
    """
    u = [before - after for before, after in zip(thetas, moved, strict=True)]
    phi = [1 if a * g > 0 else 0 for a, g in zip(u, gs, strict=True)]
    alpha = mpf(len(u)) / (sum(phi) + 1)
    return [x - alpha * p * a for x, p, a in zip(thetas, phi, u, strict=True)]


@exact()
def cautious_mean(thetas, moved, gs):
    """The authors' c_adamw.py (capturable) and timm: phi over its mean, which counts as 0.001 where it is less."""
    u = [before - after for before, after in zip(thetas, moved, strict=True)]
    phi = [1 if a * g > 0 else 0 for a, g in zip(u, gs, strict=True)]
    alpha = 1 / max(mpf(sum(phi)) / len(u), mpf("0.001"))
    return [x - alpha * p * a for x, p, a in zip(thetas, phi, u, strict=True)]


@exact()
def ema(theta0, thetas, decay):
    """Return the average after each of `thetas`, the values that one parameter takes after theta0."""
    average = theta0
    for theta in thetas:
        average = decay * average + (1 - decay) * theta
        yield average


@exact()
def ema_after_first(thetas, decay):
    """Return the average after each of `thetas`, the values after the updates: it starts at the first of them."""
    first, *later = thetas
    return [first, *ema(first, later, decay)]


def moments(gs, rho, initial_accumulator, corrected):
    """Yield each gradient with the mean of the squares and the square of the mean so far."""
    v, a = initial_accumulator, mpf(0)
    for t, g in enumerate(gs, 1):
        v = rho * v + (1 - rho) * g**2
        a = rho * a + (1 - rho) * g
        weight = 1 - rho**t if corrected else 1
        yield g, v / weight, (a / weight) ** 2


def variance(square, mean_square):
    """Return their difference, and zero where 80 digits make it negative."""
    return max(square - mean_square, mpf(0))


@exact()
def scale_by_rms(gs, rho, eps, initial_accumulator=0):
    return [g / (sqrt(v) + eps) for g, v, _ in moments(gs, rho, initial_accumulator, corrected=False)]


@exact()
def scale_by_rms_corrected(gs, rho, eps, initial_accumulator=0):
    return [g / (sqrt(v) + eps) for g, v, _ in moments(gs, rho, initial_accumulator, corrected=True)]


@exact()
def scale_by_rms_inside(gs, rho, eps, initial_accumulator=0):
    return [g / sqrt(v + eps) for g, v, _ in moments(gs, rho, initial_accumulator, corrected=False)]


@exact()
def scale_by_rms_inside_corrected(gs, rho, eps, initial_accumulator=0):
    return [g / sqrt(v + eps) for g, v, _ in moments(gs, rho, initial_accumulator, corrected=True)]


@exact()
def scale_by_centered_rms(gs, rho, eps, initial_accumulator=0):
    return [g / (sqrt(variance(v, a2)) + eps) for g, v, a2 in moments(gs, rho, initial_accumulator, corrected=False)]


@exact()
def scale_by_centered_rms_corrected(gs, rho, eps, initial_accumulator=0):
    return [g / (sqrt(variance(v, a2)) + eps) for g, v, a2 in moments(gs, rho, initial_accumulator, corrected=True)]


@exact()
def scale_by_centered_rms_inside(gs, rho, eps, initial_accumulator=0):
    return [g / sqrt(variance(v, a2) + eps) for g, v, a2 in moments(gs, rho, initial_accumulator, corrected=False)]


@exact()
def scale_by_centered_rms_inside_corrected(gs, rho, eps, initial_accumulator=0):
    return [g / sqrt(variance(v, a2) + eps) for g, v, a2 in moments(gs, rho, initial_accumulator, corrected=True)]
