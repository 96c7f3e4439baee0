"""Which optimizer, on which problem, with which hyperparameters: the evidence that ``gradstep compare`` gives.

:func:`~gradstep.compare.conduct.compare` makes a :class:`~gradstep.compare.evidence.study.Study`, which has the table;
:mod:`gradstep.compare.show.report` writes the page; :func:`~gradstep.compare.joining.merge` joins studies.
A :class:`~gradstep.compare.record.Spec` says what is run.
"""

from gradstep.compare.conduct import compare, run_study
from gradstep.compare.evidence.study import Study, Views
from gradstep.compare.joining import merge
from gradstep.compare.protocol import make_spec
from gradstep.compare.record import Spec

__all__ = ["Spec", "Study", "compare", "make_spec", "merge", "run_study"]


def _views() -> Views:
    from gradstep.compare.show import notebook  # with the first view: processes that make runs never need it

    return notebook


Study.views = staticmethod(_views)
