"""Small networks on NumPy, to train with the optimizers of this package: feed-forward and convolutional, no more.

>>> import numpy as np
>>> from gradstep.nn import Dense, Sequential
>>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
>>> y = np.array([0, 1, 1, 0])
>>> model = Sequential([Dense(2, 8, "tanh"), Dense(8, 2, "softmax")])
>>> model.compile("adam", lr=0.05, loss="cross_entropy").fit(x, y, epochs=100, progress=False).accuracy[-1]
1.0
"""

from gradstep.nn.convolution import Conv2D, MaxPool2D
from gradstep.nn.data import Evaluation, History
from gradstep.nn.layers import Dense, Dropout, Flatten
from gradstep.nn.sequential import Sequential

__all__ = ["Conv2D", "Dense", "Dropout", "Evaluation", "Flatten", "History", "MaxPool2D", "Sequential"]
