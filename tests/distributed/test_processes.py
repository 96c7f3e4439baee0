"""Real processes, of MPI and of torch, have the bits of one; a killed one takes the job with it."""

import processes
import pytest
import training

pytestmark = pytest.mark.process


def hashes(kind, size, folder, settings=training.SETTINGS):
    """Return the hashes of each setting on all processes, and those of the naive sum."""
    codes, text = processes.run(kind, size, "training.py", *settings, folder=folder)
    assert set(codes) == {0}, text
    lines = [line.split() for line in text.splitlines() if line.startswith("hash ")]
    found = {name: [" ".join(words[2:-1]) for words in lines if words[1] == name] for name in settings}
    assert all(len(own) == size for own in found.values()), text
    return {name: set(own) for name, own in found.items()}, {words[-1] for words in lines}


@pytest.mark.parametrize("kind", ["openmpi", "mpich", "gloo"])
def test_bits_of_one_process(kind, full, tmp_path):
    wanted = {name: {training.train(None, name)} for name in training.SETTINGS}
    naive = set()
    for size in (1, 2, 3, 4, 8) if full else (3,):
        found, others = hashes(kind, size, tmp_path)
        assert found == wanted, size
        naive |= others
    if full:  # the control: with the library's own sum of all the number of processes shows
        assert len(naive) > 1
