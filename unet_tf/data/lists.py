"""List files, such as `train.txt`: a line for each pair of image and mask."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from unet_tf.data.folder import MASK_SUFFIX, SPLIT_OF, SPLITS, Found, Pair, alike, list_pictures, pages, scan, some
from unet_tf.data.pictures import without_suffix
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.utils.text import as_ascii, folded, form, read_lines, shown

VOC = Path("ImageSets", "Segmentation")
"""Where the lists of a Pascal VOC folder lie."""
PARTED = re.compile(r"\s*[,;\t]\s*|\s+")
"""What may part the two paths of a line; blanks and commas may stand in names too."""
TABLES = (".csv", ".list", ".lst", ".ods", ".pkl", ".tsv", ".txt", ".xls", ".xlsx")
"""What the names of files end in by which people list splits, in lower case."""
TEXTS = (".json", ".yaml", ".yml")
"""What those of files end in that may list splits or hold other things, as annotations."""
SPLITTING = "train(ing)?|val(idation)?|dev|test(ing)?|splits?|folds?|partitions?"
"""Words, in lower case, of which the names of such files have one at least."""
LISTED = re.compile(rf"({SPLITTING}|final|lists?|sets?|data|ids?|files?|names?|images?|\d|[\W_])+")
"""All that they hold, which reads a name in one way alone: "valid" is val and id."""
KEY = re.compile(
    rf"""(?:^|[\s{{,])["']?({"|".join(SPLIT_OF)}|folds?)["']?\s*:(?!\s*(?:true|false|\w+:))""".encode(),
    re.IGNORECASE,
)
"""What stands before the pairs of a split in such a text, and not before a setting or several."""
READ = 1 << 22
"""Bytes of it that are looked at."""
OF_LISTS = re.compile(r"(image)?sets?|splits?|lists?|folds?", re.IGNORECASE)
"""What folders of such files are called."""
NOTES = (".json", ".txt", ".xml")
"""What the names of annotations end in, by which lists may name pairs too, in lower case."""


def find_lists(folder: Path, found: Found) -> dict[str, Path]:
    """The list files of a data folder by split; a single one of another name, in a folder of VOC's layout, by ""."""
    lists: dict[str, Path] = {}
    for place in filter(Path.is_dir, (folder, folder / VOC)):
        texts = sorted(path for path in place.iterdir() if path.suffix.lower() == ".txt" and path.is_file())
        here = [path for path in texts if path.stem.lower() in SPLIT_OF]
        for path in here:
            split = SPLIT_OF[path.stem.lower()]
            if split in lists and lists[split].resolve() != path.resolve():
                found.problems.append(
                    f"{lists[split].name} and {path.name} in {folder} mean the same split, {split}. Make one of them."
                )
            lists.setdefault(split, path)
        if place != folder and not lists and len(texts) == 1:
            lists[""] = texts[0]
        elif place != folder:
            found.notes += [f"{path} is not used." for path in texts if path not in lists.values()]
    if lists and not lists.keys() & {"train", ""}:
        found.problems.append(
            f"Lists must name the training pairs, too, in train.txt; {folder} has "
            f"{' and '.join(one.name for one in lists.values())} alone. Write the other names into train.txt, a line "
            "each, or lay these pairs into folders of their own (test/, val/)."
        )
        return {}
    return {split: lists[split] for split in (*SPLITS, "") if split in lists}


def unused_note(folder: Path, inside: Path | None, found: Found) -> str:
    """Say which files of a data folder, or of folders in it for lists, are called like lists; "" where none is.

    Args:
        folder: the data folder, none of whose files is taken as a list.
        inside: a folder in which this was looked for before; None for none.
        found: the pairs; a file that is called like one of their images belongs to it.
    """
    stems = {pair.image.stem for pairs in found.splits.values() for pair in pairs}
    of_lists = [one for one in scan(folder).folders if one != inside and OF_LISTS.fullmatch(one.name)]
    left = [
        path.relative_to(folder).as_posix()
        for place in (folder, *of_lists, *(deeper for one in of_lists for deeper in _folders(one)))
        for path in _tables(place)
        if path.stem not in stems
        and not (place == folder and path.suffix.lower() == ".txt" and path.stem.lower() in SPLIT_OF)
        and _lists_splits(path)
    ]
    if not left:
        return ""
    rule = f"Lists are called train.txt, val.txt and test.txt, lie in {folder} and have a line for each pair."
    return f"Called like lists of splits, and not used: {some(left, 5)}. {rule}"


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, but for that of VOC's lists; none of one that cannot be read."""
    with suppress(InputError):
        return [one for one in scan(folder).folders if one != folder.parent / VOC]
    return []


def _tables(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        ends = (*TABLES, *TEXTS)
        files = (one for one in entries if one.name.lower().endswith(ends) and not one.name.startswith("."))
        return [Path(one) for one in files if one.is_file()]
    return []


def _lists_splits(path: Path) -> bool:
    """Whether a file seems to list splits: it is called so, and where it may hold other things, it names several."""
    stem = path.stem.lower()
    if not LISTED.fullmatch(stem):
        return False
    is_called = re.search(SPLITTING, stem) is not None
    if path.suffix.lower() not in TEXTS:
        return is_called
    with suppress(OSError), path.open("rb") as file:
        text = as_ascii(file.read(READ))
        said = {SPLIT_OF.get(key.decode().lower(), "val") for key in KEY.findall(text)}
        names = is_called and re.match(rb'\s*\[\s*"', text)  # train.json and val.json
        return bool(names) or said >= {"train", "val"} or (is_called and len(said) > 1)
    return False


def read_pairs(folder: Path, lists: dict[str, Path], known: dict[str, list[Pair]], found: Found) -> None:
    """Read the pairs that list files name.

    A line is the NAME of a pair, with the suffix of a kind of picture or of annotations or without, or its image, as
    far as the folder's layout tells the pairs; or IMAGE MASK, parted by a comma, a semicolon, a tab or blanks. Paths
    begin at the data folder, whatever slashes they have and whether or not one stands first; they may stand in quotes.
    Where nothing is called so, what is in another Unicode form, or in another case, counts if it is one.
    A stack is named as a whole, or page by page (NAME_3).

    Args:
        folder: the data folder.
        lists: file by split.
        known: pairs that the layout of the folder shows, by split.
        found: gets pairs, problems and notes.
    """
    faults: list[InputError] = []
    real = {file: file.resolve() for pairs in known.values() for pair in pairs for file in pair.files}
    for split, path in lists.items():
        others = [pair for of, pairs in known.items() if of != split for pair in pairs]
        # of two that share a name the split's own one counts
        names = _Names(folder, [*others, *known.get(split, ())], real)
        wrong, pairs = [], []
        lines = [line for line in map(str.strip, read_lines(path)) if line]
        for line in lines:
            before = len(faults)
            named = names.read(line, split, faults)
            pairs += named
            if not named and len(faults) == before:
                wrong.append(line)
        if wrong:
            found.problems.append(
                f"A line of {path} must be the NAME of a pair, or IMAGE MASK as paths from {folder}; these name no "
                f"files: {some(wrong)}."
                + " Remove it if it is a heading." * (wrong == lines[:1] and len(lines) > 1)
                + " Save it in UTF-8: it has bytes of another encoding." * any(shown(line) != line for line in wrong)
            )
        if not pairs:
            found.problems.append(f"{path} names no pair.")
        found.splits[split] = _renamed(folder, pairs)
    found.problems += alike(faults)


def look_over(lists: dict[str, Path], found: Found) -> None:
    """Say what stands in the lists more than once, and what in none of them, once all files of each pair are known.

    Args:
        lists: file by split.
        found: gets problems and notes.
    """
    _look_for_repeats(lists, found)
    _look_for_unlisted(found)


def _if_file(path: Path) -> Path | None:
    try:
        return path if path.is_file() else None
    except OSError:  # a folder of somebody else on the way, or a line that is too long for a name
        return None


def _names_in(folder: Path) -> list[dict[str, str]]:
    """The names in a folder by their Unicode form, and without case; those of which there is one."""
    names: list[str] = []
    with suppress(OSError), os.scandir(folder) as entries:
        names = [one.name for one in entries]
    found = []
    for fold in (form, folded):
        counts = Counter(map(fold, names))
        found.append({fold(name): name for name in names if counts[fold(name)] == 1})
    return found


class _Names:
    """What the lines of a list may mean in a data folder."""

    def __init__(self, folder: Path, known: Sequence[Pair], real: dict[Path, Path]) -> None:
        self.folder = folder
        self.by_name: dict[str, list[Pair]] = {}
        files: dict[Path, list[Pair]] = defaultdict(list)
        for pair in known:
            self.by_name[form(pair.name)] = [pair]
            for file in pair.files:
                files[real[file]].append(pair)
        for members in files.values():
            whole = members[0].name if len(members) == 1 else members[0].name.rpartition("_")[0]
            self.by_name.setdefault(form(whole), members)
        self.by_file = files
        cases = Counter(map(folded, self.by_name))
        self.by_case = {folded(name): of for name, of in self.by_name.items() if cases[folded(name)] == 1}
        self.listed: dict[Path, list[dict[str, str]]] = {}

    def read(self, line: str, split: str, faults: list[InputError]) -> list[Pair]:
        """The pairs that a line names; none where it names none."""
        if (named := self._known(line)) or (named := self._known(line.strip("\"'"))):
            return [replace(one, split=split) for one in named]
        for find in (_if_file, self._alike):
            ways = []
            for blank in PARTED.finditer(line):
                parts = (part.strip("\"'") for part in (line[: blank.start()], line[blank.end() :]))
                image, mask = (self._file(part, find) for part in parts)
                if image and mask:
                    ways.append((image, mask))
            if ways:
                return pages(ways[0][0].stem, *ways[0], split, faults) if len(ways) == 1 else []
        return []

    def _known(self, text: str) -> list[Pair]:
        name = form(text.replace("\\", "/").removeprefix("./"))
        if name in self.by_name:
            return self.by_name[name]
        if file := self._file(text):
            return self.by_file.get(file.resolve(), [])
        if named := self.by_name.get(without_suffix(name), []) or self._by_notes(name):
            return named
        if file := self._file(text, self._alike):
            return self.by_file.get(file.resolve(), [])
        return self.by_case.get(folded(name), []) or self.by_case.get(folded(without_suffix(name)), [])

    def _by_notes(self, name: str) -> list[Pair]:
        stem, dot, suffix = name.rpartition(".")
        return self.by_name.get(stem, []) if f"{dot}{suffix}".lower() in NOTES else []

    def _file(self, text: str, find: Callable[[Path], Path | None] = _if_file) -> Path | None:
        """The file that a path names: from the data folder, whole, or from the part of it that lies in the folder."""
        for written in dict.fromkeys((text, text.replace("\\", "/"))):
            plain = re.sub(r"^[A-Za-z]:(?=[\\/])", "", written)
            parts = [part for part in plain.split("/") if part not in ("", ".")]
            tries = [self.folder.joinpath(*parts)]
            if plain.startswith(("/", "\\")) or plain != written:  # where the data lay when the list was written
                tries += [Path(written), *(self.folder.joinpath(*parts[at:]) for at in range(1, len(parts) - 1))]
            if file := next(filter(None, map(find, tries)), None):
                return file
        return None

    def _alike(self, path: Path) -> Path | None:
        """The file in the data folder that is called so in another Unicode form or case, where it is one."""
        if not path.is_relative_to(self.folder):
            return None
        there = self.folder
        for part in path.relative_to(self.folder).parts:
            if there not in self.listed:
                self.listed[there] = _names_in(there)
            forms, cases = self.listed[there]
            there /= forms.get(form(part)) or cases.get(folded(part), part)
        return _if_file(there)


def _renamed(folder: Path, pairs: list[Pair]) -> list[Pair]:
    """The pairs, those that would share a name with another called by their path."""
    images = defaultdict(set)
    for pair in pairs:
        images[pair.name].add(pair.image)

    def named(pair: Pair) -> Pair:
        if len(images[pair.name]) == 1 or not pair.image.is_relative_to(folder):
            return pair
        page = pair.name.removeprefix(pair.image.stem) if pair.page or pair.name != pair.image.stem else ""
        return replace(pair, name=pair.image.relative_to(folder).with_suffix("").as_posix() + page)

    return [named(pair) for pair in pairs]


def _look_for_repeats(lists: dict[str, Path], found: Found) -> None:
    """One problem for all images that stand in the lists more than once."""
    places = defaultdict(list)
    for split, pairs in found.splits.items():
        for pair in pairs:
            places[pair.image.resolve(), pair.page].append((pair.name, lists[split].name))
    if twice := [
        f"{each[0][0]} in {' and '.join(name for _, name in each)}" for each in places.values() if len(each) > 1
    ]:
        found.problems.append(
            f"A pair must stand in the lists once, or a net is judged on what it saw: {some(twice, 5)}."
        )


def _look_for_unlisted(found: Found) -> None:
    """Note the folders that are used, and the pictures in folders of images that no list names."""
    pairs = [pair for some_ in found.splits.values() for pair in some_]
    listed = {path for pair in pairs for path in (*pair.files, pair.mask)}
    images, masks = {pair.image.parent for pair in pairs}, {pair.mask.parent for pair in pairs}
    found.used |= images | masks
    left = [
        path
        for folder in sorted(images)
        for path in list_pictures(folder)
        if path not in listed and not (folder in masks and MASK_SUFFIX.search(path.stem))
    ]
    if left:
        found.notes.append(
            f"{many(len(left), 'picture is', 'pictures are')} not used, as no list names them: "
            f"{some((str(p) for p in left), 5)}."
        )
