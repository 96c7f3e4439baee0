import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Normal features on scales over a decade, labels drawn from the logistic model; drawn anew for each repetition."""

    name = "simulated"
    parameters = {"n_samples": [500], "n_features": [20]}
    test_parameters = {"n_samples": [50], "n_features": [5]}

    def get_data(self):
        rng = np.random.default_rng(self.get_seed(use_dataset=True, use_repetition=True))
        x = rng.standard_normal((self.n_samples, self.n_features)) * np.geomspace(0.3, 3, self.n_features)
        margins = x @ rng.standard_normal(self.n_features)
        return {"x": x, "y": np.where(rng.logistic(size=self.n_samples) < margins, 1.0, -1.0)}
