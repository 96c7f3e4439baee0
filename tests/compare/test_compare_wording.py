"""The words of the tables: a cell for every heading, misses and edges."""

from dataclasses import replace

import pytest

from gradstep.compare import compare
from gradstep.compare.evidence.table import entries
from gradstep.compare.show.wording import board_cells, board_headings, chosen, entry_cells, headings

PROBLEM = "digits-softmax"


@pytest.fixture(scope="session")
def pair():
    """Two optimizers on two problems."""
    return compare("sgd,adam", ["diabetes", "quadratic"], seeds=3, trials=2, steps=300, jobs=1)


def test_every_row_has_a_cell_for_every_heading(small_study, pair):
    for entry in entries(small_study, PROBLEM):
        assert len(entry_cells(small_study, entry)) == len(headings(small_study, PROBLEM))
    for row in pair.table():
        assert len(board_cells(pair, row)) == len(board_headings(pair))


def test_cells_say_what_is_missed_and_what_lies_at_the_edge(small_study):
    best = entries(small_study, PROBLEM)[0]
    entry = replace(best, hyper={"lr": 0.3}, searched=({"lr": 0.3},), at_edge=True, diverged=2, runs=10)
    shown = [text for text, _ in entry_cells(small_study, entry)]
    assert shown[1] == "0.3*"
    assert shown[-1] == "2/10"
    lost = [text for text, _ in entry_cells(small_study, entries(small_study, PROBLEM)[-1])]
    assert lost[1:5] == ["1e+30", "∞", "0/2", "∞"]
    both = {"lr": 0.3, "beta1": 0.5}
    assert chosen(small_study, replace(entry, hyper=both, searched=(both,))) == "lr=0.3*, beta1=0.5"
    again = replace(entry, searched=({"lr": 0.3}, {"lr": 0.01}, {"lr": 0.5549999999999999}))
    assert chosen(small_study, again) == "0.01 to 0.555*"
