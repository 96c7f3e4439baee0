"""A damaged row of a run's history costs that row alone; the rows after it are there when the run has been resumed."""

import json

from gradstep.loop import Step
from gradstep.runs.folder import Folder

ROWS, LIMIT = 60, 50  # rows in the file, and those of which the checkpoint knows
BYTES = (0, 9, 10, 34, 44, 91, 93, 123, 125, 255)  # NUL, tab, newline, quote, comma, brackets and braces; not UTF-8


def lines():
    """The rows of a run, as it writes them."""
    steps = [Step(t=t, value=1 / t, evaluations=t, lr=0.1, seconds=t / 8) for t in range(1, ROWS + 1)]
    return [json.dumps(step.as_json()).encode() + b"\n" for step in steps]


def damaged():
    """Generate histories in which one row of the first LIMIT has one byte that is another, and which row that is."""
    whole = lines()
    for k in range(0, LIMIT - 1, 12):
        for place in range(0, len(whole[k]) - 1, 7):
            for byte in BYTES:
                row = whole[k][:place] + bytes([byte]) + whole[k][place + 1 :]
                yield k, b"".join([*whole[:k], row, *whole[k + 1 :]])


def resumed(path, content):
    """The rows that are there after the run has gone on at LIMIT evaluations."""
    folder = Folder(path)
    folder.history_file.write_bytes(content)
    with folder.history(LIMIT):
        pass
    return list(folder.rows())


def test_one_damaged_byte_costs_one_row(tmp_path, figure):
    whole = [json.loads(line) for line in lines()]
    tried = 0
    for k, content in damaged():
        rows = resumed(tmp_path, content)
        others = [row for row in whole[:LIMIT] if row is not whole[k]]
        assert [row for row in rows if row in others] == others, (k, content)
        assert len(rows) <= LIMIT, (k, content)
        tried += 1
    figure("P5d", "{n} damaged bytes in the rows of a history: none cost another row than its own", n=tried)


def test_control_reading_up_to_the_first_damaged_row(control):
    """As it was: a row that cannot be read was taken for the torn end."""
    whole = lines()
    lost = 0
    for k, content in damaged():
        kept = 0
        for line in content.splitlines(keepends=True):
            try:
                kept += len(json.loads(line)) > 0
            except ValueError:
                break
        lost += kept < len(whole) - 1 and k < LIMIT
    assert lost
    control("P5d", "Reading up to the first row that cannot be read: {n} of them lose all that follows", n=lost)
