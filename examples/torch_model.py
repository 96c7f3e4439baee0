"""A torch model, trained as always, with rules that torch.optim does not have. Needs torch and scikit-learn.

``gs.interop.torch.Optimizer`` is a torch optimizer: parameter groups, ``zero_grad``, ``state_dict`` and torch's
schedulers work as they do with torch's own.
"""

import torch
from picture import draw
from sklearn.datasets import load_digits

import gradstep as gs

torch.set_num_threads(1)
pixels, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
train, test, loss_of = slice(0, 1400), slice(1400, None), torch.nn.CrossEntropyLoss()

curves = {}
for rule, hyper in (("torch.AdamW", {"lr": 5e-3}), ("lion", {"lr": 2e-3}), ("schedule_free_adamw", {"lr": 1e-2})):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    opt, curves[rule] = gs.interop.torch.Optimizer(model.parameters(), rule, **hyper), []
    for _ in range(5):
        for batch in torch.randperm(1400).split(100):
            opt.zero_grad()
            loss = loss_of(model(x[train][batch]), y[train][batch])
            loss.backward()
            opt.step()
            curves[rule].append(loss.item())
    with torch.no_grad():
        right = (model(x[test]).argmax(dim=1) == y[test]).float().mean()
    print(f"{rule:19} loss {curves[rule][-1]:.3f}, {right:.1%} of the test digits read")
draw(curves, "Loss of a batch, digits", log=True)
