"""Images, (examples, height, width, channels): Conv2D and MaxPool2D."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gradstep.errors import GradstepValueError
from gradstep.naming import unknown
from gradstep.nn.activations import Array
from gradstep.nn.layers import Layer, Shape, Weighted, positive, shown

PADDINGS = ("valid", "same")


class Conv2D(Weighted):
    """Small filters that slide over images: one matrix product of all windows with the weights.

    It is the cross-correlation that networks mean by convolution (no filter is flipped).

    Parameters
    ----------
    channels, filters
        Numbers in one pixel, before and after.
    kernel
        Height and width of a filter in pixels; one number for both. ``weights`` is (height, width, channels, filters),
        ``biases`` (filters,).
    activation
        As for :class:`Dense`; softmax works over the filters of each pixel.
    stride
        Pixels from one window to the next.
    padding
        ``"valid"``: windows lie inside the image, floor((size - kernel) / stride) + 1 of them; ``"same"``: zeros around
        it, as evenly as can be with the odd one at the end, make that ceil(size / stride), as TensorFlow has it.

    Raises
    ------
    GradstepValueError
        For a count that is no integer above 0, an unknown activation or padding.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int | tuple[int, int],
        activation: str = "linear",
        stride: int = 1,
        padding: str = "valid",
    ) -> None:
        height, width = kernel if isinstance(kernel, tuple) and len(kernel) == 2 else (kernel, kernel)
        positive("Conv2D", channels=channels, filters=filters, kernel=height, stride=stride)
        positive("Conv2D", kernel=width)
        if padding not in PADDINGS:
            raise unknown("Conv2D: unknown padding", padding, PADDINGS)
        super().__init__((height, width, channels, filters), activation)
        self.kernel, self.stride, self.padding = (height, width), stride, padding

    def __repr__(self) -> str:
        height, width, channels, filters = self._shape
        kernel = height if height == width else (height, width)
        more = f", stride={self.stride}" if self.stride > 1 else ""
        more += ", padding='same'" if self.padding == "same" else ""
        return f"Conv2D({channels}, {filters}, {kernel}, {self.activation.name!r}{more})"

    def _margins(self, size: int, kernel: int) -> tuple[int, int]:
        """Zeros before and after ``size`` pixels."""
        if self.padding == "valid":
            return 0, 0
        total = max((-(-size // self.stride) - 1) * self.stride + kernel - size, 0)
        return total // 2, total - total // 2

    def _count(self, size: int | None, kernel: int) -> int | None:
        """Windows along ``size`` pixels."""
        if size is None:
            return None
        return (size + sum(self._margins(size, kernel)) - kernel) // self.stride + 1

    def output_shape(self, shape: Shape) -> Shape:
        """``(windows down, windows across, filters)`` for ``(height, width, channels)``."""
        height, width, channels, filters = self._shape
        if shape is None:
            return (None, None, filters)
        image(self, shape)
        if shape[2] not in (None, channels):
            raise GradstepValueError(f"{self.name} takes {channels} channels, but gets {shape[2]}.")
        down, across = self._count(shape[0], height), self._count(shape[1], width)
        if any(n is not None and n < 1 for n in (down, across)):
            raise GradstepValueError(
                f"{self.name}: a window of {height} x {width} does not fit in {shown(shape)}; "
                "make the kernel smaller or use padding='same'."
            )
        return (down, across, filters)

    def affine(self, x: Array) -> Array:
        """The weighted sums of all windows, (examples, down, across, filters)."""
        self._inside = (slice(None), *(slice(m[0], m[0] + n) for m, n in self._borders(x)))
        if self.padding == "same":
            padded = np.zeros((len(x), *(sum(m) + n for m, n in self._borders(x)), x.shape[3]), x.dtype)
            padded[self._inside] = x
            x = padded
        self._padded_shape = x.shape
        windows = sliding_window_view(x, self.kernel, axis=(1, 2))[:, :: self.stride, :: self.stride]
        self._out = windows.shape[:3]
        filters = self._shape[-1]
        self._columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, self._weights.size // filters)
        z = self._columns @ self._weights.reshape(-1, filters)
        z += self._biases
        return z.reshape(*self._out, filters)

    def _borders(self, x: Array) -> list[tuple[tuple[int, int], int]]:
        return [(self._margins(n, k), n) for n, k in zip(x.shape[1:3], self.kernel, strict=True)]

    def adjoint(self, dz: Array, wanted: bool = True) -> Any:
        """Return the gradient with respect to the inputs: that of all windows, added where they overlap."""
        height, width, channels, filters = self._shape
        flat = dz.reshape(-1, filters)
        self.keep((self._columns.T @ flat).reshape(self._shape), flat.sum(axis=0))
        if not wanted:
            return None
        d = (flat @ self._weights.reshape(-1, filters).T).reshape(*self._out, height, width, channels)
        dx = np.zeros(self._padded_shape, dz.dtype)
        step, (_, down, across) = self.stride, self._out
        for i, j in np.ndindex(height, width):  # windows overlap: each place in the window is added for all at once
            dx[:, i : i + step * (down - 1) + 1 : step, j : j + step * (across - 1) + 1 : step] += d[:, :, :, i, j]
        return dx[self._inside]


class MaxPool2D(Layer):
    """The largest number of each ``size`` x ``size`` square; pixels that fill no square at the end are left out.

    Parameters
    ----------
    size
        Pixels, above 0. Of equal numbers in a square, the first (row by row) gets the gradient.

    Raises
    ------
    GradstepValueError
        For a size that is no integer above 0.
    """

    def __init__(self, size: int = 2) -> None:
        positive("MaxPool2D", size=size)
        self.size = size

    def __repr__(self) -> str:
        return f"MaxPool2D({self.size})"

    def output_shape(self, shape: Shape) -> Shape:
        """``(height // size, width // size, channels)``."""
        if shape is None:
            return (None, None, None)
        image(self, shape)
        height, width = (None if n is None else n // self.size for n in shape[:2])
        if 0 in (height, width):
            raise GradstepValueError(
                f"{self.name}: a square of {self.size} x {self.size} does not fit in {shown(shape)}."
            )
        return (height, width, shape[2])

    def _places(self, x: Array) -> list[Array]:
        """Views of ``x``: the first pixel of all squares, the second, ..."""
        height, width = (n // self.size * self.size for n in x.shape[1:3])
        steps = range(self.size)
        return [x[:, i : height : self.size, j : width : self.size] for i in steps for j in steps]

    def forward(self, x: Array, training: bool) -> Array:  # noqa: ARG002
        """The largest numbers, (examples, height // size, width // size, channels)."""
        first, *rest = self._places(x)
        out = first.copy()
        for pixels in rest:
            np.maximum(out, pixels, out=out)
        self._input, self._output = x, out
        return out

    def backward(self, d: Array, wanted: bool = True) -> Any:  # noqa: ARG002
        """Each gradient goes to the pixel that its square passed on."""
        dx = np.zeros_like(self._input)
        left = np.ones(d.shape, bool)
        for pixels, into in zip(self._places(self._input), self._places(dx), strict=True):
            mine = left & (pixels == self._output)
            np.multiply(d, mine, out=into)
            left ^= mine
        return dx


def image(layer: Layer, shape: tuple[int | None, ...]) -> None:
    """Refuse examples that are no images."""
    if len(shape) != 3:
        raise GradstepValueError(
            f"{layer.name} takes images of shape (height, width, channels), but gets {shown(shape)}"
            + ("; for one channel, give x[..., None]." if len(shape) == 2 else ".")
        )
