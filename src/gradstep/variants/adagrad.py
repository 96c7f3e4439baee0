"""Adagrad as torch, Keras, optax and TensorFlow 1 have it: sums that start above zero, and other places for eps.

Shapes: theta, g, s alike.   Units: [g] = loss/[theta]; s, initial_accumulator in [g]^2; lr in [theta].
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.adagrad import adagrad
from gradstep.vocabulary import sqrt, where

START = {"s": "initial_accumulator"}


@variant(adagrad, start=START, units={"lr": "theta", "eps": "g", "initial_accumulator": "g*g"})
def adagrad_decaying(t, lr=1e-2, eps=1e-10, initial_accumulator: NonNegative = 0.0, lr_decay: NonNegative = 0.0):
    """torch 2.13, Adagrad: a learning rate that falls as 1/t, and sums that may start above zero.

    Units: [g] = loss/[theta]; s, initial_accumulator in [g]^2; lr in [theta]; eps in [g]; lr_decay is a pure number.
    """
    return dict(lr=lr / (1 + (t - 1) * lr_decay), eps=eps)


def inside(lr=1e-3, eps=1e-7, initial_accumulator: NonNegative = 0.1):
    return dict(lr=lr, eps=eps)


@rule(inside, state="s", nonnegative="s", start=START, power=2,
      units={"lr": "theta", "eps": "g*g", "initial_accumulator": "g*g"}, search=10.0)
def adagrad_inside(theta, g, s, lr, eps):
    """Keras 3.15, Adagrad, and optax's: eps inside of the root.

    Units: [g] = loss/[theta]; s, eps, initial_accumulator in [g]^2; lr in [theta].
    """
    s = s + g * g
    theta = theta - lr * g / sqrt(s + eps)
    return theta, g, s


def bare(lr=1e-3, initial_accumulator: NonNegative = 0.1):
    return dict(lr=lr)


@rule(bare, state="s", nonnegative="s", start=START, power=2, units={"lr": "theta", "initial_accumulator": "g*g"},
      search=10.0)
def adagrad_without_eps(theta, g, s, lr):
    """TensorFlow 1, AdagradOptimizer: no eps, for the sums start above zero. Where one is zero, so is the step.

    Units: [g] = loss/[theta]; s, initial_accumulator in [g]^2; lr in [theta].
    """
    s = s + g * g
    theta = theta - lr * where(s > 0.0, g / sqrt(s), 0.0)
    return theta, g, s
