"""The report of a run: one HTML file that opens with the network off."""

from gradstep.runs.report.page import write_report

__all__ = ["write_report"]
