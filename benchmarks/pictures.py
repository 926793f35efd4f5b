"""Pictures of the documents: README's, failures made on purpose (docs/failures.md), and outlines that become a mask.

Usage: python benchmarks/pictures.py --out DIR [--only grey seams ...]

All on generated pictures, by trainings of seconds. Writes docs/pictures/NAME.webp and prints the numbers that the pages
give. About ten minutes on two cores.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from PIL import Image

import unet_tf
from unet_tf.data.pictures import read_image, read_mask, write_picture
from unet_tf.demonstration import demo
from unet_tf.evaluation.metrics import confusion_matrix
from unet_tf.evaluation.mistakes import draw_mistakes, mistakes

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
NET: dict[str, Any] = {
    "base_filters": 8,
    "depth": 3,
    "padding": "same",
    "precision": "float32",
    "batch_size": 4,
    "tile": 96,
}
COURSE = {"epochs": 3, "steps_per_epoch": 60, "seed": 0}
COUNTS = {"train": 12, "val": 3, "test": 4}
SIZE = 192
RED, YELLOW = (213, 94, 0), (240, 228, 66)


def main(out: Path, only: list[str]) -> None:
    """Make those that are asked for."""
    for name in only:
        print(name, MADE[name](out), flush=True)


def data(out: Path, kind: str, counts: dict[str, int] = COUNTS) -> Path:
    """The generated folder of a kind, made once."""
    folder = out / "data" / kind
    return folder if folder.exists() else unet_tf.write_synthetic(folder, kind, counts, size=SIZE, seed=5)


def fit(folder: Path, out: Path, **settings) -> unet_tf.Run:
    """A run with these settings, trained once."""
    return unet_tf.Run(out) if (out / "report.html").exists() else unet_tf.train(folder, out, **NET | COURSE | settings)


def cells(out: Path) -> unet_tf.Run:
    """A net that has learnt cells."""
    return fit(data(out, "cells"), out / "runs" / "cells")


def test_file(folder: Path, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 1) and mask of a test file."""
    path = sorted((folder / "test" / "images").iterdir())[number]
    return read_image(path), read_mask(folder / "test" / "masks" / path.name)


def front(out: Path):
    """README's: an image, its border weights, the mask by the net of the demo, and what is wrong with it."""
    if not (out / "demo" / "report.html").exists():
        demo(out / "demo")
    run = unet_tf.Run(out / "demo")
    image, instances = unet_tf.generate_cells(150, 200, seed=17, density=1.2)
    label = unet_tf.label_from_instances(instances)
    weights = unet_tf.border_weights(instances * (label > 0))
    found = unet_tf.predict(run, image)
    objects = unet_tf.components(found)
    coloured = np.where(objects[..., None] > 0, colormaps["hsv"](objects * 0.618 % 1, bytes=True)[..., :3], 0)
    wrong = draw_mistakes(image[..., None], mistakes(label, found))
    panels = (
        np.repeat(image[..., None], 3, -1),
        colormaps["inferno"](weights / 10, bytes=True)[..., :3],
        coloured,
        wrong,
    )
    gap = np.full((150, 4, 3), 255, np.uint8)
    row = np.hstack([part for panel in panels for part in (panel.astype(np.uint8), gap)][:-1])
    large = cv2.resize(row, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    Image.fromarray(large).save(PICTURES / "front.webp", lossless=True, method=6)
    return unet_tf.scores(confusion_matrix(label, found, 2))["mean_iou"]


def grey(out: Path):
    """A net of two steps; and pixels divided by 255, given to a bare model that learnt with mean and deviation."""
    folder = data(out, "cells")
    image, _ = test_file(folder)
    early = fit(folder, out / "runs" / "early", epochs=1, steps_per_epoch=2)
    learnt = cells(out)
    maps = [foreground(early, image), foreground(learnt.model, image / 255), foreground(learnt, image)]
    save("failure_grey", image, *maps)
    return [[round(float(one.min()), 3), round(float(one.max()), 3)] for one in maps]


def seams(out: Path):
    """Tiles predicted one by one and put side by side, beside `unet_tf.predict`."""
    run, size, side = cells(out), 256, 64
    image, _ = unet_tf.generate_cells(size, size, seed=11)
    alone = np.zeros((size, size), np.float32)
    for y in range(0, size, side):
        for x in range(0, size, side):
            alone[y : y + side, x : x + side] = foreground(run, image[y : y + side, x : x + side])
    whole, tiled = foreground(run, image), foreground(run, image, tile=136)
    save("failure_seams", image, alone, whole, 4 * np.abs(alone - whole))
    most = {"alone": np.abs(alone - whole).max(), "tiled": np.abs(tiled - whole).max()}
    return most | {"labels that differ": ((alone > 0.5) != (whole > 0.5)).mean()}


def values(out: Path):
    """A mask of 0 and 255 that went through JPEG."""
    folder = data(out, "cells")
    _, mask = test_file(folder)
    soft = np.asarray(cv2.imdecode(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_GRAYSCALE))
    between = np.repeat(soft[..., None], 3, axis=2)
    between[(soft != 0) & (soft != 255)] = RED
    spoilt = out / "data" / "jpeg"
    for path in sorted((folder / "train" / "images").iterdir())[:3]:
        write_picture(spoilt / "images" / path.name, read_image(path)[..., 0])
        whole = read_mask(folder / "train" / "masks" / path.name)
        jpeg = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
        (spoilt / "masks").mkdir(exist_ok=True, parents=True)
        (spoilt / "masks" / f"{path.stem}.jpg").write_bytes(jpeg.tobytes())
    found = unet_tf.check(spoilt)
    save("failure_values", mask, soft, between, np.where(soft > 127, 255, 0))
    return {"values": len(np.unique(soft)), "check": found.problems}


def polarity(out: Path):
    """Masks in which the cells are black."""
    folder, turned = data(out, "cells"), out / "data" / "inverted"
    for path in folder.rglob("*.png"):
        if path.parent.name in ("images", "masks"):
            picture = read_image(path)[..., 0]
            target = turned / path.relative_to(folder)
            write_picture(target, 255 - picture if path.parent.name == "masks" else picture)
    image, mask = test_file(turned)
    wrong = fit(turned, out / "runs" / "wrong")
    right = fit(turned, out / "runs" / "inverted", inverted=True)
    save("failure_polarity", image, mask, unet_tf.predict(wrong, image) * 255, unet_tf.predict(right, image) * 255)


def tile(out: Path):
    """Tiles smaller than what tells the classes apart: a plant of crop from one of weed."""
    folder = data(out, "crops")
    image, mask = test_file(folder, 1)
    few = fit(folder, out / "runs" / "tile_16", tile=16, batch_size=64, steps_per_epoch=100)
    many = fit(folder, out / "runs" / "tile_128", tile=128, batch_size=1, steps_per_epoch=100)
    save("failure_tile", image, *(run.masks.mask(unet_tf.predict(run, image)) for run in (few, many)), mask)
    return [unet_tf.evaluate(run, folder).scores["iou"].round(3).tolist() for run in (few, many)]


def leak(out: Path):
    """Validation pictures that are training pictures too."""
    folder, leaking = data(out, "cracks"), out / "data" / "leak"
    for path in folder.rglob("*.png"):
        split, role = path.relative_to(folder).parts[:2]
        if split == "train" and path.stem < "cracks_003":
            for other in ("train", "val"):
                write_picture(leaking / other / role / f"{other}_{path.name}", read_image(path)[..., 0])
        if split == "test":
            write_picture(leaking / "test" / role / path.name, read_image(path)[..., 0])
    settings = {"flips": False, "warped": 0.0, "contrast": 0.0, "brightness": 0.0, "epochs": 8, "steps_per_epoch": 40}
    run = fit(leaking, out / "runs" / "leak", **settings)
    validation = run.history()[-1]["val_mean_iou"]
    image, _ = test_file(leaking)
    seen = read_image(leaking / "val" / "images" / "val_cracks_000.png")
    save("failure_leak", seen, unet_tf.predict(run, seen) * 255, image, unet_tf.predict(run, image) * 255)
    return {
        "val": validation,
        "test": unet_tf.evaluate(run, leaking).mean_iou,
        "check": unet_tf.check(leaking).warnings,
    }


def collapsed(out: Path):
    """Cracks by the cross-entropy alone and with the Dice loss, after 24 steps and after 75."""
    folder = data(out, "cracks")
    image, mask = test_file(folder)
    plain, dice = (
        {"loss": "crossentropy", "rare_share": 0.0, "optimizer": "adam"},
        {"rare_share": 0.5, "optimizer": "adam"},
    )
    runs = {
        name: fit(folder, out / "runs" / name, steps_per_epoch=steps, **how)
        for name, steps, how in (
            ("plain24", 8, plain),
            ("dice24", 8, dice),
            ("plain75", 25, plain),
            ("dice75", 25, dice),
        )
    }
    early, late = (unet_tf.predict(runs[name], image) * 255 for name in ("plain24", "dice75"))
    save("failure_collapsed", image, early, late, mask)
    return {name: unet_tf.evaluate(run, folder).scores["iou"].round(3).tolist() for name, run in runs.items()}


def rate(out: Path):
    """A learning rate a hundred times too high, for a net without batch normalisation, as the paper's."""
    folder = data(out, "cells")
    image, mask = test_file(folder)
    rates = {"high": 0.1, "right": 0.001}
    high, right = (
        fit(folder, out / "runs" / name, learning_rate=rate, batch_norm=False, optimizer="adam")
        for name, rate in rates.items()
    )
    save("failure_rate", image, unet_tf.predict(high, image) * 255, unet_tf.predict(right, image) * 255, mask)
    return [[row["loss"] for row in run.history()] for run in (high, right)]


def annotate(out: Path):
    """Outlines as an annotator draws them in labelme, and the mask that the import makes of them."""
    source = out / "data" / "labelme"
    image, instances = unet_tf.generate_cells(SIZE, SIZE, seed=8)
    write_picture(source / "a.png", image)
    drawn, shapes = np.repeat(image.reshape(SIZE, SIZE, 1), 3, axis=2), []
    for number in range(1, int(instances.max()) + 1):
        contours = cv2.findContours((instances == number).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        outline = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 1.0, closed=True)[:, 0]
        if len(outline) > 2:
            points = (outline + 0.5).tolist()
            shapes.append({"label": "cell", "shape_type": "polygon", "points": points, "group_id": None, "flags": {}})
            cv2.polylines(drawn, [outline], True, YELLOW, 1)
    head = {"version": "5.5.0", "flags": {}, "imagePath": "a.png", "imageData": None}
    size = {"imageHeight": SIZE, "imageWidth": SIZE}
    (source / "a.json").write_text(json.dumps(head | size | {"shapes": shapes}))
    unet_tf.import_annotations(source, out / "data" / "imported", overwrite=True)
    mask = cv2.imread(str(out / "data" / "imported" / "masks" / "a.png"))[..., ::-1]
    grey = np.repeat(image.reshape(SIZE, SIZE, 1), 3, axis=2)
    laid = np.where(mask.any(-1, keepdims=True), (0.6 * grey + 0.4 * mask), grey).astype(np.uint8)
    save("annotate", grey, drawn, mask, laid)
    return len(shapes)


MADE = {
    "front": front, "grey": grey, "seams": seams, "values": values, "polarity": polarity, "tile": tile, "leak": leak,
    "collapsed": collapsed, "rate": rate, "annotate": annotate,
}  # fmt: skip


def foreground(run, image: np.ndarray, **options) -> np.ndarray:
    """(H, W) probability of class 1."""
    return unet_tf.predict(run, image, probabilities=True, **options)[..., 1]


def save(name: str, *panels: np.ndarray) -> None:
    """Write panels side by side: (H, W) or (H, W, 1 or 3) of 0 to 255, or probabilities."""
    drawn = []
    for panel in panels:
        values = np.asarray(panel)
        if values.dtype.kind == "f":
            values = np.rint(np.clip(values, 0, 1) * 255)
        values = values.reshape(*values.shape[:2], -1).astype(np.uint8)
        values = cv2.resize(np.repeat(values, 3 // values.shape[2], axis=2), (256, 256), interpolation=cv2.INTER_AREA)
        drawn += [values, np.full((256, 4, 3), 255, np.uint8)]
    Image.fromarray(np.hstack(drawn[:-1])).save(PICTURES / f"{name}.webp", quality=80, method=6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(MADE), default=list(MADE))
    arguments = parser.parse_args()
    main(arguments.out, arguments.only)
