import torch
from benchopt import BaseSolver


class Solver(BaseSolver):
    """torch's own Adam, handed the same gradients."""

    name = "torch-adam"
    parameters = {"lr": [0.1], "fused": [False, True]}
    requirements = ["pip::torch"]

    def set_objective(self, value, gradient, n_features):
        self.gradient, self.n_features = gradient, n_features

    def warm_up(self):
        self.run_once(2)

    def run(self, callback):
        w = torch.zeros(self.n_features, dtype=torch.float64, requires_grad=True)
        self.w = w.detach().numpy()  # the same memory
        opt = torch.optim.Adam([w], lr=self.lr, fused=self.fused)
        while callback():
            w.grad = torch.from_numpy(self.gradient(self.w))
            opt.step()

    def get_result(self):
        return {"w": self.w}
