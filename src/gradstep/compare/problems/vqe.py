"""The ground state of a quantum system, looked for by measuring a circuit: energies with the noise of few shots."""

from functools import reduce
from itertools import repeat

import numpy as np

from gradstep.compare.problems.problem import NOISY, Problem, Split, Target, Task, Values, labelled, size_option

QUBITS, LAYERS = 4, 3
SHOTS = 100
BITS = 1 - 2 * (np.arange(2**QUBITS)[:, None] >> np.arange(QUBITS)[::-1] & 1)  # of each state, +1 and -1
BONDS = -(BITS[:, 1:] * BITS[:, :-1]).sum(axis=1)  # energy of neighbours, where Z is measured
FIELDS = -BITS.sum(axis=1)  # energy in the field, where X is measured
SIGNS = np.prod(np.where((BITS[:, 1:] < 0) & (BITS[:, :-1] < 0), -1.0, 1.0), axis=1)  # CZ of all neighbours
HADAMARD = reduce(np.kron, [np.array([[1, 1], [1, -1]]) / np.sqrt(2)] * QUBITS)  # of all qubits
GROUND = float(np.linalg.eigvalsh(np.diag(BONDS) + HADAMARD @ np.diag(FIELDS) @ HADAMARD)[0])


def vqe(shots: float = SHOTS) -> Problem:
    """A variational quantum eigensolver (Peruzzo et al. 2014, Nature Communications 5) for Ising spins in a field.

    The circuit is the hardware-efficient one of Kandala et al. 2017 (Nature 549): rotations about Y, and controlled Z
    between neighbours, layer by layer. Gradients come by shifts of a quarter turn of each angle (Schuld et al. 2019,
    Phys. Rev. A 99): unbiased, from ``shots`` measurements of each energy in each of two bases; 0 stands for no noise.
    The loss is the energy above that of the ground state, and what is evaluated has no noise.
    """
    many = size_option("vqe", "shots", shots, 1_000_000, least=0)

    def begin(seed: int) -> Task:
        angles = np.random.default_rng(seed).uniform(-np.pi, np.pi, (LAYERS + 1, QUBITS))
        seeds = np.random.default_rng([seed, many])
        shifts = np.pi / 2 * np.eye(angles.size).reshape(-1, *angles.shape)

        @np.errstate(invalid="ignore")  # of angles beyond all numbers
        def value_and_grad(batch: int) -> tuple[float, dict[str, np.ndarray]]:
            circuits = np.concatenate([angles[None], angles + shifts, angles - shifts])
            found = measured(circuits, many, np.random.default_rng(batch))
            above, below = found[1:].reshape(2, *angles.shape)
            return float(found[0] - GROUND), {"angles": (above - below) / 2}

        @np.errstate(invalid="ignore")
        def evaluate(_: Split) -> Values:
            return {"loss": float(measured(angles[None], 0)[0] - GROUND)}

        return Task({"angles": angles}, (int(seeds.integers(2**63)) for _ in repeat(None)), value_and_grad, evaluate)

    return Problem(
        name=labelled("vqe", {"shots": many}, {"shots": SHOTS}),
        summary=f"ground state of {QUBITS} spins by a quantum circuit, {many or 'no end of'} shots for an energy",
        source="formula (Ising chain in a transverse field of 1)",
        size=f"{(LAYERS + 1) * QUBITS} parameters",
        target=Target("loss", 0.1, "train", NOISY, easy=0.3, hard=0.05),
        steps=200,
        every=5,
        scale={"theta/g": 2e-2, "theta": 3e-2},
        family="physics and control",
        begin=begin,
        exact=True,
    )


def states(circuits: np.ndarray) -> np.ndarray:
    """Amplitudes, (circuits, 2 ** qubits), for angles (circuits, layers, qubits). All of them are real."""
    psi = np.zeros((len(circuits), 2**QUBITS))
    psi[:, 0] = 1
    for layer in range(circuits.shape[1]):
        psi = psi * SIGNS
        for qubit in range(QUBITS):
            half = circuits[:, layer, qubit, None, None] / 2
            c, s = np.cos(half), np.sin(half)
            split = psi.reshape(len(psi), 2**qubit, 2, -1)
            zero, one = split[:, :, 0], split[:, :, 1]
            psi = np.stack([c * zero - s * one, s * zero + c * one], axis=2).reshape(len(psi), -1)
    return psi


def measured(circuits: np.ndarray, shots: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Energy of each circuit: the mean over so many shots in each basis, or the expectation for 0."""
    psi = states(circuits)
    total = np.zeros(len(psi))
    for basis, energies in ((psi, BONDS), (psi @ HADAMARD, FIELDS)):
        shares = basis * basis
        if shots and rng is not None and np.isfinite(shares).all():
            shares = rng.multinomial(shots, shares / shares.sum(axis=1, keepdims=True)) / shots
        total += shares @ energies
    return total
