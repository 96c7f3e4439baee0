"""Real processes of torch have the bits of one. Those of MPI are a promise: P10 in tests/promises."""

import processes
import pytest
import training


@pytest.mark.process
@pytest.mark.parametrize("kind", ["gloo"])
def test_bits_of_one_process(kind, full, tmp_path):
    wanted = {name: training.train(None, name) for name in training.SETTINGS}
    for size in (1, 2, 3, 4, 8) if full else (3,):
        assert processes.run(kind, size, "training.py", *wanted, folder=tmp_path) == [wanted] * size, size
