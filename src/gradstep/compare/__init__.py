"""Which optimizer, on which problem, at which learning rate: the evidence that ``gradstep compare`` gives.

A :class:`~gradstep.compare.protocol.Spec` says what is run, :func:`~gradstep.compare.study.run_study` runs it,
the :class:`~gradstep.compare.study.Study` that comes back has the table, and :mod:`gradstep.compare.report` writes
the page.
"""

from gradstep.compare.protocol import Contender, Spec, make_spec
from gradstep.compare.study import Study, run_study

__all__ = ["Contender", "Spec", "Study", "make_spec", "run_study"]
