"""What the oracles of whole arrays share: matrices are lists of rows."""

import mpmath
from mpmath import mpf, sqrt


def combined(*terms):
    """A sum of multiples of matrices."""
    first = terms[0][1]
    return [[sum(a * p[i][j] for a, p in terms) for j in range(len(first[0]))] for i in range(len(first))]


def product(*factors):
    first, *others = factors
    for q in others:
        columns = turned(q)
        first = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in first]
    return first


def turned(p):
    return [list(column) for column in zip(*p, strict=True)]


def each(function, *matrices):
    return [[function(*x) for x in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]


def identity(n, value=1):
    return [[mpf(value) if i == j else mpf(0) for j in range(n)] for i in range(n)]


def numbers_of(p):
    return [x for row in p for x in row]


def norm(p):
    return sqrt(sum(x**2 for x in numbers_of(p)))


def rms(p):
    return norm(p) / sqrt(mpf(len(numbers_of(p))))


def mean(values):
    return sum(values) / mpf(len(values))


def eigen(p):
    """The eigenvalues of a symmetric matrix, largest first, and its eigenvectors as columns."""
    values, vectors = mpmath.eigsy(mpmath.matrix(p))
    order = sorted(range(len(p)), key=lambda j: -values[j])
    return [values[j] for j in order], [[vectors[i, j] for j in order] for i in range(len(p))]


def power(p, exponent):
    """A power of a symmetric matrix that is positive definite."""
    values, vectors = eigen(p)
    return product([[x * v**exponent for x, v in zip(row, values, strict=True)] for row in vectors], turned(vectors))


def orthonormal(p):
    """Q of the decomposition QR."""
    q, _ = mpmath.qr(mpmath.matrix(p))
    return [[q[i, j] for j in range(len(p[0]))] for i in range(len(p))]


def newton_schulz(u, divisor):
    """Five steps from u / divisor towards the nearest orthogonal matrix, with Jordan's coefficients."""
    x = each(lambda a: a / divisor, u)
    x = turned(x) if len(u) > len(u[0]) else x
    for _ in range(5):
        a = product(x, turned(x))
        x = combined((mpf(3.4445), x), (mpf(-4.7750), product(a, x)), (mpf(2.0315), product(a, a, x)))
    return turned(x) if len(u) > len(u[0]) else x


class Factored:
    """An average of matrices of positive numbers, of which the means of rows and columns are kept.

    A matrix of one column stands for a vector, whose average is kept whole.
    """

    def __init__(self, rows, columns):
        self.rows, self.columns = [mpf(0)] * rows, [mpf(0)] * columns

    def add(self, p, beta):
        """Take p into the average, which keeps beta of what it was."""

        def mix(old, new):
            return [beta * a + (1 - beta) * b for a, b in zip(old, new, strict=True)]

        self.rows = mix(self.rows, [mean(row) for row in p])
        self.columns = mix(self.columns, [mean(column) for column in turned(p)])

    def estimate(self):
        """The average as a matrix."""
        if len(self.columns) == 1:
            return [[x] for x in self.rows]
        return [[r * c / mean(self.rows) for c in self.columns] for r in self.rows]
