"""scikit-learn estimators that learn with the optimizers of this package: MLPClassifier and MLPRegressor."""

from gradstep.errors import GradstepError

try:
    import sklearn as sklearn
except ImportError:
    raise GradstepError(
        "gs.interop.sklearn gives scikit-learn's estimators, and scikit-learn is not installed: "
        "pip install 'scikit-learn>=1.6', or use gradstep.nn."
    ) from None

from gradstep.interop.sklearn.classifier import MLPClassifier
from gradstep.interop.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
