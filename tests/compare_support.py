"""What tests of comparisons share: studies without what a clock has measured."""

from dataclasses import replace


def timeless(study):
    """All runs of a study, without their seconds."""
    return [replace(run, seconds=0.0) for run in study.runs]


def table_of(study):
    """The table of a study, without what was measured by a clock."""
    blank = {"step_us": 0.0, "optimizer_us": 0.0}
    return [replace(row, entries=tuple(replace(entry, **blank) for entry in row.entries)) for row in study.table()]
