"""A variational quantum eigensolver, simulated in NumPy: the lowest energy of four spins in a transverse field.

The circuit has three layers of RY rotations and CNOT gates. Its gradient is the parameter-shift rule's, exact, from two
energies for each angle, as one would take them from a device.
"""

import numpy as np
from picture import draw

import gradstep as gs

QUBITS, LAYERS, STEPS = 4, 3, 120
X, Z, ONE = np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([1.0, -1.0]), np.eye(2)


def on(gates):
    """Return the operator of these gates, {qubit: matrix}, and nothing on the other qubits."""
    whole = np.ones((1, 1))
    for qubit in range(QUBITS):
        whole = np.kron(whole, gates.get(qubit, ONE))
    return whole


UP, DOWN = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
ENTANGLE = np.eye(2**QUBITS)
for q in range(QUBITS - 1):  # CNOT from each qubit to the next
    ENTANGLE = (on({q: UP}) + on({q: DOWN, q + 1: X})) @ ENTANGLE
HAMILTONIAN = -sum(on({q: Z, q + 1: Z}) for q in range(QUBITS - 1)) - 0.7 * sum(on({q: X}) for q in range(QUBITS))


def energy(angles):
    """Return the energy of the circuit's state; ``angles`` has a row a layer."""
    state = np.eye(2**QUBITS)[0]
    for row in angles:
        cos, sin = np.cos(row / 2), np.sin(row / 2)
        state = ENTANGLE @ (on({k: np.array([[cos[k], -sin[k]], [sin[k], cos[k]]]) for k in range(QUBITS)}) @ state)
    return float(state @ HAMILTONIAN @ state)


def shifted(angles):
    """Return the gradient by parameter shifts of plus and minus a quarter turn."""
    grad = np.empty_like(angles)
    for place in np.ndindex(angles.shape):
        step = np.zeros_like(angles)
        step[place] = np.pi / 2
        grad[place] = (energy(angles + step) - energy(angles - step)) / 2
    return grad


lowest, curves = np.linalg.eigvalsh(HAMILTONIAN)[0], {}
for rule, lr in (("sgd", 0.1), ("adam", 0.1), ("adabelief", 0.1)):
    theta = np.random.default_rng(1).uniform(-0.5, 0.5, (LAYERS, QUBITS))
    run = gs.Run(lambda a: (energy(a), shifted(a)), theta, rule, lr=lr, max_steps=STEPS)
    curves[rule] = [step.value - lowest for step in run]
    print(f"{rule:9} energy {energy(run.params):.5f}, {energy(run.params) - lowest:.1e} above the lowest, {lowest:.5f}")
draw(curves, "Energy above the lowest, four spins", y="", log=True)
