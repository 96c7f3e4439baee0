import numpy as np

params = {"x": np.array([-1.5, 2.0])}


def value_and_grad(p):
    x, y = p["x"]
    value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
    return float(value), {"x": np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)])}


class Valley:
    params = params

    def value_and_grad(self, p):
        return value_and_grad(p)
