"""Scores from one confusion matrix over all pixels of a data set, in `keras.ops` while training and NumPy after."""

from __future__ import annotations

from typing import Any, TypedDict

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.labels import VOID, check_void, check_whole
from unet_tf.model.losses import labels_of_logits


def confusion_matrix(
    label: NDArray, prediction: NDArray, num_classes: int, void_label: int = VOID
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        label: (..., H, W) integer ids below `num_classes`, or `void_label` for pixels that do not count.
        prediction: integer ids below `num_classes`, of the same shape.
        num_classes: number of classes.
        void_label: the id of void.

    Returns:
        (num_classes, num_classes) int64; row: true class, column: predicted class. Matrices of batches add up.

    Raises:
        InputError: the shapes differ, an id is out of range or no whole number, or void is 255, and a class too.

    Example:
        >>> confusion_matrix(np.array([[0, 1, 255]]), np.array([[0, 0, 1]]), 2).tolist()
        [[1, 0], [1, 0]]
    """
    label, prediction = np.asarray(label), np.asarray(prediction)
    if label.shape != prediction.shape:
        raise InputError(f"Label and prediction must have one shape; received {label.shape} and {prediction.shape}.")
    check_void(num_classes, void_label)
    counted = label != void_label
    true, predicted = label[counted], prediction[counted]
    for name, ids in (("label", true), ("prediction", predicted)):
        check_whole(ids, name)
        if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
            raise InputError(
                f"A {name} id must be below {num_classes} (or void {void_label}); received {ids.min()} to {ids.max()}."
            )
    cells = true.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


class Scores(TypedDict):
    """Scores of C classes, of one set of pixels or of several (...); NaN where one does not exist.

    Attributes:
        iou: (..., C) TP / (TP + FP + FN), with TP, FP, FN, TN of the class.
        dice: (..., C) 2 TP / (2 TP + FP + FN).
        precision: (..., C) TP / (TP + FP).
        recall: (..., C) TP / (TP + FN); also called sensitivity.
        specificity: (..., C) TN / (TN + FP).
        mean_iou: (...) of the classes that occur, in [0, 1].
        mean_dice: (...) of the classes that occur, in [0, 1].
        pixel_accuracy: (...) share of the pixels, in [0, 1].
    """

    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    specificity: NDArray[np.float64]
    mean_iou: Any
    mean_dice: Any
    pixel_accuracy: Any


def marginals(confusion: NDArray) -> NDArray:
    """What all scores are made of, (3, C), of a (C, C) confusion matrix: pixels that are right, true, predicted."""
    return np.stack([np.diag(confusion), confusion.sum(1), confusion.sum(0)])


def scores(confusion: NDArray) -> Scores:
    """Compute the scores of a (C, C) confusion matrix (rows: true classes).

    A class that is neither in the labels nor in the predictions has no IoU and no Dice (NaN) and is left out of the
    means.

    Returns:
        By name: (C,) float64 for each class, and float for the means.

    Example:
        >>> scores(np.array([[1, 0], [1, 2]]))["iou"].round(3).tolist()
        [0.5, 0.667]
    """
    found = scores_of(marginals(np.asarray(confusion, np.float64)))
    for name in ("mean_iou", "mean_dice", "pixel_accuracy"):
        found[name] = float(found[name])
    return found


def scores_of(counts: NDArray) -> Scores:
    """Compute the scores of (..., 3, C) `marginals` of one set of pixels, or of several at once."""
    hits, true, predicted = np.moveaxis(np.asarray(counts, np.float64), -2, 0)  # (..., C) each
    pixels = true.sum(-1, keepdims=True)
    occurs = true + predicted > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hits / (true + predicted - hits)
        dice = 2 * hits / (true + predicted)
        means = [np.where(occurs, values, 0).sum(-1) / occurs.sum(-1) for values in (iou, dice)]
        return {
            "iou": iou,
            "dice": dice,
            "precision": hits / predicted,
            "recall": hits / true,
            "specificity": (pixels - true - predicted + hits) / (pixels - true),
            "mean_iou": means[0],
            "mean_dice": means[1],
            "pixel_accuracy": hits.sum(-1) / pixels[..., 0],
        }


@keras.saving.register_keras_serializable("unet_tf")
class MeanIoU(keras.metrics.Metric):
    """Mean intersection over union of the arg-max of logits, from one confusion matrix over the whole epoch.

    Not the mean of batch means: any split into batches gives the same value. Void pixels do not count, nor labels that
    are no class, for which the loss is NaN; absent classes are left out of the mean, and `sample_weight` is ignored: a
    weight map is for training, not for judging. Of masks that are drawn 0 and 255, 255 is void: the classes 0 and 1 are
    made of them first, by `MaskFormat().label(mask)`. On JAX, which has no 64-bit integers by default, it counts to
    2**31 pixels between two resets.

    Args:
        num_classes: number of classes, 2 or more.
        void_label: integer id of pixels that do not count; None where no id is void.
        name: name in the logs.

    Call:
        y_true: (B, H, W) integer ids or (B, H, W, C) one-hot. y_pred: (B, H, W, C) logits or probabilities.

    Raises:
        InputError: there are fewer than two classes, or another number of channels, or the label is of another size.

    Example:
        >>> metric = MeanIoU(2)
        >>> metric.update_state(np.array([[[0, 1]]]), np.array([[[[0.9, 0.1], [0.8, 0.2]]]]))
        >>> float(metric.result())  # background 1/2, foreground 0/1
        0.25
    """

    def __init__(self, num_classes: int, void_label: int | None = VOID, name: str = "mean_iou") -> None:
        super().__init__(name=name, dtype="float32")
        if num_classes < 2:
            raise InputError(f"num_classes counts the background and must be 2 or more; received {num_classes}.")
        self._direction = "up"  # by which callbacks of Keras know what is better
        self.num_classes, self.void_label = num_classes, void_label
        # float32 stops counting at 2**24 pixels. JAX has no 64-bit integers by default.
        count_dtype = "int32" if keras.backend.backend() == "jax" else "int64"
        self.confusion = self.add_variable((num_classes, num_classes), "zeros", dtype=count_dtype, name="confusion")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the confusion matrix."""
        y_pred = ops.convert_to_tensor(y_pred)
        *size, channels = y_pred.shape
        if channels not in (None, self.num_classes):
            raise InputError(
                f"Logits must have a channel for each of the metric's {self.num_classes} classes, background too; "
                f"received {channels}. Give MeanIoU and the net one num_classes, 2 or more."
            )
        found = labels_of_logits(y_true, (*size, self.num_classes), self.void_label)
        labels, void = (ops.reshape(x, (-1,)) for x in found)
        predicted = ops.reshape(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), (-1,))
        # Void, and ids for which the loss is NaN, get a bin of their own behind the matrix.
        known = ops.logical_and(labels >= 0, labels < self.num_classes)
        known = ops.logical_and(known, ops.logical_not(void))
        pairs = ops.where(known, labels * self.num_classes + predicted, self.num_classes**2)
        # not bincount: XLA, by which Keras compiles on a GPU, wants to know its length before
        counts = ops.segment_sum(ops.ones_like(pairs), pairs, num_segments=self.num_classes**2 + 1)
        counts = ops.reshape(counts[: self.num_classes**2], (self.num_classes, self.num_classes))
        self.confusion.assign_add(ops.cast(counts, self.confusion.dtype))

    def result(self) -> Any:
        """Mean IoU of all pixels since the last reset, in [0, 1]; 0 before the first."""
        confusion = ops.cast(self.confusion, "float32")
        hits = ops.diagonal(confusion)
        union = ops.sum(confusion, axis=0) + ops.sum(confusion, axis=1) - hits
        present = ops.cast(union > 0, "float32")
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(hits, union)), ops.sum(present))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for `keras.saving`."""
        return {"num_classes": self.num_classes, "void_label": self.void_label, "name": self.name}
