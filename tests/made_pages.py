"""Hand-made evaluations and run folders, for the tests of pages: no net is needed for these."""

import json
import shutil
from pathlib import Path

import numpy as np

from unet_tf.evaluation.metrics import scores
from unet_tf.evaluation.panels import Gallery, write_panel, write_panels, write_samples
from unet_tf.evaluation.strips import write_strip

SAVED = Path(__file__).parent / "saved" / "run_0_1"
NAMES = ("细胞/图像 一", "клетки", "خلايا", "<b>bold</b> & \"quotes\" 'too'", "caf\udce9", "🧫")
"""Names of files in several scripts, one that would be markup, and bytes that are no UTF-8."""

PARTING = [f"{one}{end}" for one in ("v_rand", "v_info") for end in ("", "_split", "_merge")]


def method(classes, confusion):
    found = scores(np.array(confusion))

    def of(key):
        return {name: None if np.isnan(v) else float(v) for name, v in zip(classes, found[key], strict=True)}

    single = {
        key: None if np.isnan(found[key]) else float(found[key]) for key in ("mean_iou", "mean_dice", "pixel_accuracy")
    }
    by_class = {key: of(key) for key in ("iou", "dice", "precision", "recall", "specificity")}
    return by_class | single | {"confusion": np.array(confusion).tolist()}


def evaluation(classes=("background", "cell"), confusion=((900, 10), (4, 96)), images=6, **more):
    """An `evaluation.json` of an earlier version, to which keys of later ones are added."""
    names = [NAMES[n] if n < len(NAMES) else f"image_{n:04d}" for n in range(images)]
    majority = np.zeros_like(confusion)
    majority[:, np.sum(confusion, 1).argmax()] = np.sum(confusion, 1)
    own = method(classes, confusion)
    return {
        "files": f"{images} files of cells/test",
        "classes": list(classes),
        **own,
        "soft_dice": own["dice"],
        "mean_soft_dice": own["mean_dice"],
        "baselines": {"majority class": method(classes, majority)},
        "per_file_mean_iou": {name: 0.5 + 0.4 * n / images for n, name in enumerate(names)},
    } | more


def later(stored):
    """What later versions add, each key in its form."""
    classes, names = stored["classes"], list(stored["per_file_mean_iou"])
    steps = [0.1, 0.3, 0.5, 0.7, 0.9]
    bins = [
        {"low": n / 10, "high": (n + 1) / 10, "confidence": None if n < 5 else n / 10 + 0.05,
         "accuracy": None if n < 5 else n / 10, "pixels": 0 if n < 5 else 100}
        for n in range(10)
    ]  # fmt: skip
    ends = {name: [0.6, 0.95] for name in classes}
    means = {name: [0.8, 0.9] for name in ("mean_iou", "mean_dice", "pixel_accuracy")}
    curve = [0.5, 0.7, 0.9, 0.8, None]
    return {
        "boundaries": {"distance": 2.0, "f": stored["dice"], "surface_dice": stored["dice"], "iou": stored["iou"]},
        "intervals": {"groups": 6, "iou": ends, "dice": ends, **means},
        "objects": {"thresholds": [0.5, 0.7, 0.9], "ap": [0.9, 0.7, None], "ap_ends": None,
                    "ap_files": [0.9, 0.7, None], "f1": [0.95, 0.8, 0.3], "pq": [0.85, 0.7, 0.2],
                    "found": [380, 300, 100], "true": 412, "predicted": 409, "merges": 3, "splits": 1},
        "thin": {classes[-1]: {"cldice": 0.83, "precision": 0.9, "sensitivity": None, "words": "its skeleton is long"}},
        "membranes": {"borders": [classes[0]], "v_rand": 0.97, "v_info": 0.98, "pixel_error": 0.06,
                      "best": {"v_rand": 0.5, "v_info": 0.5, "pixel_error": 0.7}, "thresholds": steps,
                      "curve": dict.fromkeys([*PARTING, "pixel_error"], curve)},
        "field": {"roi": "masks of fields/", "foreground": classes[-1], "auc": 0.981, "average_precision": 0.9,
                  "within": 0.00001},
        "per_file": [
            {"name": name, "group": name, "mean_iou": value, "iou": dict.fromkeys(classes, value),
             "dice": dict.fromkeys(classes)}
            for name, value in stored["per_file_mean_iou"].items()
        ],
        "images": {"mean IoU": {"files": len(names), "mean": 0.7, "median": 0.71, "worst": 0.5}},
        "calibration": {"temperature": 1.3, "ece": 0.012, "bins": bins, "ece_raw": 0.05, "bins_raw": bins},
        "thresholds": {"chosen": 0.4, "thresholds": steps, "iou": curve, "dice": curve, "precision": curve,
                       "recall": curve},
        "judged": {"kind": "run", "path": "runs/cells", "command": "unet-tf evaluate runs/cells cells"},
    }  # fmt: skip


def discs(seed, side=96):
    """Image (side, side, 1), label and a prediction with mistakes of every kind."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    label = np.zeros((side, side), np.uint8)
    for left in (side // 4, side // 4 + side // 3 + 2):
        label[(rows - side // 2) ** 2 + (columns - left) ** 2 < (side // 6) ** 2] = 1
    prediction = label.copy()
    prediction[side // 2 - 2 : side // 2 + 2, side // 4 : side // 2 + 8] = 1  # joins the two
    prediction[: side // 8, : side // 8] = 1
    prediction[side // 2 + 6 :, : side // 3] = 0
    image = (label * 90 + rng.integers(0, 90, label.shape)).astype(np.uint8)
    return image[..., None], label, prediction


def run_folder(path, stored=None, side=96, images=6):
    """The folder of a run of version 0.1, filled as this version fills it."""
    shutil.copytree(SAVED, path, dirs_exist_ok=True)
    if stored is None:
        return path
    (path / "evaluation.json").write_text(json.dumps(stored))
    gallery = Gallery(("background", "cell"))
    for number in range(6):
        gallery.add(NAMES[number], 0.5 + number / 10, *discs(number, side))
    write_panels(path / "panels", gallery.ranked(images))
    image, label, prediction = discs(0, side)
    (path / "progress").mkdir(exist_ok=True)
    for epoch in (1, 2):
        write_panel(path / "progress" / f"epoch_{epoch:05d}.png", NAMES[0], image, label, prediction, ("a", "b"), None)
    write_samples(path / "samples.png", lambda n: (image.astype(np.float32) - 40, label, label), None)
    grey = np.repeat(image, 3, axis=2)
    write_strip(path / "weights.png", {"image": grey, "label": grey, "weight": grey}, title=NAMES[1], most=11.5)
    pixels = {"class_pixels": [9000, 1000]}
    sizes = {"96x96": 3, "80x64": 1}
    data = {
        "splits": {"train": {"files": 4, "sizes": sizes} | pixels, "val": {"files": 1, "sizes": {"96x96": 1}} | pixels}
    }
    (path / "data.json").write_text(json.dumps(data))
    return path
