"""What the data must have before a net can be trained on it, and be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.fingerprint import Fingerprint
from unet_tf.data.folder import Pair, some
from unet_tf.data.nodata import nodata_samples
from unet_tf.data.samples import Seen
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.planning.plan import usual_side


def validation_lacks(class_pixels: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Say which classes no validation pixel has, and what follows; nothing where it has all."""
    absent = [name for name, pixels in zip(classes, class_pixels, strict=True) if not pixels]
    if not absent:
        return ""
    names = ", ".join(absent)
    return (
        f"No validation pixel is of {names}. A mean IoU on these files leaves it out, or takes 0 for it where some "
        "pixel is called so; the best epoch is chosen by validation loss. "
        f"Give more files with {names}, or a val/ that holds some."
    )


def check_classes(
    class_pixels: NDArray[np.int64], classes: tuple[str, ...], drawn: NDArray[np.int64] | None = None
) -> None:
    """Raise InputError where a class has none of the training pixels.

    Args:
        class_pixels: (num_classes,) number of those of each class.
        classes: their names.
        drawn: (num_classes,) pixels that are held out of what might be trained on; None where a folder says the splits.
    """
    absent = [name for name, pixels in zip(classes, class_pixels, strict=True) if not pixels]
    if absent and drawn is not None and drawn[class_pixels == 0].all():
        raise InputError(
            f"Every class must have training pixels; all those of {', '.join(absent)} lie in what is held out. "
            f"Give more files with {'them' if len(absent) > 1 else 'it'}, or train on all: --val-share 0, and no "
            "--fold."
        )
    if absent:
        raise InputError(
            f"Every class must have pixels in the training masks; none has {', '.join(absent)} (pixels of "
            f"{', '.join(classes)}: {', '.join(map(str, class_pixels))}). Check the masks, or --classes."
        )


def check_tile(seen: Sequence[Seen], geometry: Geometry, tile: int) -> None:
    """Raise InputError unless `tile` is legal and its output fits where most tiles lie; others are mirrored."""
    output = geometry.output_size(tile)
    shapes = [one.shape for _, one in seen]
    side = usual_side(shapes)
    if side < output:
        small = sum(min(shape) < output for shape in shapes)
        (height, width), name = min(((one.shape, pair.name) for pair, one in seen), key=lambda item: min(item[0]))
        fits = geometry.nearest_legal(side + geometry.shrink)[0]
        remedy = f"--tile {fits} or less" if fits <= side + geometry.shrink else "a smaller --depth"
        raise InputError(
            f"The images in which three quarters of the tiles lie must hold the output of one, and a {tile} tile "
            f"gives {output}x{output} px: {name} is {height}x{width} (and {small - 1} more are too small). Choose "
            f"{remedy}."
        )


def copies_between(splits: Mapping[str, Sequence[Seen]]) -> str:
    """Say which pictures of other splits are training pictures too, to the pixel; nothing where none is."""
    train = {one.sha256: pair.name for pair, one in splits["train"]}
    same = [
        f"{name}/{pair.name} = train/{train[one.sha256]}"
        for name, some_of in splits.items()
        if name != "train"
        for pair, one in some_of
        if one.sha256 in train
    ]
    if not same:
        return ""
    return (
        f"Pictures that are training pictures too: {len(same)}, {some(same, 3)}. The best epoch may be chosen by them; "
        "the scores leave them out. Take each out of one split (--group keeps pictures together that are alike)."
    )


def nodata_of_some(train: Sequence[Seen], seen: Sequence[Seen]) -> list[str]:
    """Say of each value that stands for no measurement in training images which images hold it and do not name it.

    It is looked for at the ends of the range of each image, and at 0. The net sees the mean there in all images; in
    those that do not name it, labels are void only where their masks say so, and the normalisation has the value.
    """
    warnings = []
    for value in sorted({value for _, one in train for value in one.nodata}):
        if holders := [pair for pair, one in seen if _holds(one, value)]:
            namers = [pair for pair, one in train if value in one.nodata]
            shown = f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(value)
            warnings.append(
                f"{shown} stands for no measurement in {_files(namers)}, and so counts as the mean in all images, "
                f"also where these hold it and do not name it: {_files(holders)}. If it is a measurement in the first "
                "too, take the name away where a file has it (gdal_edit.py -unsetnodata); if in the second alone, give "
                "the gaps of the first another value, as uint16 where 8 bits have none left; if in neither, save the "
                f"second as TIFF files that name it (gdal_edit.py -a_nodata {shown})."
            )
    return warnings


def _holds(one: Fingerprint, value: float) -> bool:
    """Whether an image has a value at an end of its range, or 0, and does not name it; both in its own type."""
    ends = np.array(one.ends, one.dtype)
    return bool((nodata_samples(ends, [value]) & ~nodata_samples(ends, one.nodata)).any())


def _files(pairs: Sequence[Pair]) -> str:
    """The first files of some images, with the page in a stack."""
    return some({f"{file}{f' (page {pair.page})' if pair.page else ''}" for pair in pairs for file in pair.files}, 3)


def check_unseen(splits: Mapping[str, Sequence[Seen]]) -> None:
    """Raise InputError where nothing is left to judge the net on."""
    unseen = "test" if "test" in splits else "val"
    if unseen not in splits:  # nothing is held out, as was said
        return
    if {one.sha256 for _, one in splits[unseen]} <= {one.sha256 for _, one in splits["train"]}:
        raise InputError(
            f"A net must be judged on images that it never saw, and every {unseen} image is a training image too. "
            "Hold others out."
        )
