"""Outlines as COCO instances: a JSON file for each picture, and all of them in one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unet_tf.annotations.outlines import polygons_of, signed_area
from unet_tf.annotations.raster import rasterise
from unet_tf.annotations.runs import counts_of_spans
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.suffixes import SUFFIXES
from unet_tf.annotations.writing import DIGITS, Add, Picture, box_of, json_list, numbers_of
from unet_tf.errors import InputError

SUFFIX = SUFFIXES["coco"]


@contextmanager
def coco_writer(path: Path, picture: Picture) -> Iterator[Add]:
    """Yield a function that appends the objects of a page; the file is there, whole, when the block ends well.

    An object without holes is a list of polygons, one a part. COCO's polygons cannot say holes: an object with one is
    an uncompressed run-length code of the pixels whose centres lie inside, and no crowd for that. `score` is the mean
    probability. A stack is an image for each page: the same `file_name`, and `page` from 0.

    Args:
        path: of the file.
        picture: whose objects they are.

    Yields:
        The function.

    Reference:
        https://cocodataset.org/#format-data
    """
    pages: list[dict[str, Any]] = [{"page": number} for number in range(picture.pages)] if picture.pages > 1 else [{}]
    of = {"file_name": picture.path.name, "width": picture.width, "height": picture.height}
    ids = {name: number for number, name in enumerate(picture.colours, start=1)}
    head = {
        "info": {"description": "unet-tf predict"},
        "images": [{"id": number} | of | page for number, page in enumerate(pages, start=1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    with json_list(path, head, "annotations", {}) as annotations:
        page = 0

        def add(shapes: Sequence[Shape]) -> None:
            nonlocal page
            page += 1
            for shape in shapes:
                known = {"id": annotations.length + 1, "image_id": page, "category_id": ids[shape.name]}
                annotations.append(known | _annotation(shape, picture))

        yield add


def merge_coco(files: str | Path | Iterable[str | Path], out: str | Path) -> int:
    """Put COCO files together into one: images and annotations numbered anew, categories by their names.

    Args:
        files: the files, or a folder: all of its files *.coco.json, in order of their names.
        out: the file to be; its directory is made.

    Returns:
        How many annotations it holds.

    Raises:
        InputError: there are no files, one is no COCO file or damaged, `out` would be one of the folder's, or the
            system refuses to write.
    """
    if isinstance(files, str | Path):
        folder = Path(files)
        if folder.is_dir() and Path(out).name.endswith(SUFFIX) and Path(out).resolve().parent == folder.resolve():
            raise InputError(
                f"Files that end in {SUFFIX} in {folder} are those that are put together; received {out} for all of "
                "them, which the next call would take for one, as it would what an earlier call wrote there. Call it "
                "annotations.json.",
                Path(out),
            )
        files = sorted(folder.glob("*" + SUFFIX)) if folder.is_dir() else [folder]
        if not files:
            raise InputError(f"{folder} must hold files *{SUFFIX}; it has none. Predict with --polygons coco.", folder)
    paths = [Path(file) for file in files]
    names: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    for path in paths:
        images += _renumbered(path, names, len(images))[0]
    categories = [{"id": number, "name": name} for name, number in names.items()]
    head = {"info": {"description": "unet-tf predict"}, "images": images, "categories": categories}
    with json_list(Path(out), head, "annotations", {}) as annotations:
        before = 0
        for path in paths:  # again, as all of them may not fit into the memory
            own, found = _renumbered(path, names, before)
            before += len(own)
            for one in found:
                annotations.append(one | {"id": annotations.length + 1})
    return annotations.length


def _renumbered(file: Path, names: dict[str, int], before: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The images and the annotations of a COCO file, with the numbers that they have among those of other files.

    Args:
        file: to read.
        names: numbers of the categories; gets those that are new.
        before: images of the files before it.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        of = {one["id"]: names.setdefault(one["name"], len(names) + 1) for one in found["categories"]}
        numbers = {one["id"]: before + i for i, one in enumerate(found["images"], start=1)}
        images = [one | {"id": numbers[one["id"]]} for one in found["images"]]
        return images, [
            one | {"image_id": numbers[one["image_id"]], "category_id": of[one["category_id"]]}
            for one in found["annotations"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = (
            f"a key, or an image or category of that id, is missing: {error}" if isinstance(error, KeyError) else error
        )
        raise InputError(
            f"{file} must be a COCO file with images, categories and annotations of these; {what}. Predict it again, "
            "or leave it out.",
            file,
        ) from error


def _annotation(shape: Shape, picture: Picture) -> dict[str, Any]:
    polygons = polygons_of(shape.rings)
    left, top, right, bottom = (round(side, DIGITS) for side in box_of(shape.rings))
    area = round(sum(map(signed_area, shape.rings)), DIGITS)
    segmentation: Any
    if all(len(polygon) == 1 for polygon in polygons):
        segmentation = [[side for point in numbers_of(shell) for side in point] for (shell,) in polygons]
    else:
        spans = rasterise([shape], picture.height, picture.width)[:, 1:]
        counts = counts_of_spans(spans, picture.height, picture.width)
        segmentation, area = {"size": [picture.height, picture.width], "counts": counts}, sum(counts[1::2])
    found = {
        "segmentation": segmentation,
        "area": area,
        "bbox": [left, top, round(right - left, DIGITS), round(bottom - top, DIGITS)],
        "iscrowd": 0,
    }
    return found if shape.probability is None else found | {"score": round(shape.probability, 4)}
