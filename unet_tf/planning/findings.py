"""What a check of a data folder found, as facts and texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import Palette
from unet_tf.data.weight_map import class_balance
from unet_tf.pages.words import many
from unet_tf.planning.channel_facts import ChannelFacts

MOST_CLASSES = 24
"""Classes up to which a notebook shows their table at once."""


@dataclass
class SplitFacts:
    """What one split holds.

    Attributes:
        pairs: number of pairs that can be read.
        sizes: (height, width) -> number of images.
        kinds: such as "uint8 grey" -> number of images.
        class_pixels: (num_classes,) pixels of each class; empty where the masks are not understood.
        void: pixels that are ignored.
        objects: number of objects in instance masks.
    """

    pairs: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    class_pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    void: int = 0
    objects: int = 0


@dataclass
class Findings:
    """What `check` found.

    Attributes:
        data: the folder.
        masks: how the masks say the classes; None where that cannot be told.
        classes: names of the classes.
        why: what shows it, in words.
        splits: facts of "train", "val" and, where there is one, "test", as training would split.
        problems: what would stop training, one text each; empty if nothing.
        notes: what lies in the folder and is not used, one text each.
        warnings: what deserves a look, one text each.
        palette: a first `label_colors.txt`, where masks are colour-coded and there is none.
        tile: suggested input size of a training tile, pixels; None where no tile fits.
        overlays: "split/name" and (h, w, 3) RGB picture of some pairs.
        drawn: whether the validation files were drawn at random.
        channels: facts of each channel of the training images.
        shown: which channels the overlays show, in words; "" for grey and RGB.
        rules: how the names of masks differ from those of their images, in words.
    """

    data: Path
    masks: MaskFormat | None = None
    classes: tuple[str, ...] = ()
    why: str = ""
    splits: dict[str, SplitFacts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    palette: Palette | None = None
    tile: int | None = None
    overlays: list[tuple[str, NDArray[np.uint8]]] = field(default_factory=list)
    drawn: bool = False
    channels: list[ChannelFacts] = field(default_factory=list)
    shown: str = ""
    rules: list[str] = field(default_factory=list)

    @property
    def class_weights(self) -> NDArray[np.float64]:
        """Suggested weight of each class, from the training files (`unet_tf.class_balance`)."""
        return class_balance(self.splits["train"].class_pixels)

    def to_json(self) -> dict[str, Any]:
        """Give everything but the pictures as JSON types."""
        weights = self.class_weights if "train" in self.splits else ()
        return {
            "data": str(self.data),
            "pairs": self.rules,
            "masks": None if self.masks is None else self.masks.kind,
            "why": self.why,
            "classes": list(self.classes),
            "class_weights": dict(zip(self.classes, map(float, weights), strict=False)),
            "tile": self.tile,
            "palette": self.palette and [[*c, n] for n, c in zip(*self.palette, strict=True)],
            "splits": {
                name: {
                    "pairs": facts.pairs,
                    "sizes": {f"{h}x{w}": count for (h, w), count in facts.sizes.items()},
                    "kinds": dict(facts.kinds),
                    "class_pixels": dict(zip(self.classes, facts.class_pixels.tolist(), strict=False)),
                    "void_pixels": facts.void,
                    "objects": facts.objects,
                }
                for name, facts in self.splits.items()
            },
            "channels": [one._asdict() for one in self.channels],
            "problems": self.problems,
            "notes": self.notes,
            "warnings": self.warnings,
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: whether one can train, splits, classes, and some overlays."""
        from unet_tf.pages.notebook import Table, show_object

        splits, classes = split_rows(self), class_rows(self)
        tables = [Table(splits[1:], splits[0], of_words=True)]
        if classes:
            folded = f"{len(self.classes)} classes" if len(self.classes) > MOST_CLASSES else ""
            tables.append(Table(classes[1:], classes[0], folded=folded))
        said = [] if self.masks is None else [f"Masks: {self.masks.kind}; {self.why}."]
        said += self.problems + self.notes + self.warnings
        return show_object("Findings in", str(self.data), verdict(self), tables, said, pictures=self.overlays)


def verdict(findings: Findings) -> str:
    """Say in one sentence whether one can train with a folder."""
    problems, looks = len(findings.problems), len(findings.notes + findings.warnings)
    if problems:
        return f"Training would fail: {many(problems, 'problem')} to mend first."
    pairs = sum(facts.pairs for facts in findings.splits.values())
    words = f"Nothing stands in the way of training on {'this' if pairs == 1 else 'these'} {many(pairs, 'pair')}"
    return f"{words}, and {many(looks, 'thing is', 'things are')} worth a look." if looks else f"{words}."


def split_rows(findings: Findings) -> list[tuple[str, ...]]:
    """The splits as a table of text: a header, and a row each."""
    with_objects = any(facts.objects for facts in findings.splits.values())
    rows: list[tuple[str, ...]] = [("split", "pairs", "sizes", "pixels", *(("objects",) if with_objects else ()))]
    for name, facts in findings.splits.items():
        sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in facts.sizes.most_common(3))
        more = f" and {len(facts.sizes) - 3} more" if len(facts.sizes) > 3 else ""
        kinds = ", ".join(f"{kind} ({n})" for kind, n in facts.kinds.most_common())
        rows.append((name, str(facts.pairs), sizes + more, kinds, *((str(facts.objects),) if with_objects else ())))
    return rows


def class_rows(findings: Findings) -> list[tuple[str, ...]]:
    """The classes as a table of text: a header, and a row each with its share of the known pixels and balancing weight.

    Where pixels are void, a last row has their share of all pixels.
    """
    splits = {name: facts.class_pixels for name, facts in findings.splits.items() if facts.class_pixels.any()}
    if "train" not in splits:
        return []
    rows: list[tuple[str, ...]] = [("class", *(f"pixels in {name}" for name in splits), "balancing weight")]
    for number, (name, weight) in enumerate(zip(findings.classes, findings.class_weights, strict=True)):
        shares = (f"{pixels[number] / pixels.sum():.2%}" for pixels in splits.values())
        rows.append((name, *shares, f"{weight:.3g}"))
    if any(findings.splits[name].void for name in splits):
        void = {name: findings.splits[name].void for name in splits}
        rows.append(("(void)", *(f"{void[name] / (void[name] + splits[name].sum()):.2%}" for name in splits), "0"))
    return rows
