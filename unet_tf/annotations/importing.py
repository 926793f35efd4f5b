"""Annotations to a data folder: pictures, masks and the colours of the classes, all of it or nothing."""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.annotations.annotated import BACKGROUND, VOID_NAME, Annotated
from unet_tf.annotations.classes import Chosen, Classes, choose_classes, colours_of, palette_lines, spelt_apart
from unet_tf.annotations.drawing import CROWDS, VOID_OBJECT, Drawn, draw
from unet_tf.annotations.features import name_features
from unet_tf.annotations.finding import PictureIndex, parse_suffixes, predicted_by
from unet_tf.annotations.pairing import Task, tasks_of
from unet_tf.annotations.pieces import MASKS, number_pieces
from unet_tf.annotations.recognise import Source, read_source
from unet_tf.annotations.record import check_out, write_record
from unet_tf.data.drawing import VOID_GREY
from unet_tf.data.folder import some
from unet_tf.data.palette import PALETTE_FILE
from unet_tf.data.pictures import open_pictures
from unet_tf.errors import InputError, about
from unet_tf.labels import VOID
from unet_tf.pages.words import many
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead, cores

OVERLAPS, EMPTIES = ("file", "small"), ("skip", "background", "void")


@dataclass(frozen=True)
class Imported:
    """What was imported.

    Attributes:
        out: the data folder.
        program: that wrote the annotations, as `--from` names it.
        pictures: with a mask.
        shapes: in their masks.
        classes: names by id; of masks of objects the classes that count as one.
        instances: the masks hold object ids.
        void: pixels of the masks are ignored.
        notes: what was left out, clipped or decided, a sentence each.
        suffixes: what the names of the files of one picture end in; empty where it is one file.
        net: where the net lay whose predictions these were, as `predict` noted beside them; "" where it did not.
    """

    out: Path
    program: str
    pictures: int
    shapes: int
    classes: tuple[str, ...]
    instances: bool
    void: bool
    notes: list[str] = field(default_factory=list)
    suffixes: tuple[str, ...] = ()
    net: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What `check` and `train` have to be told of the pictures and the masks."""
        told: dict[str, Any] = {"channel_suffix": self.suffixes} if self.suffixes else {}
        if self.instances:
            told |= {"masks": "instance"} | ({"void": (str(VOID_OBJECT),)} if self.void else {})
        return told

    @property
    def flags(self) -> list[tuple[str, str]]:
        """The same for the command line: names and values."""
        told = self.settings.items()
        return [(name.replace("_", "-"), one if isinstance(one, str) else ",".join(one)) for name, one in told]


def import_annotations(
    source: str | Path,
    out: str | Path,
    *,
    program: str | None = None,
    images: str | Path | None = None,
    classes: Chosen | None = None,
    instances: bool = False,
    overlap: str = "file",
    empty: str = "skip",
    overwrite: bool = False,
    channel_suffix: str | Sequence[str] = (),
    class_field: str | None = None,
    on_file: Progress = unseen,
    on_picture: Progress = unseen,
) -> Imported:
    """Make a data folder of annotations that another program wrote: `images/`, `masks/` and `label_colors.txt`.

    A pixel belongs to a shape if its centre is inside (`unet_tf.annotations.raster.rasterise`). Pictures are copied as
    they are; masks have the size of the picture as it is meant, turned as EXIF says. Nothing is written anywhere but
    in `out`, and there all or nothing. docs/annotations.md says of each program what is read.

    Args:
        source: a file of annotations, or a folder of such and those in it.
        out: the data folder to make.
        program: that wrote them: labelme, coco, via, cvat, label-studio, qupath, imagej, voc, supervisely, yolo or map;
            None to tell it by the content. "masks": no annotations, but a data folder of binary masks, or the folder of
            these, whose pieces are numbered (`unet_tf.annotations.pieces`).
        images: folder of the pictures; None where they lie in the source, or beside it where that is a file.
        classes: those that count, and what they are made of, such as "cell=nucleus+cytoplasm,vessel"; None for all.
        instances: write object ids (uint16, 0 is background) and not classes.
        overlap: what a pixel of several shapes is of: of the last one in the file ("file"), or of the one with the
            fewest pixels ("small").
        empty: what becomes of pictures in which nothing is annotated: "skip", or masks that are "background" or "void".
        overwrite: replace what an earlier import made in `out`.
        channel_suffix: what the names of the files of one picture end in, in a sequence or parted by commas:
            "_dapi,_gfp" where a_dapi.tif and a_gfp.tif are the picture of the mask a.png.
        class_field: of vectors over a map, and of GeoJSON, the field that names the class; None for the first of class,
            class_name, label, category, name and type that there is; of GeoJSON in pixels for the classification of
            QuPath, or else the first of class, class_name, classname, label, category_name and category whose values
            are all words, which repeat where there are more than 20.
        on_file: called with (files of annotations read, files in all).
        on_picture: called with (masks written, masks in all).

    Returns:
        What was imported, and what was not.

    Raises:
        InputError: annotations or pictures cannot be read, do not fit together or are missing, or `out` is not empty.

    Example:
        >>> unet_tf.import_annotations("labelme/", "data/cells", classes="cell")  # doctest: +SKIP
    """
    source, out = Path(source), Path(out)
    for name, value, known in (("overlap", overlap, OVERLAPS), ("empty", empty, EMPTIES)):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}; received {value!r}.")
    if program == MASKS:
        others = classes, class_field, overlap, empty
        if not instances or others != (None, None, OVERLAPS[0], EMPTIES[0]):
            raise InputError(
                "Pieces of masks are objects of one class, that do not overlap: --from masks needs --instances, and no "
                "--classes, --class-field, --overlap and --empty."
            )
        return _import_masks(source, out, images, overwrite, channel_suffix, on_picture)
    found = read_source(source, program, on_file)
    root = Path(images) if images is not None else source if source.is_dir() else source.parent
    if not root.is_dir():
        raise InputError(f"There is no folder {root}. Give the folder of the pictures with --images.", root)
    check_out(out, overwrite, (source, root))
    channels = parse_suffixes(channel_suffix, found.pictures)
    if class_field is not None and found.program not in ("qupath", "map"):
        raise InputError(
            "--class-field is of GeoJSON and of vectors over a map; these are annotations of "
            f"{found.program}. Leave it out.",
            source,
        )
    notes: list[str] = []
    if found.program == "qupath":
        with about(source):
            found.pictures, notes = name_features(found.pictures, found.skipped, class_field, classes)
    tasks, of_tasks = tasks_of(found, PictureIndex(root, channels), empty, class_field)
    notes += of_tasks
    if instances:
        _check_apart(tasks)
    there = {shape.name for task in tasks for shape in task.one.shapes}
    if not there:
        left = " ".join([*notes, *_left_out(found)])
        raise InputError(f"{source} must annotate areas of pictures in {root}; it has none. {left}".strip(), source)
    with about(source):
        chosen = choose_classes(there, classes)
    if classes is None and not instances:
        notes += _spelt_apart(there)
    if instances:
        notes += _of_no_object(tasks, chosen)
    colours = np.full((VOID + 1, 3), VOID_GREY, np.uint8)
    colours[: len(chosen.names)] = colours_of(len(chosen.names))
    with replacing(out) as temporary:
        temporary.mkdir()
        write = partial(_write, temporary, chosen, colours, instances, overlap == "small", empty == "void")
        pixels, counts = _write_all(tasks, write, on_picture)
        shapes = counts.pop("shapes", 0)
        counted = [f"{what}: {count}." for what, count in sorted(counts.items()) if count]
        if not pixels[1:VOID].any():
            hint = " If they are in degrees or metres, say --from map." * (found.program == "qupath")
            if counts[CROWDS]:
                hint = " Where a crowd (iscrowd 1) is one object, set iscrowd to 0; or leave --instances out."
            said = " ".join([f"no shape that counts covers one.{hint}", *notes, *_left_out(found), *counted])
            raise InputError(f"{source} must annotate pixels of pictures in {root}; {said}", source)
        names = tuple(one for one, count in zip(chosen.names, pixels, strict=False) if instances or count)
        result = Imported(
            out, found.program, len(tasks), shapes, names, instances, bool(pixels[VOID]),
            [*notes, *_notes(found, counted, chosen, pixels, instances, overlap)], channels.suffixes,
            predicted_by(found.pictures),
        )  # fmt: skip
        if not instances:
            drawn = [(red, green, blue) for red, green, blue in colours[np.flatnonzero(pixels)].tolist()]
            lines = palette_lines([*names, *["void"] * result.void], drawn)
            (temporary / PALETTE_FILE).write_text(lines, encoding="utf-8")
        write_record(temporary, asdict(result), source)
    return result


def _import_masks(
    source: Path,
    out: Path,
    images: str | Path | None,
    overwrite: bool,
    channel_suffix: str | Sequence[str],
    on_picture: Progress,
) -> Imported:
    """Number the pieces of binary masks."""
    if not source.is_dir():
        raise InputError(f"There is no folder {source}. Give a data folder, or the folder of the masks.", source)
    pictures = None if images is None else Path(images)
    check_out(out, overwrite, (source, *([] if pictures is None else [pictures])))
    channels = parse_suffixes(channel_suffix, [])
    with replacing(out) as temporary:
        temporary.mkdir()
        done = number_pieces(source, pictures, temporary, channels, on_picture)
        names = ("background", "cell")
        result = Imported(out, MASKS, done.pictures, done.objects, names, True, False, done.notes, channels.suffixes)
        write_record(temporary, asdict(result), source)
    return result


def _check_apart(tasks: list[Task]) -> None:
    """Raise InputError where masks of objects are wanted of annotations that tell classes alone."""
    made = [task.one for task in tasks if any(shape.name != VOID_NAME for shape in task.one.shapes)]
    if wrong := [one for one in made if not one.apart]:
        raise InputError(
            f"Masks of objects need annotations that tell objects apart; {some((str(one.file) for one in wrong), 3)} "
            f"{'do' if len(wrong) > 1 else 'does'} not: masks of SegmentationClass need one in SegmentationObject. "
            "Add it, or take the other away.",
            wrong[0].file,
        )


def _spelt_apart(there: set[str]) -> list[str]:
    """What is said of classes that may be one in several spellings."""
    groups = spelt_apart(there - {BACKGROUND, VOID_NAME})
    if all(len(group) == 1 for group in groups):
        return []
    listed = ",".join(group[-1] if len(group) == 1 else f"{group[-1]}={'+'.join(group)}" for group in groups)
    named = "; ".join(", ".join(group) for group in groups if len(group) > 1)
    said = f" Where they mean one, say so: --classes {shlex.quote(listed)}."
    has_signs = any(sign in name for group in groups for name in group for sign in "=+,")  # of the option itself
    return [f"Classes that differ in their spelling alone: {named}.{said * (not has_signs)}"]


def _of_no_object(tasks: list[Task], chosen: Classes) -> list[str]:
    """What is said of pixels of a class that are of no object, in masks of objects."""
    classes = {name for name, number in chosen.ids.items() if 0 < number < VOID}
    pixels = [found for task in tasks if (found := sum(n for name, n in task.one.loose if name in classes))]
    if not pixels:
        return []
    pictures = f"{sum(pixels)} in {many(len(pixels), 'picture')}"
    return [f"Pixels of a class and of no object, which are void in masks of objects: {pictures}."]


def _write_all(
    tasks: list[Task], write: Callable[[Task], Drawn], on_picture: Progress
) -> tuple[np.ndarray, Counter[str]]:
    """Write all pictures and masks: the pixels of each class id, and what is counted of shapes."""
    pixels, counts = np.zeros(VOID + 1, np.int64), Counter[str]()
    for number, drawn in enumerate(ahead(write, tasks, cores()), start=1):
        pixels += drawn.pixels
        counts += drawn.counts
        on_picture(number, len(tasks))
        look()
    return pixels, counts


def _write(
    out: Path, chosen: Classes, colours: np.ndarray, instances: bool, small: bool, void: bool, task: Task
) -> Drawn:
    """Copy a picture and write its mask."""
    image = out / "images" / task.target
    image.parent.mkdir(parents=True, exist_ok=True)
    if task.picture is not None:
        image = image.with_name(task.picture.name)
        for file in (task.picture, *task.others):
            open_pictures(file)  # one that cannot be read is not said to be one that cannot be written
            shutil.copyfile(file, image.with_name(file.name))
    else:
        image = image.with_suffix(_write_embedded(task.one, image))
    mask = (out / "masks" / task.target).with_suffix(".png")
    named = task.picture or task.one.file
    return draw(task.one, named, image, mask, chosen, None if instances else colours, small, void)


def _write_embedded(one: Annotated, image: Path) -> str:
    """Write the picture that lies in the annotations; the suffix that its content asks for."""
    try:
        data = one.embedded() if one.embedded else b""
    except ValueError as error:
        raise InputError(f"{one.file} must hold its picture whole: {error}.", one.file) from error
    suffix = {b"\x89P": ".png", b"\xff\xd8": ".jpg", b"BM": ".bmp", b"II": ".tif", b"MM": ".tif"}.get(data[:2])
    if suffix is None:
        raise InputError(f"{one.file} must hold a PNG, JPEG, BMP or TIFF picture; it holds another.", one.file)
    image.with_suffix(suffix).write_bytes(data)
    return suffix


def _notes(
    found: Source, counted: list[str], chosen: Classes, pixels: np.ndarray, instances: bool, overlap: str
) -> list[str]:
    """What was left out, clipped or decided, in words."""
    notes = [*found.notes, *_left_out(found), *counted]
    if found.unnamed and (bare := [name for name in chosen.names if re.fullmatch(r"class\d+", name)]):
        named = ",".join(f"NAME={name}" for name in bare)
        notes.append(
            f"No list of names (data.yaml, classes.txt) lies in SOURCE: classes are called {some(bare, 3)}. Give the "
            f"folder that holds the list, or names: --classes {named}."
        )
    if not instances and (lost := [chosen.names[i] for i in range(1, len(chosen.names)) if not pixels[i]]):
        notes.append(
            f"No pixel is of {', '.join(lost)}: other classes cover it, or it lies outside (--overlap {overlap})."
        )
    if not instances and not pixels[0]:
        notes.append("No pixel is background: the classes are those that are annotated, alone.")
    if instances and len(chosen.names) > 2:
        notes.append(
            f"Objects of {', '.join(chosen.names[1:])} are of one class in masks of objects (--classes picks)."
        )
    return notes


def _left_out(found: Source) -> list[str]:
    """What the reader counted, in a sentence, if anything."""
    listed = "; ".join(f"{count} {what}" for what, count in sorted(found.skipped.items()))
    return [f"Left out: {listed}."] if listed else []
