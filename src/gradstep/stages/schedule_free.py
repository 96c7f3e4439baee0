"""Schedule-free averaging around any rule. Defazio et al. 2024 (NeurIPS 37), arXiv:2405.15682, Algorithm 1.

It comes behind all that moves theta, which is the paper's y, where gradients are taken: z makes the whole step that
was made before it, a decay too, and x, an average of z, is the result: ``opt.averaged()``. Updates are weighed by the
square of the largest lr so far, so a schedule of lr may warm up and should not fall. The rule should have no momentum
of its own: ``gs.chain(gs.decay(), gs.adam(beta1=0.0), gs.schedule_free())`` is :func:`gradstep.schedule_free_adamw`.

What a rule takes from the parameters, as LAMB does, it takes from y; the authors' wrapper hands it z.

Shapes: before, theta, g, x, z alike.   Units: x, z in [theta]; beta is a pure number.
"""

from gradstep.rule import Fraction, shared, stage


def scalars(top, total_weight, lr=shared, beta: Fraction = 0.9):
    top = max(top, lr)
    total_weight = total_weight + top * top
    share = top * top / total_weight if total_weight else 0.0
    return dict(top=top, total_weight=total_weight, share=share, kept=1 - beta * (1 - share))


def read(theta, x, z):
    return x


@stage(scalars, wraps="all", state="x z", start={"x": "theta", "z": "theta"},
       memory={"top": 0.0, "total_weight": 0.0}, read=read)
def schedule_free(before, theta, g, x, z, share, kept):
    step = theta - before
    theta = before + share * (z - before) + kept * step
    z = z + step
    x = x + share * (z - x)
    return theta, g, x, z
