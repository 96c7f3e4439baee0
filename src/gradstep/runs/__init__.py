"""Runs from the shell: a folder from which a run can be resumed, its summary, findings and report."""

from gradstep.runs.findings import findings
from gradstep.runs.folder import Folder
from gradstep.runs.report import write_report
from gradstep.runs.shared import Processes
from gradstep.runs.spec import Limits, RunSpec
from gradstep.runs.summary import Summary, recalled, sha256, summarize

__all__ = [
    "Folder",
    "Limits",
    "Processes",
    "RunSpec",
    "Summary",
    "findings",
    "recalled",
    "sha256",
    "summarize",
    "write_report",
]
