"""What `data.json` of a run holds: the files that it was trained on and those held out, their sizes and classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from unet_tf.data.samples import Samples
from unet_tf.utils.typed_json import read_json


class SplitTable(TypedDict):
    """What `data.json` of a run says of the files that it was trained on, or held out.

    Attributes:
        files: how many.
        sizes: number of files by "HEIGHTxWIDTH", the commonest first.
        class_pixels: by class id.
    """

    files: int
    sizes: dict[str, int]
    class_pixels: list[int]


class DataTable(TypedDict):
    """What `data.json` of a run holds.

    Attributes:
        splits: by name, "train" and, where files were held out, "val".
    """

    splits: dict[str, SplitTable]


def read_data(path: Path) -> DataTable:
    """Read the `data.json` of a run.

    Raises:
        InputError: the file is missing, damaged or of another version.
    """
    return read_json(path, DataTable, "Remove it: the page of the run does without.")


def data_table(splits: Mapping[str, Samples]) -> DataTable:
    """Say it of the splits of a run."""
    return {"splits": {name: _split_table(samples) for name, samples in splits.items()}}


def _split_table(samples: Samples) -> SplitTable:
    sizes = Counter(f"{height}x{width}" for height, width in samples.shapes)
    return {"files": len(samples), "sizes": dict(sizes.most_common()), "class_pixels": samples.class_pixels.tolist()}
