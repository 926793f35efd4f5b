"""The optimizer: Adam, but for the kernels of convolutions, which are stepped along orthogonal matrices."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Of the quintic that brings singular values in (0, 1] near 1 (Jordan et al., 2024)."""
ITERATIONS = 3, 2
"""Of it, before the small matrix is made anew and after: singular values from 0.003 to 1 come out between 0.65 and 1.25
(measured 0.68 and 1.20, in float32 and where products have the 10 bits of TensorFloat-32)."""


@keras.saving.register_keras_serializable("unet_tf")
class Muon(keras.optimizers.Adam):
    """Adam, and for the kernels of convolutions momentum that is made orthogonal (Muon).

    A kernel (height, width, channels in, filters) is the matrix from the values of its window to its filters. The mean
    of its gradients is much longer in a few directions than in all others. Muon steps along the nearest matrix whose
    singular values are all 1, as far in each direction; it is found by Newton-Schulz iterations. Kernels of 1x1, which
    are the logits, and all other weights are Adam's.

    Args:
        learning_rate: of Adam's weights.
        kernel_rate: singular values of a kernel's step, over the learning rate. 20 is the 0.02 of the reference at
            Adam's 0.001.
        momentum: of the kernels' gradients, with Nesterov's look ahead.
        **settings: of `keras.optimizers.Adam`. `weight_decay` shrinks kernels by the learning rate too, and not by
            their own, `kernel_rate` times as high, as the reference does.

    Example:
        >>> from unet_tf import WeightedCrossentropy, unet
        >>> model = unet(base_filters=4, depth=1, batch_norm=True)
        >>> model.compile(Muon(1e-3), WeightedCrossentropy())

    Reference:
        Jordan et al.: Muon, an optimizer for hidden layers in neural networks (2024).
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        kernel_rate: float = 20.0,
        momentum: float = 0.95,
        name: str = "muon",
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **settings)
        self.kernel_rate, self.momentum = kernel_rate, momentum

    def add_variable_from_reference(
        self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Any:
        """Make a variable that goes with a weight; of a kernel no second moment, which is Adam's."""
        if name in ("velocity", "velocity_hat") and _is_kernel(reference_variable):
            return None
        return super().add_variable_from_reference(reference_variable, name, initializer)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step one weight."""
        if not _is_kernel(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        mean = self._momentums[self._get_variable_index(variable)]
        gradient = ops.cast(gradient, variable.dtype)
        self.assign(mean, self.momentum * mean + (1 - self.momentum) * gradient)
        ahead = self.momentum * mean + (1 - self.momentum) * gradient
        # (height * width * channels in, filters); of an up-convolution (height * width * filters, channels in)
        matrix = ops.reshape(ahead, (-1, variable.shape[-1]))
        step = ops.cast(learning_rate, variable.dtype) * self.kernel_rate * orthogonal(matrix)
        self.assign_sub(variable, ops.reshape(step, variable.shape))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for Keras files."""
        return super().get_config() | {"kernel_rate": self.kernel_rate, "momentum": self.momentum}


def _is_kernel(variable: Any) -> bool:
    """Whether a weight is the kernel of a convolution that sees more than one pixel."""
    return len(variable.shape) == 4 and variable.shape[0] * variable.shape[1] > 1


def orthogonal(matrix: Any) -> Any:
    """The nearest matrix whose singular values are 1, or nearly so: between 0.65 and 1.25.

    With X of no more rows than columns and A = X X^T, each iteration is p(A) X, where p(A) = a + b A + c A^2. As all
    p(A) are functions of one small A, the product of some of them is multiplied with X at once. Of all of them it would
    not do: rounding makes small values of A negative, and these grow by a^2 an iteration, which products of few digits
    (TensorFloat-32 on GPUs) would show. So X, and A of it, are made anew once.

    Args:
        matrix: (rows, columns) float32. Singular values below 0.003 of its norm come out smaller.

    Returns:
        (rows, columns) float32; zero where the matrix is.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else ops.transpose(matrix)
    x = x / (ops.norm(x) + 1e-12)  # no singular value is above 1
    a, b, c = NEWTON_SCHULZ
    one = ops.eye(x.shape[0], dtype=x.dtype)
    for iterations in ITERATIONS:
        gram, product = ops.matmul(x, ops.transpose(x)), one
        for _ in range(iterations):
            factor = a * one + b * gram + c * ops.matmul(gram, gram)
            product = ops.matmul(factor, product)
            gram = ops.matmul(ops.matmul(factor, gram), factor)
        x = ops.matmul(product, x)
    return x if wide else ops.transpose(x)
