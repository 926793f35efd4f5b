"""The pictures that annotations are of: found by name, within one folder, and how they are turned."""

from __future__ import annotations

import csv
import itertools
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from unet_tf.annotations.annotated import RECORD, Annotated
from unet_tf.annotations.suffixes import DRAWN, without_tail
from unet_tf.data.channels import ALL, Channels
from unet_tf.data.folder import MASK_SUFFIX, NET, PREDICTED, scan_all, some
from unet_tf.data.pictures import SUFFIXES, without_suffix
from unet_tf.data.roles import ROLES
from unet_tf.data.structure import TURNS
from unet_tf.errors import InputError
from unet_tf.utils.text import folded

MASKS = (
    "segmentationclass", "segmentationclassnpy", "segmentationclasspng", "segmentationclassvisualization",
    "segmentationobject", "segmentationobjectnpy", "segmentationobjectpng", "segmentationobjectvisualization",
    "masks_machine", "masks_human", "masks_instances",
)  # fmt: skip
"""Folders in which annotation programs lay pictures that are masks, in lower case."""
MANIFESTS, OBJECTS = "manifest*.csv", "_objects.csv"
"""Beside `PREDICTED`: they list the pictures that `predict` was given; what the name of a table of objects ends in."""
Parts = tuple[str, ...]


class PictureIndex:
    """The pictures in a folder and all folders in it, by name; nothing outside of it is ever read.

    What `predict` wrote is no picture, though it bears the name of one.

    Args:
        root: the folder.
        channels: which files make one picture.

    Attributes:
        root: the folder.
        channels: which files make one picture.
        files: those of each picture by its first one, sorted.
        faults: what is wrong with files that are no whole picture.
        notes: a picture that was found though nothing is called like it, in a sentence.
    """

    def __init__(self, root: Path, channels: Channels = ALL) -> None:
        self.root, self.channels = root, channels
        self.files: dict[Path, tuple[Path, ...]] = {}
        self.faults: dict[Path, InputError] = {}
        self.notes: list[str] = []
        self._named: dict[str, dict[Path, None]] = defaultdict(dict)  # in the order of the paths, each once
        self._in: dict[Path, list[Path]] = defaultdict(list)  # by folder
        self._alike: dict[str, _Alike] = {}
        self._unread: set[Path] = set()
        paths: list[Path] = []
        made: set[Path] = set()  # by earlier imports, and folders in them
        for folder, listing in scan_all(root):
            if folder != root and (folder.parent in made or (folder / RECORD).is_file()):
                made.add(folder)
            elif not any(part.lower() in MASKS for part in folder.relative_to(root).parts):
                here = [*listing.pictures, *filter(Path.is_file, listing.unread)]
                self._unread |= {*listing.unread}
                paths += _given(folder, here) if (folder / PREDICTED).is_file() else here
        for path in sorted(paths):
            first, stem = path, path.stem
            try:
                first, *others = channels.files(path)
                stem = channels.stem(path)
                self.files[first] = (first, *others)
            except InputError as error:
                self.faults[path] = error
            for key in (path.name, path.stem + "/", stem + "/"):  # no file name has a slash
                self._named[folded(key)][first] = None
        for path in self.files:
            self._in[path.parent].append(path)
        for key, called in self._named.items():  # the original of a picture, such as a.nd2, may lie beside it
            self._named[key] = dict.fromkeys(filter(self._is_read, called)) or called

    def find(self, one: Annotated, alone: bool) -> Path:
        """The picture of some annotations.

        Of several that are called alike, the one whose folders fit best what the annotations say, or that lies nearest
        to them.

        Args:
            one: the annotations.
            alone: nothing but this file is imported, so that a picture that is alone too is its picture.

        Raises:
            InputError: there is none, or several, or another file of it is missing.
        """
        parts = [part for part in one.picture.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if one.stem and parts:
            parts = [*one.file.relative_to(one.file.anchor).parts[:-1], *parts[-1:]]
        names = (parts[-1], unquote(parts[-1]).rpartition("/")[2], one.original) if parts else ()  # of an address, too
        known = (key for name in names for key in _keys(name, one.stem) if key in self._named)
        keys = [*itertools.islice(known, None if one.stem else 1)]
        read = (key for key in keys if any(path.suffix.lower() in SUFFIXES for path in self._named[key]))
        key = next(read, keys[0] if keys else "")
        found = list(itertools.islice(self._named.get(key, ()), 2))
        if not found and one.stem and (alone or not parts):
            here = [] if parts else self._in.get(one.file.parent, [])
            there = [*filter(self._is_read, here)]
            if not there:  # what lies here may be the original of a picture elsewhere, and be called like it
                called = {folded(path.stem) for path in here}
                every = [path for path in self.files if not here or folded(path.stem) in called]
                there = [*filter(self._is_read, every)] or here or every
            found = there if len(there) == 1 else []
            if parts and found and one.on is None:  # what says where it lies may be called as it likes
                said = f"{one.file.name} is not called like {found[0].name}, and is taken for its annotations"
                self.notes = [f"{said}, as both are alone."]
        if len(found) > 1:
            if key not in self._alike:
                self._alike[key] = _Alike(self._named[key])
            found = self._alike[key].nearest(parts[:-1], one.file)
        if one.original and one.original not in parts and (not found or key in _keys(one.original, one.stem)):
            uploaded = self._uploaded.get(folded(one.original), [])
            found = [*found, *(path for path in uploaded if not found or path.name != found[0].name)]
        if len(found) == 1:
            if found[0] in self.faults:
                raise self.faults[found[0]]
            return found[0]
        what = f"{len(found)}: {some(map(str, found), 4)}" if found else "none"
        raise InputError(
            f"{one.file} is about the picture {one.picture or '(of no name)'!r}, of which there must be one in "
            f"{self.root}; there is {what}. Lay it there, or say with --images where the pictures are.",
            one.file,
        )

    def left(self, known: Collection[Path | None]) -> tuple[list[Path], list[Path]]:
        """The pictures that no annotations are of, and those among them that are masks by what they are called.

        Masks lie in a folder that is called so and holds no known picture, or are called like a picture beside them,
        and "_mask".
        """
        others = [path for path in self.files if path not in known and self._is_read(path)]
        annotated = {path.parent for path in known if path is not None}
        stems = {(path.parent, path.stem) for path in self.files}

        def is_mask(path: Path) -> bool:
            folders = [part.lower() for part in path.relative_to(self.root).parts[:-1]]
            role = next((role for one in folders[::-1] for role, names in ROLES.items() if one in names), "")
            stem = MASK_SUFFIX.sub("", path.stem)
            beside = stem != path.stem and (path.parent, stem) in stems
            return beside or (role == "masks" and path.parent not in annotated)

        masks = [path for path in others if is_mask(path)]
        return [path for path in others if not is_mask(path)], masks

    def unread(self, known: Collection[Path | None]) -> list[Path]:
        """Files of kinds that are not read, but those that annotations are of, or that a picture is called like."""
        files = (path for path in self.files if path not in known and not self._is_read(path))
        return [path for path in files if path in self._named[folded(path.stem + "/")]]

    @cached_property
    def _uploaded(self) -> dict[str, list[Path]]:
        """The pictures by what an upload to Label Studio calls their files: as Django's `get_valid_filename` does."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path, files in self.files.items():
            for name in {folded(re.sub(r"[^-\w.]", "", file.name.replace(" ", "_"))) for file in files}:
                found[name].append(path)
        return found

    def _is_read(self, path: Path) -> bool:
        return path not in self._unread

    def target(self, path: Path) -> Path:
        """Where a picture belongs below `images/`: as below the root, without folders called "images".

        A picture of several files has a name without what tells them apart.
        """
        below = path.relative_to(self.root)
        below = below.with_name(self.channels.stem(below) + below.suffix)
        return Path(*[part for part in below.parts[:-1] if part.lower() not in ROLES["images"]], below.name)


def _given(folder: Path, files: list[Path]) -> list[Path]:
    """Those of the files in a folder of masks that `predict` did not write, wherever its pictures lay then.

    It refuses to write over a picture, so that a file which bears the name of an output is one.
    """
    settings = _settings(folder)
    endings = [folded(one) for one in settings.get("suffixes", ())]
    kinds = [".tif"] if settings.get("format") == "tif" else [".png", ".tif"]
    kinds += [kind for name, kinds in DRAWN.items() if settings.get(name, True) for kind in kinds]
    stems = set[str]()
    for manifest in folder.glob(MANIFESTS):
        with manifest.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            pictures = [row["picture"] for row in csv.DictReader(file) if row.get("picture")]
        stems |= {folded(Path(one.replace("\\", "/")).stem) for one in pictures}
    stems = {next((stem.removesuffix(one) for one in endings if stem.endswith(one)), stem) for stem in stems}
    made = {stem + kind for stem in stems for kind in kinds}
    return [path for path in files if folded(path.name) not in made]


def channels_hint(annotated: Iterable[Path], others: Iterable[Path]) -> str:
    """How to import pictures that differ from annotated ones in the end of their names alone, "" where others do too.

    Example:
        >>> channels_hint([Path("a_dapi.tif")], [Path("a_gfp.tif")])
        ' If they are further channels of the others, say --channel-suffix _dapi,_gfp.'
    """
    heads: tuple[dict[str, set[Path]], ...] = (defaultdict(set), defaultdict(set))
    for found, paths in zip(heads, (annotated, others), strict=True):
        for path in paths:
            head, end = path.stem[: (cut := max(map(path.stem.rfind, "_-. ")))], path.stem[cut:]
            if cut < 1 or end[1:].isdecimal():
                return ""
            found[end].add(path.with_name(head))
    ends = [*heads[0], *sorted(heads[1])]
    if len(heads[0]) != 1 or not heads[1] or any(one != heads[0][ends[0]] for one in heads[1].values()):
        return ""
    return f" If they are further channels of the others, say --channel-suffix {shlex.quote(','.join(ends))}."


def _settings(folder: Path) -> dict[str, Any]:
    """With which settings `predict` wrote into a folder; none where it did not, or where they are damaged."""
    try:
        settings = json.loads((folder / PREDICTED).read_text(encoding="utf-8"))
        known = all(isinstance(one, str) for one in settings.get("suffixes", ()))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return settings if known else {}


def predicted_by(annotated: Iterable[Annotated]) -> str:
    """Where the net lay whose predictions all of some annotations were, as `predict` noted beside them; else ""."""
    nets = [_settings(folder).get(NET) for folder in {one.file.parent for one in annotated}]
    found = {net if isinstance(net, str) else "" for net in nets}
    return found.pop() if len(found) == 1 else ""


def is_of_predict(path: Path) -> bool:
    """Whether a file is one that `predict` lays beside its masks, and no annotation: settings, manifest or table."""
    ours = path.name == PREDICTED or path.match(MANIFESTS) or path.name.endswith(OBJECTS)
    return ours and (path.parent / PREDICTED).is_file()


def parse_suffixes(suffixes: str | Sequence[str], annotated: Iterable[Annotated]) -> Channels:
    """Read what the names of the files of one picture end in.

    Args:
        suffixes: two or more, in a sequence or parted by commas; none where a picture is one file.
        annotated: of which predictions may say that their pictures are several files.

    Raises:
        InputError: they do not tell files apart, or there are none and predictions ask for them.

    Example:
        >>> parse_suffixes("_dapi,_gfp", []).suffixes
        ('_dapi', '_gfp')
    """
    listed = tuple(one.strip() for one in (suffixes.split(",") if isinstance(suffixes, str) else suffixes))
    listed = () if listed == ("",) else listed
    alike = [one for number, one in enumerate(listed) for other in listed[:number] if one.endswith(other) or
             other.endswith(one)]  # fmt: skip
    if alike or len(listed) == 1:
        raise InputError(
            "--channel-suffix must be 2 or more different endings, none of which ends in another; received "
            f"{', '.join(map(repr, listed))}."
        )
    for folder in {one.file.parent for one in annotated} if not listed else ():
        if asked := ",".join(_settings(folder).get("suffixes", ())):
            raise InputError(
                f"The pictures of {folder} are of several files each ({PREDICTED}). Say --channel-suffix "
                f"{shlex.quote(asked)}.",
                folder,
            )
    return Channels(suffixes=listed)


def _keys(name: str, stem: bool) -> list[str]:
    """What a picture may be found by: its name as annotations have it, or that without a suffix."""
    key = folded(name)
    if not stem:  # CVAT gives frames of a video without the suffix of their files
        return [key] if without_suffix(name) != name else [key, key + "/"]
    # QuPath and ImageJ may keep the suffix of the picture before their own
    return [end for own in dict.fromkeys((key, without_tail(key))) for end in (own + "/", own, _bare(own) + "/")]


def _bare(name: str) -> str:
    """A name without the suffix of its picture; what stands behind ".ome" is one, whatever it is."""
    stem = name.rpartition(".")[0]
    return stem if stem.endswith(".ome") else without_suffix(name)


class _Alike:
    """Pictures of one name by the folders in which they lie, of which each is looked at once and not once a search.

    Args:
        paths: of the pictures.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._last = _by_beginnings({path: tuple(map(folded, path.parts[-2::-1])) for path in paths})
        self._first: dict[Parts, dict[Parts, list[Path]]] = {}

    def nearest(self, folders: Sequence[str], file: Path) -> list[Path]:
        """Those whose last folders are as annotations say, and of these the ones that share most folders with them.

        Args:
            folders: in which the picture lies, as far as the annotations say.
            file: of the annotations.
        """
        wanted = _longest(self._last, tuple(map(folded, folders[::-1])))
        found = self._last[wanted]
        if len(found) == 1:
            return found
        if wanted not in self._first:
            places = {folder: folder.resolve().parts for folder in {path.parent for path in found}}
            self._first[wanted] = _by_beginnings({path: places[path.parent] for path in found})
        near = self._first[wanted]
        return near[_longest(near, file.parent.resolve().parts)]


def _by_beginnings(parts: Mapping[Path, Parts]) -> dict[Parts, list[Path]]:
    """The paths whose parts begin so, by each beginning of them."""
    found: dict[Parts, list[Path]] = defaultdict(list)
    for path, own in parts.items():
        for count in range(len(own) + 1):
            found[own[:count]].append(path)
    return dict(found)


def _longest(known: Mapping[Parts, object], parts: Parts) -> Parts:
    """The longest beginning of some parts that is known; the empty one always is."""
    return next(parts[:count] for count in range(len(parts), -1, -1) if parts[:count] in known)


def frame(one: Annotated, size: tuple[int, int], turn: int) -> tuple[tuple[int, int], bool]:
    """The size of the picture in which the coordinates of annotations are, and whether it is the turned one.

    The size that the annotations state decides; where it leaves it open, it is as their program shows pictures.

    Args:
        one: the annotations.
        size: height and width of the picture, turned as it is meant.
        turn: its orientation.

    Raises:
        InputError: the annotations are of a picture of another size.
    """
    stored = size[::-1] if "t" in TURNS.get(turn, "") else size
    shown = one.shown if one.size is None or stored == size else one.size == size
    if one.size is not None and one.size != (size if shown else stored):
        raise InputError(
            f"Annotations must be of a picture of the same size: {one.file} says {one.size[0]}x{one.size[1]} px of "
            f"{one.picture!r}, which has {size[0]}x{size[1]}. Export them again for this picture.",
            one.file,
        )
    return (size if shown else stored), shown
