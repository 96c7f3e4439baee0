import numpy as np
from benchopt import BaseDataset
from sklearn.datasets import load_breast_cancer


class Dataset(BaseDataset):
    """569 tumours by 30 features, standardised, and a column of ones; it ships in scikit-learn."""

    name = "breast_cancer"

    def get_data(self):
        x, malignant = load_breast_cancer(return_X_y=True)
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        return {"x": np.column_stack([x, np.ones(len(x))]), "y": 2.0 * malignant - 1}
