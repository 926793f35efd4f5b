"""Objects of dsb2018: pieces beside the cut by necks, border weights beside a border class; AP at IoU thresholds.

Usage: python benchmarks/objects.py [NAME ...] [--steps 300] [--test] [--all] [--fold 0] --out FOLDER
       python benchmarks/objects.py --maps FOLDER ...
Names: weights, no-weights, border-1 (what `unet-tf train` does where nothing is said), border-1-energy,
border-1-weights, border-2. The set is that of the folder that UNET_TF_DATA names.

Of the 224 files in the order of their names every fifth is for testing; of the others every fourth is held out, and the
rest, 134 files, trains all nets in equal steps of four tiles of 256 px, base 16. What is chosen is chosen on the files
that are held out; --test judges on those for testing, and with --all the nets are trained on those held out too.
--fold 1 to 4 takes another fifth for testing. A net that lies in FOLDER is not trained again, whatever is said: a
FOLDER is of one fold, of --all or not, and of one number of steps.

--maps judges label maps (NAME.npy) of the files for testing, as `benchmarks/accuracy.py dsb2018` leaves them in a
folder for each net; objects are their pieces.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import unet_tf
from unet_tf.data.folder import Pair
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_image, read_mask
from unet_tf.evaluation.metrics import confusion_matrix, scores
from unet_tf.evaluation.objects import ObjectScores, score_objects
from unet_tf.planning.objects import plan_objects
from unet_tf.prediction.objects import find_objects

NETS: dict[str, dict[str, Any]] = {
    "weights": {"border_class": 0},
    "no-weights": {"border_class": 0, "border_weight": 0.0},
    "border-1": {"border_class": 1},
    "border-1-energy": {"border_class": 1, "loss": "crossentropy"},
    "border-1-weights": {"border_class": 1, "loss": "crossentropy", "border_weight": 10.0},
    "border-2": {"border_class": 2},
}
SIZES: dict[str, Any] = {
    "base_filters": 16, "batch_size": 4, "tile": 256, "epochs": 1, "val_share": 0.0, "masks": "instance",
}  # fmt: skip
SHOWN = (0.5, 0.6, 0.7, 0.8, 0.9)

Cut = Callable[[NDArray[np.float32], MaskFormat], NDArray]


def pieces(probabilities: NDArray[np.float32], masks: MaskFormat) -> NDArray:
    """Objects as the net leaves them apart."""
    return _cut(probabilities, replace(masks, neck=0.0, smallest=1, filled=False))


def large_pieces(probabilities: NDArray[np.float32], masks: MaskFormat) -> NDArray:
    """The same, but for what is too small."""
    return _cut(probabilities, replace(masks, neck=0.0))


def necks(probabilities: NDArray[np.float32], masks: MaskFormat) -> NDArray:
    """Objects as `unet-tf predict --instances` cuts them."""
    return _cut(probabilities, masks)


def _cut(probabilities: NDArray[np.float32], masks: MaskFormat) -> NDArray:
    return find_objects(probabilities.argmax(-1).astype(np.uint8), masks=masks)[0]


def beyond(share: float) -> Cut:
    """Objects parted at necks, where the background begins at such a probability instead of where it is the largest."""

    def cut(probabilities: NDArray[np.float32], masks: MaskFormat) -> NDArray:
        label = np.where(probabilities[..., 0] < share, 1 + probabilities[..., 1:].argmax(-1), 0)
        return find_objects(label.astype(np.uint8), masks=masks)[0]

    return cut


CUTS: dict[str, Cut] = {"pieces": pieces, "... of the smallest size": large_pieces, "parted at necks": necks}
CUTS |= {f"... background from {share} on": beyond(share) for share in (0.2, 0.25, 0.3, 0.4, 0.5, 0.65)}


def split(source: Path, fold: int = 0) -> dict[str, list[Pair]]:
    """The files that train, that are held out, and that are for testing."""
    pairs = sorted((pair for some in find_named(source).check().values() for pair in some), key=lambda pair: pair.name)
    rest = [pair for number, pair in enumerate(pairs) if number % 5 != fold]
    held = rest[::4]
    return {"train": [pair for pair in rest if pair not in held], "held": held, "test": pairs[fold::5]}


def trained(run: Path, pairs: Sequence[Pair], **settings: Any) -> unet_tf.Run:
    """The net of that folder, trained where there is none yet; its files, and no others, lie beside it then."""
    if not (run / unet_tf.Run.BEST).is_file():
        data = run.with_name(f"{run.name}-data")
        shutil.rmtree(data, ignore_errors=True)
        for role in ("image", "mask"):
            (data / f"{role}s").mkdir(parents=True, exist_ok=True)
            for pair in pairs:
                path = getattr(pair, role)
                shutil.copy(path, data / f"{role}s" / path.name)
        unet_tf.train(data, run, **SIZES, **settings)
    return unet_tf.Run(run)


def judge(
    run: unet_tf.Run, masks: MaskFormat, pairs: Sequence[Pair], cuts: Mapping[str, Cut] = CUTS
) -> tuple[dict[str, list[ObjectScores]], list[NDArray]]:
    """The scores of each file, by the way of cutting; and how many pixels of object and background are which."""
    predictor, found = unet_tf.Predictor(run), {name: list[ObjectScores]() for name in cuts}
    pixels = []
    for pair in pairs:
        probabilities, true = predictor.probabilities(read_image(pair.image)), read_mask(pair.mask, ids=True)
        pixels.append(confusion_matrix((true > 0).astype(np.uint8), (probabilities.argmax(-1) > 0).astype(np.uint8), 2))
        for name, cut in cuts.items():
            found[name].append(score_objects(true, cut(probabilities, masks), SHOWN))
    return found, pixels


def judge_maps(folder: Path, pairs: Sequence[Pair]) -> tuple[dict[str, list[ObjectScores]], list[NDArray]]:
    """The same of label maps."""
    scored, pixels = [], []
    for pair in pairs:
        label, true = np.load(folder / f"{pair.name}.npy").astype(np.uint8), read_mask(pair.mask, ids=True)
        pixels.append(confusion_matrix((true > 0).astype(np.uint8), (label > 0).astype(np.uint8), 2))
        scored.append(score_objects(true, MaskFormat("instance").objects(label), SHOWN))
    return {"pieces": scored}, pixels


def row(name: str, cut: str, scored: Sequence[ObjectScores]) -> str:
    """A line of the table: mean over the files, and over all objects."""
    total = sum(scored[1:], scored[0])
    mean = np.nanmean([one.average_precision for one in scored], axis=0)
    numbers = [" ".join(f"{value:.3f}" for value in values) for values in (mean, total.average_precision)]
    return f"| {name} | {cut} | {numbers[0]} | {numbers[1]} | {total.predicted} | {total.merges} | {total.splits} |"


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETS)}; all if none is given")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--test", action="store_true", help="judge on the files for testing, once all is chosen")
    parser.add_argument("--all", action="store_true", help="train on the files that are held out too")
    parser.add_argument("--fold", type=int, choices=range(5), default=0, help="which fifth is for testing")
    parser.add_argument("--out", type=Path, help="folder of the runs")
    parser.add_argument("--maps", type=Path, nargs="+", help="folders of label maps to judge; nothing is trained")
    given = parser.parse_args()
    if not (given.out or given.maps):
        parser.error("--out names the folder of the runs: give one, or --maps")
    source = Path(os.environ["UNET_TF_DATA"]) / "dsb2018"
    files = split(source, given.fold)
    learnt = files["train"] + (files["held"] if given.all else [])
    grey = {Path(one["file"]).stem for one in json.loads((source / "index.json").read_text()) if one["type"] != "color"}
    judged = files["test" if given.test or given.maps else "held"]
    names = {pair.name for pair in judged}
    shown = ", ".join(map(str, SHOWN))

    def show(name: str, found: Mapping[str, Sequence[ObjectScores]], pixels: Sequence[NDArray]) -> None:
        for cut, scored in found.items():
            print(row(name, cut, scored), flush=True)
            bright = [one for pair, one in zip(judged, scored, strict=True) if pair.name in grey]
            print(row("", f"fluorescence alone ({len(bright)})", bright), flush=True)
        for kind, chosen in (("all", names), ("fluorescence", grey), ("stained", names - grey)):
            some = [one for pair, one in zip(judged, pixels, strict=True) if pair.name in chosen]
            iou = scores(np.sum(some, axis=0))["mean_iou"]
            print(f"{name}: mean IoU of object and background, {kind}: {iou:.3f}", flush=True)

    print(f"| net | cut | AP at {shown}: mean of files | of all objects | predicted | merges | splits |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: |")
    for net in [] if given.maps else given.names or NETS:
        run = trained(given.out / net, learnt, steps_per_epoch=given.steps, **NETS[net])
        show(net, *judge(run, plan_objects(learnt, run.masks), judged))
    for folder in given.maps or []:
        show(folder.name, *judge_maps(folder, judged))


if __name__ == "__main__":
    main()
