"""Functions of the updates made as learning rates of Keras."""
# Keras is not installed where types are checked.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from gradstep import schedules
from gradstep.interop import traced
from gradstep.schedules.saving import from_json, to_json


@keras.saving.register_keras_serializable("gradstep")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """One of :mod:`gradstep.schedules`, or any function of the updates made, as a schedule of Keras.

    Parameters
    ----------
    schedule
        The function; or one of Gradstep's as JSON has it.
    """

    def __init__(self, schedule: Any) -> None:
        self.schedule = from_json(schedule) if isinstance(schedule, Mapping) else schedule

    def __call__(self, step: Any) -> Any:
        """The learning rate when ``step`` updates have been made."""
        return traced.scheduled(self.schedule, ops.convert_to_tensor(step))

    def get_config(self) -> dict[str, Any]:
        """Return the config for ``from_config``; a :class:`GradstepTypeError` for a plain function."""
        return {"schedule": to_json(self.schedule)}


def rate_of(given: Any, own: Any) -> Any:
    """The learning rate for Keras: the one that is given, or else the rule's own."""
    rate = own if given is None else given
    is_ours = isinstance(rate, schedules.Schedule) or (given is None and callable(rate))
    return Schedule(rate) if is_ours else rate
