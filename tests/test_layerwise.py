"""Layer-wise decay: the factors of timm's rule, and steps by hand."""

import numpy as np
import pytest

import gradstep as gs

LAYERS = ["embed", "block.0.*", "block.1.*", "head.*"]


def test_factors_are_those_of_beit():
    """In timm and BeiT a layer with number i of n has decay^(n - 1 - i): the head is the last one."""
    decay, scales = 0.75, [0.75 ** (4 - 1 - i) for i in range(4)]
    assert [own["lr"].factor for own in gs.layerwise(LAYERS, decay).values()] == pytest.approx(scales[::-1], rel=1e-15)
    assert {name: own["lr"].factor for name, own in gs.layerwise(LAYERS, decay).items()} == pytest.approx(
        dict(zip(LAYERS, scales, strict=True))
    )


def test_a_step_has_the_rates_and_follows_a_schedule():
    params = {"embed": np.zeros(2), "block": [{"w": np.zeros(1)}, {"w": np.zeros(1)}], "head": {"w": np.zeros(1)}}
    groups = gs.layerwise(LAYERS, 0.5) | {"head.*": {"lr": gs.times(3.0)}}
    opt = gs.Optimizer(params, "sgd", lr=gs.schedules.linear(1.0, 2), groups=groups)
    ones = {"embed": np.ones(2), "block.0.w": np.ones(1), "block.1.w": np.ones(1), "head.w": np.ones(1)}
    opt.step(ones)
    assert [params["embed"][0], params["block"][0]["w"][0], params["head"]["w"][0]] == [-0.125, -0.25, -3.0]
    opt.step(ones)
    assert [params["embed"][0], params["block"][1]["w"][0], params["head"]["w"][0]] == [-0.1875, -0.75, -4.5]


@pytest.mark.parametrize(
    ("layers", "decay", "error", "says"),
    [
        ("embed", 0.5, gs.GradstepTypeError, "layers must be a list of name patterns, not 'embed'"),
        ([1], 0.5, gs.GradstepTypeError, "list of name patterns"),
        (["a", "a"], 0.5, gs.GradstepValueError, "the pattern 'a' is there twice"),
        (["a"], 0.0, gs.GradstepValueError, "layerwise: decay"),
        (["a"], "0.5", gs.GradstepTypeError, "layerwise: decay"),
    ],
)
def test_errors(layers, decay, error, says):
    with pytest.raises(error, match=says):
        gs.layerwise(layers, decay)
