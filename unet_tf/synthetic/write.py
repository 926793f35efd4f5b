"""Generated pictures as data folders: the kinds by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.instances import label_from_instances
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import PALETTE_FILE, Palette
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.synthetic.cells import generate_cells
from unet_tf.synthetic.cracks import generate_cracks
from unet_tf.synthetic.crops import generate_crops
from unet_tf.synthetic.membranes import generate_membranes
from unet_tf.synthetic.roads import generate_roads
from unet_tf.synthetic.texture import chance
from unet_tf.synthetic.vessels import generate_vessels
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen


class Kind(NamedTuple):
    """A kind of generated pictures.

    Attributes:
        generate: height, width, seed -> image, and label or, for cells, instances.
        palette: of the classes, where masks are drawn in colours; else they are 0 and 255.
    """

    generate: Callable[[int, int, int], tuple[NDArray[np.uint8], NDArray]]
    palette: Palette | None = None


KINDS = {
    "cells": Kind(generate_cells),
    "membranes": Kind(generate_membranes),
    "roads": Kind(generate_roads),
    "vessels": Kind(generate_vessels),
    "cracks": Kind(generate_cracks),
    "crops": Kind(generate_crops, Palette(("soil", "crop", "weed"), ((0, 0, 0), (0, 158, 115), (213, 94, 0)))),
}


def write_synthetic(
    folder: str | Path,
    kind: str,
    counts: dict[str, int],
    size: int = 256,
    seed: int = 0,
    on_image: Progress = unseen,
) -> Path:
    """Generate a data folder: `SPLIT/images` (8 bit) and `SPLIT/masks` (0/255, or colours and `label_colors.txt`).

    Cells have `SPLIT/instances` (16-bit cell ids) too; where they touch they are apart in the masks
    (`label_from_instances`).

    Args:
        folder: where to write, a new one: pictures of another call that lie there and are not replaced stay there.
        kind: cells, membranes, roads, vessels, cracks or crops.
        counts: number of images of each split, such as {"train": 24, "val": 4, "test": 8}.
        size: height and width of the images, pixels.
        seed: the same arguments give the same files. Two calls need two seeds, or pictures of one are those of the
            other, whatever their split is called.
        on_image: called with (images written, images in all) after each.

    Returns:
        `folder` as a path.

    Raises:
        InputError: there is no such kind, the images are too small, or seed or a count below 0.

    Example:
        >>> write_synthetic("vessels", "vessels", {"train": 20, "val": 4})  # doctest: +SKIP
    """
    if kind not in KINDS:
        raise InputError(f"Pictures are generated of {', '.join(KINDS)}; received {kind!r}.")
    folder, (generate, palette) = Path(folder), KINDS[kind]
    chance(size, size, seed)
    for split, count in counts.items():
        if count < 0:
            raise InputError(f"A split must have 0 images or more; received {count} of {split}.")
    total = sum(counts.values())
    streams = np.random.SeedSequence(seed).spawn(total)
    for split, count in counts.items():
        for number in range(count):
            image, truth = generate(size, size, int(streams.pop().generate_state(1)[0]))
            label = label_from_instances(truth) if kind == "cells" else truth
            mask = np.array(palette.colours, np.uint8)[label] if palette else MaskFormat("binary").mask(label)
            pictures = {"images": image, "masks": mask}
            if kind == "cells":
                pictures["instances"] = truth
            for role, picture in pictures.items():
                write_picture(folder / split / role / f"{kind}_{number:03d}.png", picture)
            on_image(total - len(streams), total)
    if palette:
        with replacing(folder / PALETTE_FILE) as temporary:
            temporary.write_text("\n".join(palette.lines) + "\n", encoding="utf-8")
    return folder
