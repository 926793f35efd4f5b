"""What is in a data folder, and what would stop training: the facts behind `unet-tf check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import SPLITS, Pair, hold_out, match, read_pair
from unet_tf.data.weight_map import class_balance, count_classes
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry


@dataclass
class SplitFacts:
    """What one split holds.

    Attributes:
        pairs: number of pairs that can be read.
        sizes: (height, width) -> number of images.
        kinds: such as "uint8 grey" -> number of images.
        class_pixels: (num_classes,) pixels of each class.
    """

    pairs: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    class_pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass
class Findings:
    """What `check` found.

    Attributes:
        splits: facts of "train", "val" and, where there is one, "test", as training would split with seed 0.
        problems: what would stop training, one text each; empty if nothing.
    """

    splits: dict[str, SplitFacts]
    problems: list[str]

    @property
    def class_weights(self) -> NDArray[np.float64]:
        """Suggested weight of each class, from the training files (`unet_tf.class_balance`)."""
        return class_balance(self.splits["train"].class_pixels)


def check(
    data: str | Path, num_classes: int = 2, on_file: Callable[[int, int], None] = lambda done, total: None
) -> Findings:
    """Read every pair of a data folder and list all that is wrong, instead of stopping at the first.

    Args:
        data: folder as for `unet_tf.train`.
        num_classes: number of classes, 2 for binary masks.
        on_file: called with (pairs read, pairs in all) after each.

    Returns:
        The facts and the problems.

    Raises:
        InputError: there is no such folder.

    Example:
        >>> check("cells").problems  # doctest: +SKIP
        []
    """
    data = Path(data)
    if not data.is_dir():
        raise InputError(f"There is no folder {data}. Give the folder that holds images/ and masks/.")
    findings = Findings({}, [])
    splits = _split(data, findings.problems)
    total, done = sum(map(len, splits.values())), 0
    for name, pairs in splits.items():
        facts = findings.splits[name] = SplitFacts(class_pixels=np.zeros(num_classes, np.int64))
        for pair in pairs:
            try:
                image, label = read_pair(pair, num_classes)
            except InputError as error:
                findings.problems.append(str(error))
            else:
                facts.pairs += 1
                height, width, channels = image.shape
                facts.sizes[height, width] += 1
                facts.kinds[f"{image.dtype} {'grey' if channels == 1 else 'colour'}"] += 1
                facts.class_pixels += count_classes(label, num_classes)
            done += 1
            on_file(done, total)
    _check_together(findings)
    return findings


def _split(data: Path, problems: list[str]) -> dict[str, list[Pair]]:
    """The splits that training would use, as far as they can be told; what is wrong is added to `problems`."""
    folders = {name: data / name for name in SPLITS if (data / name).is_dir()}
    folders.setdefault("train", data)
    splits = {}
    for name, folder in folders.items():
        splits[name], unpaired = match(folder)
        problems += unpaired
        if not splits[name]:
            problems.append(f"{folder} has no pair of images/NAME and masks/NAME.")
    if "val" not in splits and len(splits["train"]) >= 2:
        splits["train"], splits["val"] = hold_out(splits["train"])
    elif "val" not in splits and splits["train"]:
        problems.append("Training needs 2 pairs, one of them for validation; found 1.")
    return {name: splits[name] for name in SPLITS if name in splits}


def _check_together(findings: Findings) -> None:
    """Add what no single file shows: pixel types that differ, colour beside grey, classes without a pixel."""
    kinds = {name: set(facts.kinds) for name, facts in findings.splits.items()}
    types = {kind.split()[0] for present in kinds.values() for kind in present}
    if len(types) > 1:
        findings.problems.append(
            f"All images have one pixel type; found {', '.join(sorted(types))}. Convert them to one."
        )
    in_colour = {name for name, present in kinds.items() if any("colour" in kind for kind in present)}
    if in_colour and "train" not in in_colour:
        names = ", ".join(sorted(in_colour))
        findings.problems.append(
            f"All training images are grey, and {names} has images in colour. Convert them to grey."
        )
    train = findings.splits["train"]
    net = Geometry()
    least = net.output_size(net.min_input)
    if small := sorted(size for size in train.sizes if min(size) < least):
        height, width = small[0]
        findings.problems.append(
            f"Every training image holds the output of a tile, {least}x{least} px at least with depth {net.depth}; "
            f"found {height}x{width}. Remove it, or choose a smaller --depth."
        )
    absent = np.flatnonzero(train.class_pixels == 0)
    if train.pairs and absent.size:
        ids = ", ".join(map(str, absent))
        findings.problems.append(f"Every class has pixels in the training masks; none has class {ids}.")
