"""The oracles that no golden values hold, beside the libraries that are installed, on drawn numbers."""

from importlib import import_module

import numpy as np
import pytest

from . import (
    lars_optax,
    momo,
    muon_keras,
    muon_torch,
    polyak,
    psgd_kron,
    schedule_free_adamw,
    schedule_free_sgd,
    wrappers,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' affairs

STEPS = 12
RNG = np.random.default_rng(7)
THETA, GRADS = RNG.normal(size=(3, 2)), RNG.normal(size=(STEPS, 3, 2))
LOSS = RNG.uniform(0.1, 2.0, STEPS)


def floats(path):
    return np.array([[[float(x) for x in row] for row in theta] for theta in path])


def one_by_one(trajectory, **hyper):
    own = [trajectory(x, GRADS[(slice(None), *i)].tolist(), **hyper) for i, x in np.ndenumerate(THETA)]
    return np.array([[float(x) for x in theta] for theta in zip(*own, strict=True)]).reshape(STEPS, 3, 2)


def all_together(trajectory, **hyper):
    path = trajectory(THETA.ravel().tolist(), [g.ravel().tolist() for g in GRADS], **hyper)
    return np.array([[float(x) for x in theta] for theta in path]).reshape(STEPS, 3, 2)


def of_optax(make, **arguments):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        tx, params, out = make(optax, **arguments), jax.numpy.array(THETA), []
        state = tx.init(params)
        for g, loss in zip(GRADS, LOSS, strict=True):
            updates, state = tx.update(jax.numpy.array(g), state, params, value=jax.numpy.array(loss))
            params = optax.apply_updates(params, updates)
            out.append(np.array(params))
        return np.array(out)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lr", [0.05, 10.0])
def test_polyak_is_optaxs(lr):
    expected = of_optax(lambda lib: lib.polyak_sgd(max_learning_rate=lr, f_min=0.05, eps=0.1, variant="sps+"))
    close(all_together(polyak.trajectory, loss=LOSS.tolist(), lr=lr, f_min=0.05, eps=0.1), expected)


@pytest.mark.parametrize("lr", [0.05, 10.0])
def test_momo_is_optaxs(lr):
    expected = of_optax(lambda lib: lib.contrib.momo(lr, beta=0.8, lower_bound=0.05))
    close(all_together(momo.trajectory, loss=LOSS.tolist(), lr=lr, f_min=0.05, beta=0.8), expected)


def test_schedule_free_is_optaxs_without_a_warm_up():
    close(one_by_one(schedule_free_sgd.trajectory, lr=0.1), of_optax(lambda lib: lib.contrib.schedule_free_sgd(0.1)))
    expected = of_optax(lambda lib: lib.contrib.schedule_free_adamw(0.01, weight_decay=0.1))
    close(one_by_one(schedule_free_adamw.trajectory, lr=0.01, weight_decay=0.1), expected)


def test_lars_is_optaxs_with_nesterov():
    expected = of_optax(lambda lib: lib.lars(0.5, weight_decay=0.1, trust_coefficient=0.3, eps=0.1, nesterov=True))
    hyper = {"lr": 0.5, "weight_decay": 0.1, "trust": 0.3, "eps": 0.1, "nesterov": 1}
    close(all_together(lars_optax.trajectory, **hyper), expected)


def of_torch(make):
    torch = pytest.importorskip("torch")
    x, out = torch.tensor(THETA, requires_grad=True), []
    opt = make(torch, x)
    for g in GRADS:
        x.grad = torch.tensor(g)
        opt.step()
        out.append(x.detach().numpy().copy())
    return np.array(out)


@pytest.mark.parametrize(
    ("given", "own"), [({"adjust_lr_fn": "match_rms_adamw"}, {"matched": 1}), ({"nesterov": False}, {"nesterov": 0})]
)
def test_muon_is_torchs(given, own, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    expected = of_torch(lambda lib, x: lib.optim.Muon([x], lr=0.1, **given))
    close(floats(muon_torch.trajectory(THETA.tolist(), GRADS.tolist(), lr=0.1, **own)), expected)


def test_muon_is_kerass_without_nesterov():
    keras = pytest.importorskip("keras")
    from references.record.keras import floats as in_float64

    with in_float64("float64"):
        x, out = keras.Variable(THETA, dtype="float64", name="w"), []
        opt = keras.optimizers.Muon(0.1, nesterov=False, rms_rate=0.3, weight_decay=0.1)
        opt.build([x])
        for g in GRADS:
            opt.apply([keras.ops.convert_to_tensor(g, dtype="float64")])
            out.append(np.array(keras.ops.convert_to_numpy(x)))
    hyper = {"lr": 0.1, "nesterov": 0, "rms_rate": 0.3, "weight_decay": 0.1}
    actual = floats(muon_keras.trajectory(THETA.tolist(), GRADS.tolist(), **hyper))
    np.testing.assert_allclose(actual, out, rtol=0, atol=1e-7)  # Keras' lr is of float32


def test_agc_is_optaxs():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    g = GRADS[0]
    expected = wrappers.agc(g.T.tolist(), THETA.T.tolist(), 0.5, 1e-3, 1e-6)
    with jax.enable_x64(True):
        tx = optax.adaptive_grad_clip(0.5, eps=1e-3)
        got, _ = tx.update(jax.numpy.array(g), tx.init(THETA), jax.numpy.array(THETA))
    close(np.array(got).T, floats([expected])[0])


def test_agc_is_timms():
    torch, timm, g = pytest.importorskip("torch"), skipped_unless("timm.utils.agc"), GRADS[0]
    x = torch.tensor(THETA, requires_grad=True)
    x.grad = torch.tensor(g)
    timm.adaptive_clip_grad([x], clip_factor=0.5, eps=1e-3)
    close(x.grad.numpy(), floats([wrappers.agc(g.tolist(), THETA.tolist(), 0.5, 1e-3, 1e-6)])[0])


def test_centralize_is_optaxs():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        tx = optax.centralize()
        got, _ = tx.update(jax.numpy.array(GRADS[0]), tx.init(THETA))
    close(np.array(got), floats([wrappers.centralize(GRADS[0].tolist())])[0])


def averages_of_torch(**arguments):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    average = torch.optim.swa_utils.AveragedModel(model, **arguments)
    for g in GRADS[:, 0, 0]:
        with torch.no_grad():
            model.weight.fill_(g)
        average.update_parameters(model)
        yield average.module.weight.item()


def test_swa_is_torchs():
    close([float(x) for x in wrappers.swa(GRADS[:, 0, 0].tolist())], list(averages_of_torch()))


def test_corrected_average_is_optaxs():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        tx, out = optax.ema(0.8, debias=True), []
        state = tx.init(jax.numpy.zeros(()))
        for g in GRADS[:, 0, 0]:
            mean, state = tx.update(jax.numpy.array(g), state)
            out.append(float(mean))
    close([float(x) for x in wrappers.ema_corrected(GRADS[:, 0, 0].tolist(), 0.8)], out)


def test_warmed_average_is_timms():
    torch, timm = pytest.importorskip("torch"), skipped_unless("timm.utils.model_ema")
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    average, out = timm.ModelEmaV3(model, decay=0.7, use_warmup=True, warmup_gamma=2.0), []
    for t, g in enumerate(GRADS[:, 0, 0], 1):
        with torch.no_grad():
            model.weight.fill_(g)
        average.update(model, step=t)
        out.append(average.module.weight.item())
    close([float(x) for x in wrappers.ema_warmed(GRADS[:, 0, 0].tolist(), 0.7, gamma=2.0)], out)


def test_polynomial_average_is_dogs():
    torch, dog = pytest.importorskip("torch"), pytest.importorskip("dog")
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    average, out = dog.PolynomialDecayAverager(model, gamma=8), []
    for g in GRADS[:, 0, 0]:
        with torch.no_grad():
            model.weight.fill_(g)
        average.step()
        out.append(average.averaged_model.weight.item())
    close([float(x) for x in wrappers.polynomial_average(GRADS[:, 0, 0].tolist())], out)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (4,), (1, 3)])
def test_kron_is_timms(shape, monkeypatch):
    torch, kron = pytest.importorskip("torch"), skipped_unless("timm.optim.kron")
    rng = np.random.default_rng(8)
    x, grads, noise = rng.normal(size=shape), rng.normal(size=(5, *shape)), rng.normal(size=(5, *shape))
    given = iter(noise)
    monkeypatch.setattr(torch, "randn", lambda *args, **kwargs: torch.tensor(next(given)))
    monkeypatch.setattr(torch, "compile", lambda function, **kwargs: function)
    monkeypatch.setattr(torch.Tensor, "to", lambda x, dtype: x)  # what is solved in float32
    theta, out = torch.tensor(x, requires_grad=True), []
    opt = kron.Kron([theta], lr=0.1, weight_decay=0.1, precond_dtype=torch.float64)
    opt.rng.random = lambda: 0.5  # no balance
    for g in grads:
        theta.grad = torch.tensor(g)
        opt.step()
        out.append(theta.detach().numpy().reshape(len(x), -1).copy())
    matrices = [[a.reshape(len(x), -1).tolist() for a in arrays] for arrays in (grads, noise)]
    path = psgd_kron.trajectory(
        x.reshape(len(x), -1).tolist(), matrices[0], noise=matrices[1], lr=0.1, weight_decay=0.1
    )
    close(floats(path), np.array(out))


def skipped_unless(module):
    """timm's module; its models need a torchvision that fits torch."""
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{module}: {error}")
