"""Which program wrote annotations: told by their content, whatever they are called."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unet_tf.annotations.annotated import RECORD, Annotated, Skipped, load_json
from unet_tf.annotations.finding import is_of_predict
from unet_tf.annotations.read_coco import is_coco, read_coco
from unet_tf.annotations.read_cvat import is_cvat, parse_xml, read_cvat
from unet_tf.annotations.read_geojson import is_geojson, is_geojson_of_pixels, read_geojson
from unet_tf.annotations.read_imagej import is_imagej, read_imagej
from unet_tf.annotations.read_label_studio import is_label_studio, read_label_studio
from unet_tf.annotations.read_labelme import is_labelme, read_labelme
from unet_tf.annotations.read_supervisely import is_supervisely, read_supervisely
from unet_tf.annotations.read_vector_map import VECTORS, read_map
from unet_tf.annotations.read_via import is_via, is_via_csv, read_via, read_via_csv
from unet_tf.annotations.read_voc import CLASSES, read_voc
from unet_tf.annotations.read_yolo import LISTS, is_yolo, read_yolo, yolo_names
from unet_tf.data.folder import scan_all, some
from unet_tf.data.pictures import SUFFIXES as PICTURES
from unet_tf.data.pictures import UNREAD_SUFFIXES
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look

JsonReader = tuple[Callable[[Any], bool], Callable[[Path, Any, Skipped], list[Annotated]]]
JSON: dict[str, JsonReader] = {
    "labelme": (is_labelme, read_labelme),
    "coco": (is_coco, read_coco),
    "supervisely": (is_supervisely, read_supervisely),
    "label-studio": (is_label_studio, read_label_studio),
    "qupath": (is_geojson_of_pixels, read_geojson),
    "map": (is_geojson, lambda path, content, skipped: read_map(path, skipped)),
    "via": (is_via, read_via),
}
"""By program: whether parsed JSON is its, and what reads it."""
MARKS = {
    "labelme": "labelme JSON (shapes, imagePath)",
    "coco": "COCO JSON (images, annotations, categories)",
    "via": "VIA (JSON with filename and regions, CSV with region_shape_attributes; or file, view, metadata)",
    "cvat": 'XML of "CVAT for images" (<annotations> with <image>)',
    "label-studio": "Label Studio JSON (a list of tasks with data and annotations)",
    "qupath": "GeoJSON of QuPath (features)",
    "imagej": "ImageJ .roi files and zip archives of them",
    "voc": f"Pascal VOC (a folder {CLASSES})",
    "supervisely": "Supervisely JSON (size, objects)",
    "yolo": "YOLO text (CLASS X Y X Y ... in each line)",
    "map": "vectors over a GeoTIFF (.gpkg, .shp, .fgb, GeoJSON that names its crs)",
}
"""By program: what its files are told by. The keys are what --from takes."""
SUFFIXES = (".json", ".geojson", ".xml", ".csv", ".txt", ".roi", ".zip", *VECTORS)
"""What file names of annotations end in, in lower case."""


EMPTY, NOTE, OTHER = "empty", "a note beside a raster or vectors", "of "
"""Words for a file without a sign, for what GIS write, and, before a name, for a program that is not wanted."""
_ROOT = re.compile(rb"<([A-Za-z_][^\s/>]*)")


@dataclass
class Source:
    """What a source holds.

    Attributes:
        program: that wrote it, a key of `MARKS`.
        pictures: the annotations, by picture.
        skipped: what the reader left out: words -> how often.
        notes: what lies there and is not understood, or of another program.
        unknown: files that are not understood.
        links: to folders, which are not followed and hold files that may be annotations.
        unnamed: whether classes are numbers of which no list was found.
    """

    program: str
    pictures: list[Annotated]
    skipped: Skipped = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    unnamed: bool = False


class _Unknown(Exception):
    """A file is of no program that is known, or not of the wanted one: says what it holds."""


def read_source(source: Path, program: str | None = None, on_file: Progress = unseen) -> Source:
    """Read all annotations of a file, or of a folder and those in it.

    Args:
        source: the file or folder.
        program: a key of `MARKS`; None to tell it by the content.
        on_file: called with (files read, files in all) after each.

    Raises:
        InputError: there are none, of several programs, or damaged ones.
    """
    if program is not None and program not in MARKS:
        raise InputError(f"Annotations must be of one of {', '.join(MARKS)} or masks (--from); received {program!r}.")
    if not source.exists():
        raise InputError(f"There is no {source}. Give the file or the folder of the annotations.", source)
    links: list[Path] = []
    files = [source] if source.is_file() else sorted(_files(source, links))
    found: dict[str, list[Annotated]] = defaultdict(list)
    holders: dict[str, list[Path]] = defaultdict(list)
    skipped: dict[str, Skipped] = defaultdict(Counter)
    unknown: dict[Path, str] = {}
    names: dict[Path, dict[int, str]] = {}
    ours: list[Path] = []
    for number, path in enumerate(files, start=1):
        look()
        try:
            name, read = _read(path, _told, path, program, source, names)
            if program not in (None, name):
                raise _Unknown(f"{OTHER}{name}")
            found[name] += _read(path, read, skipped[name])
            holders[name].append(path)
        except _Unknown as error:
            if is_of_predict(path) or path.name == RECORD:
                ours.append(path)
            else:
                unknown[path] = str(error)
        on_file(number, len(files))
    if not found:
        raise InputError(_nothing(source, [program] if program else list(MARKS), unknown, ours), source)
    if len(found) > 1:
        held = "; ".join(f"{name} in {some((str(path) for path in paths), 2)}" for name, paths in holders.items())
        raise InputError(
            f"Annotations must be of one program; {source} holds {held}. Say which with --from, or give its folder.",
            source,
        )
    name = next(iter(found))
    result = Source(name, found[name], skipped[name], unnamed=name == "yolo" and not any(names.values()))
    telling = [path for path, what in unknown.items() if _should_be_told(path, what, name)]
    if telling:
        listed = some((f"{path.name} ({unknown[path]})" for path in telling), 3)
        result.unknown = [path for path in telling if not unknown[path].startswith(OTHER)]
        result.notes.append(f"Not understood, and not used: {many(len(telling), 'file')}, {listed}.")
    outside = (path for path in links if not path.resolve().is_relative_to(source.resolve()))
    result.links = [path for path in outside if _may_hold(path, name)]
    if result.links:
        listed = some((path.relative_to(source).as_posix() for path in result.links), 3)
        result.notes.append(f"Links to folders are not followed to annotations: {listed}.")
    return result


def _may_hold(folder: Path, program: str) -> bool:
    """Whether a file lies in a folder, or in one in it, that may be annotations of a program by its name."""
    try:
        if (folder / RECORD).is_file():
            return False
        files = (path for path in _files(folder, []) if not is_of_predict(path) and not _is_note(path))
        return any(_should_be_told(path, "", program) for path in files)
    except (InputError, OSError):  # what may not be looked at may hold anything
        return True


def _files(folder: Path, links: list[Path]) -> Iterator[Path]:
    """What may be annotations in a folder and those in it, hidden things left out; a folder of VOC is one.

    Args:
        folder: to look in.
        links: gets links to folders, which are not followed.
    """
    look()
    if (folder / CLASSES).is_dir():
        yield folder / CLASSES
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}. Check its permissions.", folder) from error
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_dir() and path.is_symlink():
            links.append(path)
        elif path.is_dir():
            yield from _files(path, links) if not (path / RECORD).is_file() else ()
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _is_note(path: Path) -> bool:
    """Whether a file is what GDAL and ArcGIS note beside a raster or vectors: a.tif.aux.xml, a.tif.xml, a.shp.xml.

    CVAT's annotations may be called so, too, and are told by the root of their XML.
    """
    of, _, kind = path.name.lower().rpartition(".")
    if kind != "xml" or Path(of).suffix not in (".aux", *PICTURES, *UNREAD_SUFFIXES, *VECTORS):
        return False
    if not path.is_file():
        return True
    with path.open("rb") as file:
        root = _ROOT.search(file.read(1 << 16).replace(b"\0", b""))
    return root is None or root[1] != b"annotations"


def _told(
    path: Path, wanted: str | None, source: Path, names: dict[Path, dict[int, str]]
) -> tuple[str, Callable[[Skipped], list[Annotated]]]:
    """The program of a file, the wanted one if its content may be of several, and a function that reads it."""
    if _is_note(path):
        raise _Unknown(NOTE)
    if path.is_dir():
        return "voc", lambda skipped: read_voc(path.parent, skipped)
    if path.suffix.lower() in VECTORS:
        return "map", lambda skipped: read_map(path, skipped)
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n\0\xff\xfe")
    if is_imagej(path):
        return "imagej", lambda skipped: read_imagej(path, skipped)
    if path.suffix.lower() in (".zip", ".roi"):
        raise _Unknown("an archive without .roi files; unpack others")
    if path.suffix.lower() in (".json", ".geojson") or start[:1] in (b"{", b"["):
        content = load_json(path)
        fits = [name for name, (fits, _) in JSON.items() if fits(content)]
        name = wanted if wanted in fits else fits[0] if fits else ""
        if not name:
            raise _Unknown(_described(content))
        return name, lambda skipped: JSON[name][1](path, content, skipped)
    if path.suffix.lower() == ".xml" or start[:1] == b"<":
        root = parse_xml(path)
        if not is_cvat(root):
            raise _Unknown(f"XML of <{root.tag}>")
        return "cvat", lambda skipped: read_cvat(path, root, skipped)
    if is_via_csv(path):
        return "via", lambda skipped: read_via_csv(path, skipped)
    if is_yolo(path):
        return "yolo", lambda skipped: read_yolo(path, _names(path.parent, source, names), skipped)
    raise _Unknown("text or data of another form" if start else EMPTY)


def _names(folder: Path, source: Path, known: dict[Path, dict[int, str]]) -> dict[int, str]:
    """The classes that a folder or the nearest one above it lists, not above the source."""
    if folder not in known:
        found = yolo_names(folder)
        above = source if source.is_dir() else source.parent.parent
        inside = folder != above and folder.is_relative_to(above)
        known[folder] = found or (_names(folder.parent, source, known) if inside else {})
    return known[folder]


def _read(path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function that reads a file; what is wrong with the file, as an InputError that names it."""
    try:
        return function(*arguments)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.", path) from error
    except ValueError as error:
        raise InputError(
            f"{path} must be whole annotations: {error}. Export it again, or say with --from which program wrote it.",
            path,
        ) from error
    except MemoryError as error:
        raise InputError(f"{path} takes more memory than there is. Split it.", path) from error


def _should_be_told(path: Path, what: str, program: str) -> bool:
    """Whether a file that is not used may have been meant: text files are many things, but beside those of YOLO."""
    if path.suffix.lower() != ".txt":
        return what != NOTE
    name = path.name.lower()
    return program == "yolo" and what != EMPTY and name not in LISTS and not name.startswith("readme")


def _described(content: Any) -> str:
    if isinstance(content, dict):
        return f"JSON, an object with {', '.join(str(key)[:30] for key in list(content)[:8]) or 'nothing'}"
    if isinstance(content, list) and content and isinstance(content[0], dict) and "annotation_id" in content[0]:
        return "Label Studio's JSON-MIN, which does not say what is what: export JSON"
    if isinstance(content, list):
        first = f", the first {_described(content[0]).removeprefix('JSON, ')}" if content else ""
        return f"JSON, a list of {len(content)}{first}"
    return f"JSON, {str(content)[:30]}"


def _nothing(source: Path, programs: list[str], unknown: dict[Path, str], ours: list[Path]) -> str:
    looked = "; ".join(MARKS[name] for name in programs)
    listed = [f"{path.name}: {what}" for path, what in list(unknown.items())[:5]]
    more = f", and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    held = "; ".join(listed) + more if listed else f"no file that ends in {', '.join(SUFFIXES)}"
    if ours and not listed:
        held = f"{some((path.name for path in ours), 3)}, of unet-tf itself (predict --polygons labelme draws outlines)"
    masks = source.is_dir() and any(listing.pictures for _, listing in scan_all(source))
    hint = (
        " Masks that are pictures need no import; --from masks --instances numbers the pieces of binary ones." * masks
    )
    return f"{source} must hold annotations that are read. Looked for: {looked}. Found: {held}.{hint}"
