"""Phase retrieval: a complex signal from the magnitudes of its Fourier transforms behind eight random masks.

The parameters are complex numbers. Their gradient is twice the derivative by the conjugate, as in torch: the direction
in which the misfit grows fastest. What can't be known is one phase of the whole, so the error is taken up to that.
"""

import numpy as np
from picture import draw

import gradstep as gs

SIZE, MASKS, STEPS = 64, 8, 600
rng = np.random.default_rng(3)
masks = np.exp(2j * np.pi * rng.random((MASKS, SIZE)))
place = np.linspace(-1, 1, SIZE)
truth = np.exp(-8 * place**2) * np.exp(6j * place**3) + 0.5 * (abs(place - 0.4) < 0.15)
measured = abs(np.fft.fft(masks * truth, norm="ortho")) ** 2


def misfit(x):
    """Return half the mean square of what is not explained, and its gradient."""
    waves = np.fft.fft(masks * x, norm="ortho")
    rest = abs(waves) ** 2 - measured
    grad = (masks.conj() * np.fft.ifft(rest * waves, norm="ortho")).sum(axis=0)
    return float((rest**2).mean() / 2), 2 * grad / rest.size


def error(x):
    """Return the relative distance from the truth, at the phase that suits best."""
    return float(np.linalg.norm(x * np.exp(-1j * np.angle(np.vdot(truth, x))) - truth) / np.linalg.norm(truth))


start = rng.standard_normal(SIZE) + 1j * rng.standard_normal(SIZE)
curves = {}
for rule, lr in (("sgd", 8.0), ("momentum", 2.0), ("adam", gs.schedules.cosine(0.2, STEPS))):
    run = gs.Run(misfit, start, rule, lr=lr, max_steps=STEPS)
    curves[rule] = [step.value for step in run]
    print(f"{rule:9} misfit {misfit(run.params)[0]:.1e}, error of the signal {error(run.params):.1e}")
draw(curves, "Misfit of the magnitudes", log=True)
