"""Objects of a label: numbered and measured."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.instances import BORDER, renumber
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.labels import VOID


class Object(NamedTuple):
    """One object; pixels are counted from 0 at the top left.

    Attributes:
        number: its id, from 1.
        label: class id.
        area: pixels.
        row: of its centroid.
        column: of its centroid.
        top: first row.
        left: first column.
        bottom: last row.
        right: last column.
        probability: mean over its pixels of the probability of its class; NaN where none was given.
    """

    number: int
    label: int
    area: int
    row: float
    column: float
    top: int
    left: int
    bottom: int
    right: int
    probability: float


def cut_of(masks: MaskFormat) -> dict[str, Any]:
    """Give what tells objects apart beyond the classes, by name, as JSON types: settings that the net's file lacks.

    Example:
        >>> cut_of(MaskFormat("instance", neck=1.5))
        {'border': 0, 'neck': 1.5, 'smallest': 1, 'filled': False}
    """
    return {name: getattr(masks, name) for name in ("border", "neck", "smallest", "filled")}


def check_min_area(min_area: int, counted: bool = True) -> None:
    """Raise InputError where a smallest object is none, or is said though no objects are counted.

    Args:
        min_area: its pixels.
        counted: whether ids, a table or outlines of objects are wanted.
    """
    if min_area < 1:
        raise InputError(f"The smallest object must have 1 pixel or more; received {min_area}.")
    if min_area > 1 and not counted:
        raise InputError("--min-area is of objects; add --instances, or --polygons and their format.")


def find_objects(
    label: NDArray[np.uint8],
    probabilities: NDArray[np.float32] | None = None,
    min_area: int = 1,
    masks: MaskFormat | None = None,
) -> tuple[NDArray, list[Object]]:
    """Number the objects of each class but 0; of two classes that touch, they are two.

    Objects are 8-connected pieces. They are cut as the masks say, which a run on object ids ("instance") measured on
    its training objects: parted at necks, with their borders where these are a class, without holes, and none smaller
    than the smallest (`unet_tf.data.instances.find_instances`). That looks at the whole label, and so depends on no
    tiles.

    Args:
        label: (H, W) class ids.
        probabilities: (H, W, num_classes), for the mean probability of each object.
        min_area: objects of fewer pixels are left out.
        masks: how objects are told apart; None takes pieces.

    Returns:
        (H, W) ids from 1 in reading order of their first pixels, 0 elsewhere: uint16, or uint32 beyond 65,535; and the
        objects. Ids that are void in the masks are left out, as `MaskFormat.mask` does.

    Example:
        >>> ids, found = find_objects(np.array([[1, 0, 2], [0, 1, 2]], np.uint8))
        >>> ids.tolist(), [(one.label, one.area) for one in found]
        ([[1, 0, 2], [0, 1, 2]], [(1, 2), (2, 2)])
    """
    cut = masks or MaskFormat("index")
    ids, count = np.zeros(label.shape, np.int32), 0
    for number in range(1, int(label[label != VOID].max(initial=0)) + 1):
        if not (cut.border and number == BORDER):
            own = cut.objects(label, number)
            ids = np.where((own > 0) & (ids == 0), own + count, ids)
            count += int(own.max(initial=0))
    ids = renumber(ids, max(min_area, cut.smallest))
    real, probability = cut.real_label(label), None
    if probabilities is not None:
        kinds = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
        np.maximum.at(kinds, ids, real)
        kinds[0] = 0
        of_object = kinds[ids]  # that of a hole that was filled, too
        probability = np.take_along_axis(cut.real_probabilities(probabilities), of_object[..., None], axis=2)[..., 0]
    found = _measure(ids, real, probability)
    numbers = cut.numbers(np.arange(len(found) + 1, dtype=np.int32))
    kind = np.uint16 if numbers[-1] < 1 << 16 else np.uint32
    return numbers.astype(kind)[ids], [one._replace(number=int(numbers[one.number])) for one in found]


def _measure(ids: NDArray[np.int32], label: NDArray[np.uint8], probability: NDArray[np.float32] | None) -> list[Object]:
    """The objects of (H, W) ids from 1 without gaps; (H, W) their classes and the probability of these."""
    rows, columns = np.nonzero(ids)
    of_pixel = ids[rows, columns] - 1
    count = int(ids.max(initial=0))
    area = np.bincount(of_pixel, minlength=count)
    box = np.zeros((4, count), np.int64)  # top, left, bottom, right
    box[:2] = max(ids.shape, default=0)
    for place, values in enumerate((rows, columns)):
        np.minimum.at(box[place], of_pixel, values)
        np.maximum.at(box[2 + place], of_pixel, values)
    classes = np.zeros(count, np.uint8)
    np.maximum.at(classes, of_pixel, label[rows, columns])  # the hole of an object is 0
    means = np.full(count, np.nan)
    if probability is not None:
        means = np.bincount(of_pixel, probability[rows, columns], count) / area
    row, column = (np.bincount(of_pixel, values, count) / area for values in (rows, columns))
    columns_of_table = classes, area, row, column, *box, means
    rows_of_table = zip(*(values.tolist() for values in columns_of_table), strict=True)
    return [Object(number, *values) for number, values in enumerate(rows_of_table, start=1)]
