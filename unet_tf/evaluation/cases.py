"""Pictures of a run folder as a page lays them over each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import Shade
from unet_tf.evaluation.mistakes import COLOURS, KINDS
from unet_tf.evaluation.panels import ERROR, IMAGE, PREDICTION, TRUTH
from unet_tf.evaluation.strips import Strip, read_strip
from unet_tf.evaluation.verdict import places
from unet_tf.pages.pictures import Picture, drawing, photo
from unet_tf.pages.words import number, percent

ORDER = ("Best", "Median", "Worst")


def cases_of(folder: Path) -> list[dict[str, Any]]:
    """The panels of a run: cases for the macro `case`, the best first."""
    strips = [one for path in sorted(folder.glob("*.png")) if (one := read_strip(path)) is not None]
    known = [one for one in strips if ERROR in one.layers and "rank" in one.words]
    ranks = [(int(one.words["rank"]), int(one.words["of"])) for one in known]
    found = [case(one, place) for one, place in zip(known, places(ranks), strict=True)]
    found.sort(key=lambda one: ORDER.index(one["place"]) if one["place"] in ORDER else len(ORDER))
    return found


def case(strip: Strip, place: str, start: int | None = None) -> dict[str, Any]:
    """A strip as the macro `case` draws it; it begins at the layer `start`, or at the last."""
    title, value = strip.words.get("title", ""), strip.words.get("mean_iou")
    counts = strip.words.get("counts", {})
    if channels := strip.words.get("channels"):
        title += f" ({channels})"
    return {
        "place": place,
        "title": title,
        "value": "" if value is None else f"mean IoU {number(value)}",
        "layers": [layer(name, picture, title) for name, picture in strip.layers.items()],
        "counts": kinds_legend(counts) if counts else [],
        "void": strip.words.get("void", False),
        "start": len(strip.layers) - 1 if start is None else start,
    }


def layer(name: str, pixels: NDArray[np.uint8], title: str) -> dict[str, Any]:
    """A layer of a case; what a camera saw is stored with loss, all else without."""
    exact = name != IMAGE and not name.startswith("tile")
    return {
        "name": name,
        "picture": drawing(pixels) if exact else photo(pixels),
        "alt": f"{ALTS.get(name, name)} {title}".strip(),
        "exact": exact,
    }


ALTS = {
    IMAGE: "the image",
    PREDICTION: "classes that the net predicts for",
    TRUTH: "true classes of",
    ERROR: "mistakes of the prediction for",
}


def kinds_legend(counts: Mapping[str, int]) -> list[tuple[str, Shade, str]]:
    """The kinds of mistakes that occur: name, colour, and share of the picture."""
    total = max(sum(counts.values()), 1)
    return [
        (kind, shade, percent(counts[kind] / total))
        for kind, shade in zip(KINDS, COLOURS, strict=True)
        if counts.get(kind)
    ]


def progress_of(folder: Path) -> list[tuple[Picture, str]]:
    """The prediction of one image after some epochs, and at the end its truth: pictures, and words to each."""
    found, truth = [], None
    for path in sorted(folder.glob("*.png")):
        strip = read_strip(path)
        if strip is not None and PREDICTION in strip.layers:
            words = f"after epoch {path.stem.removeprefix('epoch_').lstrip('0')}"
            found.append((drawing(strip.layers[PREDICTION]), words))
            truth = strip.layers.get(TRUTH, truth)
    return [*found, (drawing(truth), "truth")] if truth is not None else found
