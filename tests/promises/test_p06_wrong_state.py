"""P6: state that does not belong is refused by name, and the optimizer stays as it was; another order is no matter."""

import contextlib
import json

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.tree import flatten
from gradstep.checkpoint import state as product
from promises.fuzz import parts, whole
from support import clear, fingerprint, mapped, normal, same, states

DECAY = gs.adamw(lr=0.1)


def params(**other):
    return {"enc": {"w": np.arange(6.0).reshape(2, 3), "b": np.ones(3)}, "head": np.ones((3, 2), "f4"), **other}


def made(tree=None, tx=DECAY, **options):
    tree = params() if tree is None else tree
    opt = gs.Optimizer(tree, tx, **options)
    rng = np.random.default_rng(1)
    for _ in range(3):
        opt.step(mapped(tree, lambda x: normal(rng, x)))
    return opt


def without(tree, *path):
    (*above, last), node = path, tree
    for key in above:
        node = node[key]
    del node[last]
    return tree


def swapped():
    """Positions as they were, names exchanged: what loaders by position take for the same."""
    tree = params()
    return {"enc": {"b": tree["enc"]["w"], "w": tree["enc"]["b"]}, "head": tree["head"]}


GROUP = {"groups": {"*.b": {"weight_decay": 0.0}}}
WRONG = {
    "missing in the file": (made, lambda: made(params(more=np.ones(2))), r"parameter 'more' is missing in the file"),
    "missing here": (made, lambda: made(without(params(), "enc", "b")), r"parameter 'enc\.b' is in the file alone"),
    "renamed": (made, lambda: made({**without(params(), "head"), "neck": np.ones((3, 2), "f4")}), r"'neck' is missing"),
    "shape": (
        made,
        lambda: made(params(head=np.ones((2, 3), "f4"))),
        r"'head' has the shape \(3, 2\) in the file, and",
    ),
    "more dimensions": (made, lambda: made(params(head=np.ones((3, 2, 1), "f4"))), r"'head' has the shape"),
    "dtype": (made, lambda: made(params(head=np.ones((3, 2)))), r"'head' is float32 in the file, and float64 here"),
    "two names exchanged": (made, lambda: made(swapped()), r"'enc\.b' has the shape|'enc\.w' has the shape"),
    "another rule": (made, lambda: made(tx="sgd"), r"its rule is adamw, and sgd here"),
    "another rule, same slots": (made, lambda: made(tx=gs.adam(lr=0.1)), r"its rule is adamw, and adam here"),
    "a stage more": (made, lambda: made(tx=gs.chain(DECAY, gs.ema())), r"its rule is adamw, and chain\(adamw, ema\)"),
    "stages in another order": (
        lambda: made(tx=gs.chain(gs.l2(0.1), gs.clip_by_norm(1.0), DECAY)),
        lambda: made(tx=gs.chain(gs.clip_by_norm(1.0), gs.l2(0.1), DECAY)),
        r"its rule is chain\(l2, clip_by_norm, adamw\), and chain\(clip_by_norm, l2, adamw\)",
    ),
    "another name of a stage": (made, lambda: made(tx=gs.adamw(lr=0.1, name="x")), r"and adamw called 'x' here"),
    "groups in the file": (lambda: made(**GROUP), made, r"'enc\.b' has {'weight_decay': 0\.0} of its own in the file"),
    "groups here": (made, lambda: made(**GROUP), r"'enc\.b' has no values of its own in the file, and has"),
    "frozen in the file": (lambda: made(groups={"head": "freeze"}), made, r"'head' is frozen in the file, and has no"),
    "frozen here": (
        made,
        lambda: made(groups={"head": "freeze"}),
        r"'head' has no values of its own in the file, and is",
    ),
    "state_dtype": (
        lambda: made({"w": np.ones(300, "f4")}, state_dtype="8bit"),
        lambda: made({"w": np.ones(300, "f4")}),
        r"state_dtype is '8bit' in the file, and None here",
    ),
    "master": (
        lambda: made({"w": np.ones(3, "f2")}, master=True),
        lambda: made({"w": np.ones(3, "f2")}),
        r"master is True in the file, and False here",
    ),
    "seed of the rounding": (
        lambda: made({"w": np.ones(3, "f4")}, state_dtype="bfloat16", seed=1),
        lambda: made({"w": np.ones(3, "f4")}, state_dtype="bfloat16", seed=2),
        r"seed is 1 in the file, and 2 here",
    ),
    "a function as schedule": (
        lambda: made(tx=gs.adamw(lr=lambda t: 0.1)),
        made,
        r"lr follows the function '.*<lambda>', which no file can hold",
    ),
}
FILES = {
    "a later format": ({"format": 2}, r"has format 2, and this version of the library reads up to 1"),
    "no optimizer": ({"optimizer": None}, r"it holds no optimizer"),
    "no format": ({"format": None}, r"without the number of its format"),
}


def refused(opt, path, text):
    before = fingerprint(opt)
    with pytest.raises(gs.CheckpointError, match=text) as error:
        opt.restore(path)
    assert clear(error)
    assert path.name in str(error.value)
    assert fingerprint(opt) == before


def test_what_differs_is_refused_by_name(tmp_path, figure):
    for k, (_, (theirs, ours, text)) in enumerate(WRONG.items()):
        path = tmp_path / f"{k}.safetensors"
        theirs().save(path)
        refused(ours(), path, text)
        again = theirs()  # what was saved does fit where it came from
        if "function" not in text:
            again.restore(path)
    figure("P6", f"refused by name, hash of the optimizer unchanged: {len(WRONG)} / {len(WRONG)} kinds of difference")


def test_other_files_are_refused(tmp_path, figure):
    made().save(tmp_path / "run.safetensors")
    manifest, payload = parts((tmp_path / "run.safetensors").read_bytes())
    for k, (_, (change, text)) in enumerate(FILES.items()):
        path = tmp_path / f"{k}.safetensors"
        other = {key: x for key, x in (manifest | change).items() if x is not None}
        path.write_bytes(whole(json.dumps(other, sort_keys=True, separators=(",", ":")), manifest["tensors"], payload))
        refused(made(), path, text)
    figure("P6", f"later formats and files without an optimizer refused: {len(FILES)} / {len(FILES)}")


def orders():
    tree = params()
    yield {"head": tree["head"], "enc": {"b": tree["enc"]["b"], "w": tree["enc"]["w"]}}
    yield {"enc.w": tree["enc"]["w"], "head": tree["head"], "enc.b": tree["enc"]["b"]}
    yield {"enc.b": tree["enc"]["b"], "enc": {"w": tree["enc"]["w"]}, "head": tree["head"]}


def test_another_order_of_the_same_names_is_equal(tmp_path, figure):
    opt = made()
    opt.save(tmp_path / "run.safetensors")
    flat = {"enc.w": opt.params["enc"]["w"], "enc.b": opt.params["enc"]["b"], "head": opt.params["head"]}
    count = 0
    for tree in orders():
        other = gs.Optimizer(tree, DECAY)
        other.restore(tmp_path / "run.safetensors")
        nest, leaves = flatten(other.params)
        by_name = dict(zip(nest.names, leaves, strict=True))
        assert same({k: by_name[k] for k in flat}, flat)
        assert same(dict(sorted(states(other).items())), dict(sorted(states(opt).items())))
        count += 1
    figure("P6", f"permuted or nested otherwise: equal {count} / {count}")


def test_control_without_a_look_at_the_arrays(tmp_path, monkeypatch, control):
    """Wrong state is taken, or half of it before an error comes: the hash of the optimizer shows it."""
    monkeypatch.setattr("gradstep.checkpoint.transfer.array_differences", lambda *args: [])
    monkeypatch.setattr(product.Saved, "differences", lambda *args: [])
    changed = 0
    for k, (theirs, ours, _) in enumerate(WRONG.values()):
        path = tmp_path / f"{k}.safetensors"
        theirs().save(path)
        opt = ours()
        before = fingerprint(opt)
        with contextlib.suppress(Exception):  # whatever comes of it
            opt.restore(path)
        changed += fingerprint(opt) != before
    assert changed > len(WRONG) // 2
    control("P6", f"without a look at names, shapes and rules: changed {changed} / {len(WRONG)}")
