"""Electron microscopy: how well membranes part a picture, by pairs of pixels and by information, over thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.evaluation.skeleton import skeleton
from unet_tf.labels import VOID
from unet_tf.utils.signals import look

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the probability of what is no membrane."""
BEYOND = 32
"""Pixels that membranes go on beyond the edge of the picture while they are thinned, so that they reach it still."""


class PartitionScores(NamedTuple):
    """How well segments fit the true ones, in [0, 1], for each threshold; NaN where there is no truth.

    With p_ij the share of the pixels that lie in the predicted segment i and in the true one j, s_i and t_j those of
    the segments, I(S; T) their mutual information and H their entropies:

    Attributes:
        v_rand: foreground-restricted Rand score, sum p_ij^2 / (sum s_i^2 / 2 + sum t_j^2 / 2).
        v_rand_split: sum p_ij^2 / sum t_j^2; low where true segments are split.
        v_rand_merge: sum p_ij^2 / sum s_i^2; low where they are merged.
        v_info: information theoretic score, I(S; T) / (H(S) / 2 + H(T) / 2).
        v_info_split: I(S; T) / H(S).
        v_info_merge: I(S; T) / H(T).
        pixel_error: share of all pixels on the wrong side of the threshold; not thinned.
    """

    v_rand: NDArray[np.float64]
    v_rand_split: NDArray[np.float64]
    v_rand_merge: NDArray[np.float64]
    v_info: NDArray[np.float64]
    v_info_split: NDArray[np.float64]
    v_info_merge: NDArray[np.float64]
    pixel_error: NDArray[np.float64]


def border_ids(classes: Sequence[str], membranes: Sequence[str]) -> tuple[int, ...]:
    """The ids of classes that are membranes, by their names, or by the name of the only one.

    Raises:
        InputError: there is no such class, or no other one.
    """
    membranes = [membranes] if isinstance(membranes, str) else membranes
    if unknown := [name for name in membranes if name not in classes]:
        raise InputError(f"Membranes must be classes of the run ({', '.join(classes)}); received {', '.join(unknown)}.")
    if len(set(membranes)) == len(classes):
        raise InputError(f"Membranes must separate another class; received all of {', '.join(classes)}.")
    return tuple(sorted({classes.index(name) for name in membranes}))


class MembraneSums:
    """The counts of `PartitionScores` over files, for each of `THRESHOLDS`.

    As the ISBI 2012 challenge does: the probability of what is no membrane is cut at a threshold, the membranes are
    thinned to lines, and the 4-connected pieces between the lines are the segments. Pixels that are membrane in the
    truth are ignored, and one that is membrane in the prediction alone is a segment by itself. Void parts the true
    segments, and the found ones with them. Pairs of pixels are those within an image and add up over images;
    information is the mean over the pixels of all images.

    Args:
        borders: ids of the classes that are membranes.

    Reference:
        Arganda-Carreras et al.: Crowdsourcing the creation of image segmentation algorithms for connectomics (Frontiers
        in Neuroanatomy, 2015), "Evaluation metrics"; with the border thinning of its final ranking.
    """

    def __init__(self, borders: tuple[int, ...]) -> None:
        self.borders = borders
        self.counts = np.zeros((len(THRESHOLDS), 6))  # sums of `partition_counts`
        self.wrong, self.pixels = np.zeros(len(THRESHOLDS), np.int64), 0

    def add(self, label: NDArray, probabilities: NDArray, objects: NDArray | None = None) -> None:
        """Count a file: (H, W) true ids; (H, W, C); (H, W) ids of true segments, 0 elsewhere, where they are known."""
        counted, membrane = label != VOID, np.isin(label, self.borders)
        inside = counted & ~membrane
        true = _pieces(inside) if objects is None else np.where(inside, objects, 0)
        chance = 1 - probabilities[..., list(self.borders)].sum(-1)  # of what is no membrane
        self.pixels += int(counted.sum())
        for number, threshold in enumerate(THRESHOLDS):
            look()
            found = chance <= threshold
            self.wrong[number] += int(((found != membrane) & counted).sum())
            # what void parts in the truth it parts here too
            self.counts[number] += partition_counts(true, segments(found, counted if objects is None else None))

    @property
    def scores(self) -> PartitionScores:
        """Those of all files together."""
        wrong = self.wrong / self.pixels if self.pixels else np.full(len(self.wrong), np.nan)
        return PartitionScores(*[*partition_scores(self.counts), wrong])


def segments(membrane: NDArray[np.bool_], within: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Number the pieces of a picture that membranes part, once these are thinned to lines.

    Args:
        membrane: (H, W).
        within: (H, W) where segments may be; None for everywhere.

    Returns:
        (H, W) numbers from 1; 0 on the lines, and where no segment may be.

    Example:
        >>> segments(np.array([[0, 1, 1, 1, 0, 0]] * 3) > 0).tolist()[1]
        [1, 1, 0, 2, 2, 2]
    """
    beyond = np.pad(membrane, BEYOND, mode="edge")
    height, width = membrane.shape
    parted = ~skeleton(beyond)[BEYOND : BEYOND + height, BEYOND : BEYOND + width]
    return _pieces(parted if within is None else parted & within)


def partition_counts(true: NDArray, found: NDArray) -> NDArray[np.float64]:
    """Count how two partitions of the pixels that belong to a true segment fit.

    Args:
        true: (H, W) ids; pixels of 0 are ignored.
        found: (H, W) ids; each pixel of 0 is a segment by itself.

    Returns:
        (6,) which add up over images: with n pixels, of which n_ij are in both segments, s_i and t_j in one: sum of
        n_ij^2, of s_i^2, of t_j^2; n I(S; T), n H(S), n H(T), in bits.
    """
    counted = true > 0
    pixels = int(counted.sum())
    if not pixels:
        return np.zeros(6)
    codes = np.unique(true[counted], return_inverse=True)[1].astype(np.int64)
    ids = found[counted].astype(np.int64)
    alone = int((ids == 0).sum())
    both = np.unique(codes[ids > 0] * (int(ids.max()) + 1) + ids[ids > 0], return_counts=True)[1]
    of_true, of_found = np.bincount(codes), np.bincount(ids[ids > 0])
    (pairs, joint), (in_found, h_found), (in_true, h_true) = (
        _sums(both, alone, pixels), _sums(of_found, alone, pixels), _sums(of_true, 0, pixels)
    )  # fmt: skip
    return np.array([pairs, in_found, in_true, h_found + h_true - joint, h_found, h_true])


def partition_scores(counts: NDArray) -> list[NDArray[np.float64]]:
    """V_rand, its split and merge scores, V_info and its, of (..., 6) `partition_counts`, summed over images."""
    pairs, in_found, in_true, mutual, of_found, of_true = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return [
            2 * pairs / (in_found + in_true), pairs / in_true, pairs / in_found,
            2 * mutual / (of_found + of_true), mutual / of_found, mutual / of_true,
        ]  # fmt: skip


def _sums(sizes: NDArray, alone: int, pixels: int) -> tuple[float, float]:
    """Sum of squares, and `pixels` times the entropy in bits, of segments of some sizes and of single pixels."""
    sizes = sizes[sizes > 0].astype(np.float64)
    squares = float(np.square(sizes).sum()) + alone
    return squares, float((sizes * np.log2(pixels / sizes)).sum()) + alone * float(np.log2(pixels))


def _pieces(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    pieces: NDArray[np.int32] = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1].astype(np.int32)
    return pieces
