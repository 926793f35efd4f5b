"""Which pictures annotations are of, and where these go in the data folder that is made of them."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from unet_tf.annotations.annotated import Annotated
from unet_tf.annotations.finding import PictureIndex, channels_hint
from unet_tf.annotations.recognise import Source
from unet_tf.data.folder import some, unread_note
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.utils.signals import look
from unet_tf.utils.text import folded


@dataclass(frozen=True)
class Task:
    """A picture, what is annotated in it, and where it goes below `images/` and `masks/`.

    It goes where it lies in the source, without the folders that all of them share.
    """

    one: Annotated
    picture: Path | None  # None: it lies in the annotations
    target: Path
    others: tuple[Path, ...] = ()
    """Files of further channels of the picture."""


def tasks_of(found: Source, index: PictureIndex, empty: str, class_field: str | None) -> tuple[list[Task], list[str]]:
    """What is to be drawn, and what is said about the rest."""
    tasks = _with_pictures(found, index, class_field)
    known = {task.picture for task in tasks}
    others, masks = index.left(known)
    _check_understood(found, index, others, empty)
    lone = [task for task in tasks if not task.one.shapes]
    notes = [*index.notes]
    if index.faults:
        names = some((path.name for path in index.faults), 3)
        notes.append(f"Files that are no whole picture (--channel-suffix): {len(index.faults)}, left out: {names}.")
    if unread := index.unread(known):
        notes.append(unread_note(unread))
    if masks:
        names = some((path.relative_to(index.root).as_posix() for path in masks), 3)
        notes.append(
            f"Masks, by their names or that of their folder, and no pictures: {len(masks)}, left out: {names}. If they "
            "are pictures, say --images with their folder."
        )
    if lone or others:
        done = {"skip": "left out", "background": "background all over", "void": "void all over"}[empty]
        names = some([task.one.picture for task in lone] + [path.name for path in others], 3)
        notes.append(f"Pictures in which nothing is annotated: {len(lone) + len(others)}, {done} (--empty): {names}.")
        if not index.channels.suffixes:
            notes[-1] += channels_hint((path for path in known if path), others)
    if empty == "skip":
        tasks = [task for task in tasks if task.one.shapes]
    else:
        tasks += [_task(Annotated(path, path.name, ()), path, index) for path in others]
    common = len(Path(os.path.commonpath([task.target.parent for task in tasks])).parts) if tasks else 0
    tasks = [replace(task, target=Path(*task.target.parts[common:])) for task in tasks]
    _check_targets(tasks)
    return tasks, notes


def _with_pictures(found: Source, index: PictureIndex, class_field: str | None) -> list[Task]:
    """The annotations with their pictures; one that is not there may lie in the annotations."""
    faults: dict[str, list[tuple[InputError, Annotated]]] = defaultdict(list)  # by what they have in common
    tasks: list[Task] = []
    files = {one.file for one in found.pictures}
    paired = {path for path in index.files if path.with_suffix(".json") in files}
    folders = {path.parent for path in paired}
    for one in found.pictures:
        look()
        held = one.embedded is not None and not index.channels.suffixes  # it is one file, and would lack channels
        try:
            picture = index.find(one, len(files) == 1)
            if held and _is_of_others(one, picture, paired, folders):
                tasks.append(_task_of_held(one, index))
                continue
            one = one if one.on is None else replace(one, shapes=tuple(one.on(picture, class_field)))
            tasks.append(_task(one, picture, index))
        except InputError as error:
            if held:
                tasks.append(_task_of_held(one, index))
            else:
                common = str(error).replace(str(one.file), "").replace(repr(one.picture), "")
                faults[common].append((error, one))
    if faults:
        said = []
        for (first, _), *others in faults.values():
            names = [one.picture for _, one in others]
            names = names if len({*names}) == len(names) and all(names) else [one.file.name for _, one in others]
            said.append(f"{first} So it is with {some(names, 4)}." if names else str(first))
        said[5:] = [f"{many(len(said) - 5, 'fault')} more."] * (len(said) > 5)
        raise InputError(" ".join(said), next(iter(faults.values()))[0][0].file)
    return tasks


def _is_of_others(one: Annotated, picture: Path, paired: set[Path], folders: set[Path]) -> bool:
    """Whether a picture that bears the right name may be another than the one that the annotations hold.

    It lies neither beside them nor where they say, and it has annotations beside it, or other pictures here have.

    Args:
        one: the annotations.
        picture: what was found by its name.
        paired: pictures that have annotations of their name beside them.
        folders: of these.
    """
    here = one.file.parent
    led = os.path.normpath(here / one.picture.replace("\\", "/")) == os.path.normpath(picture)
    return picture.parent != here and not led and (picture in paired or here in folders)


def _task(one: Annotated, picture: Path, index: PictureIndex) -> Task:
    return Task(one, picture, index.target(picture), index.files[picture][1:])


def _task_of_held(one: Annotated, index: PictureIndex) -> Task:
    """Annotations with the picture in them, which goes where it would lie beside them."""
    name = PurePosixPath(one.picture.replace("\\", "/")).name.replace("\0", "")
    name = name.encode("utf-8", "replace").decode()  # JSON may hold halves of signs
    file = one.file.with_name(name if name not in ("", ".", "..") else one.file.stem)
    return Task(one, None, index.target(file) if file.is_relative_to(index.root) else Path(file.name))


def _check_understood(found: Source, index: PictureIndex, others: list[Path], empty: str) -> None:
    """Raise InputError where a picture would count as one without annotations, and may have some that are not read."""
    if found.links and others and empty != "skip":
        raise InputError(
            f"Pictures must have no annotations to be {empty} all over (--empty); links to folders are not followed to "
            f"annotations, and {some(map(str, found.links), 3)} may hold some. Lay the folder itself there, or say "
            "--empty skip.",
            found.links[0],
        )
    called = {folded(text) for path in others for text in (index.target(path).stem, path.stem, path.name)}
    if wrong := [path for path in found.unknown if folded(path.stem) in called and empty != "skip"]:
        raise InputError(
            f"Pictures must have no annotations to be {empty} all over (--empty); {some(map(str, wrong), 3)} "
            f"{'are' if len(wrong) > 1 else 'is'} called like one, and not understood. Mend it, take it away, or say "
            "--empty skip.",
            wrong[0],
        )


def _check_targets(tasks: list[Task]) -> None:
    """Raise InputError where two masks would be one file."""
    targets: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        targets[task.target.with_suffix("").as_posix().casefold()].append(task)
    for same in targets.values():
        if len(same) > 1:
            first, second = (task.one for task in same[:2])
            raise InputError(
                "Each picture must be annotated once, and have a name of its own without its suffix; "
                f"{first.picture!r} in {first.file} and {second.picture!r} in {second.file} have one. Take one away.",
                second.file,
            )
