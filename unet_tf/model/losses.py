"""The paper's energy: pixel-wise softmax over the channels and a weighted cross-entropy, in `keras.ops` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

import unet_tf.model.loss_scaling  # noqa: F401 (files of float16 name it beside their loss)
from unet_tf.errors import InputError
from unet_tf.labels import VOID, check_void
from unet_tf.model.replicas import replicas_in_step, sum_over_replicas

REDUCTIONS = ("sum", "mean", "weighted_mean")
NO_CLASS = -(2**31)
"""What a label becomes that is no whole number, or is of several classes: neither a class nor void, whatever its id."""


def integer_labels(y_true: Any, num_classes: int, void_label: int | None = VOID, rank: int = 3) -> tuple[Any, Any]:
    """Bring integer or one-hot labels into one form.

    Args:
        y_true: (B, H, W) or (B, H, W, 1) integer label ids, or (B, H, W, num_classes) one-hot; the last dimension
            decides. A one-hot pixel without any class is void, and one of several becomes `NO_CLASS`. Both may be
            bool. Of ids that are floats, as 1.0, one that is no whole number becomes `NO_CLASS`.
        num_classes: number of classes, 2 or more.
        void_label: the id of void among integer labels; None where there is none.
        rank: axes of a label of ids.

    Returns:
        (B, H, W) int32 label ids, and (B, H, W) bool, True where void.

    Raises:
        InputError: `void_label` is 255, and ids have a class of that id.
    """
    y_true = ops.convert_to_tensor(y_true)
    if keras.backend.standardize_dtype(y_true.dtype) == "bool":
        y_true = ops.cast(y_true, "uint8")
    if len(y_true.shape) == rank + 1 and y_true.shape[-1] == num_classes:
        classes = ops.sum(ops.cast(y_true != 0, "int32"), axis=-1)
        return ops.where(classes > 1, NO_CLASS, ops.cast(ops.argmax(y_true, axis=-1), "int32")), classes == 0
    if len(y_true.shape) == rank + 1 and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, axis=-1)
    check_void(num_classes, void_label)
    labels = ops.cast(y_true, "int32")
    if keras.backend.is_float_dtype(y_true.dtype):
        labels = ops.where(ops.round(y_true) == y_true, labels, NO_CLASS)
    return labels, ops.zeros_like(labels, "bool") if void_label is None else labels == void_label


def labels_of_logits(y_true: Any, shape: Sequence[Any], void_label: int | None = VOID) -> tuple[Any, Any]:
    """`integer_labels` that fit logits of a shape (B, H, W, C).

    Raises:
        InputError: there are fewer than two channels, or the label is of another size; as `integer_labels`.
    """
    *size, num_classes = shape
    if num_classes < 2:
        raise InputError(
            f"Logits must have a channel for each class, background too: 2 or more; received {num_classes}. Build the "
            "net with num_classes=2 for one kind of thing; the softmax is in the loss, and no activation in the net."
        )
    labels, void = integer_labels(y_true, num_classes, void_label, len(size))
    if not _fits(labels.shape, size):
        raise InputError(
            f"A label must be as large as the logits, {_in_words(size)}; received {_in_words(labels.shape)}. Cut tiles "
            "for the padding and depth of the net: unet_tf.dataset(..., padding=..., depth=...)."
        )
    return labels, void


def _class_weights(given: Sequence[float] | Mapping[int, float]) -> list[float]:
    """Factors of the classes in the order of their ids.

    Raises:
        InputError: one is no number, negative or not finite, or a mapping has other ids than 0, 1, 2 and so on.
    """
    if isinstance(given, Mapping):
        if {*given} != {*range(len(given))}:
            raise InputError(
                f"Class weights by id must have each id from 0 on; received {', '.join(map(repr, given))}. Give a "
                "factor for each class, 1.0 where nothing is to change."
            )
        given = [given[number] for number in range(len(given))]
    try:
        weights = [float(weight) for weight in given]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Class weights must be one number a class; received {given!r}. Balanced ones are made by "
            "unet_tf.class_balance(counts), of the number of pixels of each class."
        ) from error
    if not all(weight >= 0 and math.isfinite(weight) for weight in weights):
        raise InputError(f"Class weights must be finite, and 0 or more; received {', '.join(map(str, weights))}.")
    return weights


def _weight_map(sample_weight: Any, shape: Sequence[int | None]) -> Any:
    """Weights of a batch as float32 that broadcasts to (B, H, W): never from its last dimension, as (B,) would.

    Raises:
        InputError: they are of another size.
    """
    weight = ops.cast(sample_weight, "float32")
    if len(weight.shape) == len(shape) + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, axis=-1)
    ones = (1,) * (len(shape) - 1)
    if _fits(weight.shape, shape) or _fits(weight.shape, (shape[0], *ones)):
        return weight
    if _fits(weight.shape, shape[:1]):
        return ops.reshape(weight, (-1, *ones))
    raise InputError(
        f"Weights must be a map as large as the logits, {_in_words(shape)}, or one number a tile; received "
        f"{_in_words(weight.shape)}. Cut the map as the label is cut."
    )


def _fits(given: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether a shape is the wanted one, as far as both are known."""
    return len(given) == len(wanted) and all(
        one == other or None in (one, other) for one, other in zip(given, wanted, strict=True)
    )


def _in_words(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


class _Terms(NamedTuple):
    """What a loss is summed of: (B, H, W) float32 each; `logits` and `one_hot` (B, H, W, C).

    `weight` is the class weight times the weight map, and 0 where void; `counted` is 1 where not void.
    """

    logits: Any
    one_hot: Any
    crossentropy: Any
    weight: Any
    counted: Any


@keras.saving.register_keras_serializable("unet_tf")
class WeightedCrossentropy(keras.losses.Loss):
    """Weighted pixel-wise softmax cross-entropy from logits.

    E = - sum over pixels x of w(x) log p_l(x)(x), with p = softmax of the logits over the channels and l the label.
    w is the product of the weight map (`sample_weight`, (B, H, W)), the class weight of l(x), and 0 where void.
    A label that is neither a class nor void, as 2 of two classes, 0.5, or shares of several classes, makes the loss NaN
    rather than being left out in silence. Of masks that are drawn 0 and 255, 255 is void, and background alone is left
    to learn: the classes 0 and 1 are made of them first, by `MaskFormat().label(mask)`.

    Where replicas of `tf.distribute` each see a part of a batch, the value is the share of the part in the loss of the
    whole batch: the values of all replicas add up to what one device gives, however unevenly void is spread. The mean
    over batches that `fit` shows is that of one device where all batches are of one size, by `drop_remainder=True`;
    else Keras weighs replicas by their tiles, and it is a little off, though the net learns the same.

    Args:
        class_weights: one factor a class, in their order or by their ids, or None for 1 each.
        void_label: integer id of pixels that do not count; None where no id is void.
        reduction: "sum", E, which the paper calls energy; "mean", E divided by the number of pixels that are not void;
            "weighted_mean", divided by the sum of w. "mean" is 0 for a batch of void alone.
        name: name of the loss.

    Call:
        y_true: (B, H, W) integer ids, or (B, H, W, C) one-hot. y_pred: (B, H, W, C) logits of any float type,
        computed with in float32, C is 2 or more. sample_weight: (B, H, W), (B, H, W, 1), or (B,), one number a tile;
        or None.

    Raises:
        InputError: the reduction is unknown, a class weight is no number, negative or not finite, there are fewer than
            two channels, class weights, label or weights do not fit the logits, or void is 255, and a class too.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[[[0.0, 0.0], [1e4, -1e4]]]], "float32")  # (1, 1, 2, 2)
        >>> loss = WeightedCrossentropy(reduction="sum")(np.array([[[1, 0]]]), logits)
        >>> round(float(loss), 4)  # log 2 and 0
        0.6931

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 3, equation 1.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | Mapping[int, float] | None = None,
        void_label: int | None = VOID,
        reduction: str = "mean",
        name: str = "weighted_crossentropy",
    ) -> None:
        if reduction not in REDUCTIONS:
            raise InputError(f"reduction must be one of {', '.join(REDUCTIONS)}; received {reduction!r}.")
        # Class weights and void enter the denominators too, so Keras' own reduction stays unused.
        super().__init__(name=name, reduction=None, dtype="float32")
        self.class_weights = None if class_weights is None else _class_weights(class_weights)
        self.void_label = void_label
        self.energy_reduction = reduction

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Reduce the loss of a batch to a float32 scalar."""
        return self._reduce(self._terms(y_true, y_pred, sample_weight), alone=False)

    def alone(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of the part of a batch that this replica has, as if there were no other; a float32 scalar."""
        return self._reduce(self._terms(y_true, y_pred, sample_weight), alone=True)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Cross-entropy of each pixel times its class weight, (B, H, W) float32; 0 where void."""
        terms = self._terms(y_true, y_pred)
        return terms.crossentropy * terms.weight

    def _reduce(self, terms: _Terms, alone: bool) -> Any:
        """Reduce the energy of this replica, as if there were no other or to its share in that of all."""
        _, _, crossentropy, weight, counted = terms
        energy = ops.sum(crossentropy * weight)
        if self.energy_reduction == "sum":
            return energy
        total = ops.sum(counted if self.energy_reduction == "mean" else weight)
        return ops.divide_no_nan(energy, total if alone else sum_over_replicas(total))

    def _terms(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> _Terms:
        y_pred = ops.cast(y_pred, "float32")
        num_classes = y_pred.shape[-1]
        labels, void = labels_of_logits(y_true, y_pred.shape, self.void_label)
        labels = ops.where(void, 0, labels)
        one_hot = ops.one_hot(labels, num_classes, dtype="float32")  # (B, H, W, C)
        crossentropy = -ops.sum(one_hot * ops.log_softmax(y_pred, axis=-1), axis=-1)
        unknown = ops.logical_or(labels < 0, labels >= num_classes)
        crossentropy = ops.where(unknown, float("nan"), crossentropy)
        counted = ops.cast(ops.logical_not(void), "float32")
        weight = counted
        if self.class_weights is not None:
            if len(self.class_weights) != num_classes:
                raise InputError(
                    f"{len(self.class_weights)} class weights for {num_classes} classes; there must be one a class."
                )
            weight = counted * ops.sum(one_hot * ops.convert_to_tensor(self.class_weights, "float32"), axis=-1)
        if sample_weight is not None:
            weight = weight * _weight_map(sample_weight, y_pred.shape[:-1])
        return _Terms(y_pred, one_hot, crossentropy, weight, counted)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for `keras.saving`."""
        return {
            "class_weights": self.class_weights,
            "void_label": self.void_label,
            "reduction": self.energy_reduction,
            "name": self.name,
        }


@keras.saving.register_keras_serializable("unet_tf")
class CrossentropyDice(WeightedCrossentropy):
    """Weighted cross-entropy and a soft Dice loss, added: thin and rare things are learnt sooner than by the first.

    L = E / N + 1 - (sum over classes c of v_c D_c) / (sum of v_c), with D_c = (2 sum w p_c g_c + 1) / (sum w p_c +
    sum w g_c + 1), g_c 1 where the label is c and 0 elsewhere, sums over all pixels of the batch, w as in E,
    so void is ignored, and the 1 a pixel. v_c is the weight of all pixels that are not of class c, and 0 where
    none is: the rarer a class, the more it counts, whichever of them is the background. Replicas of `tf.distribute`
    share the sums: their values add up to what one device gives.

    Args:
        class_weights: one factor a class, in their order or by their ids, or None for 1 each.
        void_label: integer id of pixels that do not count; None where no id is void.
        reduction: of E, as in `WeightedCrossentropy`; with "sum" the Dice loss is multiplied by N too, the
            number of pixels that are not void.
        name: name of the loss.

    Call:
        As `WeightedCrossentropy`.

    Raises:
        InputError: as `WeightedCrossentropy`.

    Example:
        >>> import numpy as np
        >>> logits = np.zeros((1, 1, 2, 2), "float32")  # p = 1/2; each D = (2 x 1/2 + 1) / (1 + 1 + 1)
        >>> round(float(CrossentropyDice()(np.array([[[1, 0]]]), logits)), 4)  # log 2 + 1/3
        1.0265

    Reference:
        Milletari, Navab, Ahmadi: V-Net (3DV 2016), section 3, with plain for squared probabilities; the sum of both
        losses over a batch: Isensee et al.: nnU-Net (Nature Methods 2021), methods. The weights v are our own.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | Mapping[int, float] | None = None,
        void_label: int | None = VOID,
        reduction: str = "mean",
        name: str = "crossentropy_dice",
    ) -> None:
        super().__init__(class_weights, void_label, reduction, name)

    def _reduce(self, terms: _Terms, alone: bool) -> Any:
        """Add the reduced energy and the Dice loss."""
        energy, sums = super()._reduce(terms, alone), self._overlaps(terms)
        dice = self._dice(sums if alone else sum_over_replicas(sums))
        if self.energy_reduction == "sum":
            return energy + dice * ops.sum(terms.counted)
        return energy + dice / (1 if alone else replicas_in_step())

    def _overlaps(self, terms: _Terms) -> Any:
        """Sums (3, C) of w p g, w p and w g over the pixels of this replica."""
        weight = ops.expand_dims(terms.weight, -1)
        share = ops.softmax(terms.logits, axis=-1) * weight
        pixels = tuple(range(len(terms.weight.shape)))  # all axes but that of the classes
        sums = [ops.sum(values, axis=pixels) for values in (share * terms.one_hot, share, weight * terms.one_hot)]
        return ops.stack(sums)

    def _dice(self, sums: Any) -> Any:
        """1 less the mean D_c, weighted by what is of other classes; 0 where one class is all there is."""
        hits, predicted, true = ops.unstack(sums)  # (C,) each
        dice = (2 * hits + 1) / (predicted + true + 1)
        others = ops.where(true > 0, ops.sum(true) - true, 0.0)
        return ops.divide_no_nan(ops.sum((1 - dice) * others), ops.sum(others))
