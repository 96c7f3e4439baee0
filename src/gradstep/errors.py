"""Every error that this library raises on purpose.

Each is a :class:`GradstepError` and also the built-in that a caller would expect.
"""


class GradstepError(Exception):
    """Base of all errors that Gradstep raises on purpose."""


class GradstepValueError(GradstepError, ValueError):
    """A value, a shape or a name that does not fit. Nothing has been changed."""


class GradstepTypeError(GradstepError, TypeError):
    """An argument of the wrong type or dtype. Nothing has been changed."""


class NotKeptError(GradstepValueError, AttributeError):
    """An attribute that this object was not asked to keep; how to ask is in the text."""


class GradstepAttributeError(GradstepTypeError, AttributeError):
    """An attribute that an object does not have, so that setting it would do nothing. Nothing has been changed."""


class NonFiniteError(GradstepError, FloatingPointError):
    """A gradient, scalar or parameter is NaN, infinite or too large for the rule. Nothing has been changed."""


class ScalarError(NonFiniteError):
    """A scalar of a rule is not finite or out of the dtype's range: the hyperparameters are at fault, no gradient."""


class InUseError(GradstepError, RuntimeError):
    """An optimizer is used within its own step, where it cannot be. Nothing has been changed by that use."""


class LostError(GradstepError, ConnectionError):
    """Processes that share steps have lost one another: all are to be started again from the last checkpoint."""


class CheckpointError(GradstepValueError):
    """A checkpoint that is damaged, or does not belong to what it is to be restored to. Nothing has been changed."""


class RuleError(GradstepTypeError):
    """A rule is not written in the two-function form that every engine can run."""


class UserCodeError(GradstepError, RuntimeError):
    """A function or file of the user's raised an error, which is the cause of this one."""


class DeviceError(GradstepError, RuntimeError):
    """A CUDA device, or its driver, could not do what was asked of it; the text says whether anything was changed."""
