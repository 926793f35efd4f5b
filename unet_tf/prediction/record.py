"""The folder of a prediction: its settings, what is done there, and names that must not collide."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from unet_tf.data.folder import NET, PREDICTED, finding, some
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import SUFFIXES, count_pages
from unet_tf.errors import InputError
from unet_tf.model.calibration import PLAIN
from unet_tf.prediction.calls import FORMATS, Call, Result, Wanted
from unet_tf.prediction.objects import check_min_area, cut_of
from unet_tf.prediction.polygons import WRITERS, check_outlines
from unet_tf.prediction.sizes import Sizes
from unet_tf.utils.files import held, refusal, replacing, write_new
from unet_tf.utils.progress import Progress
from unet_tf.utils.text import folded

log = logging.getLogger("unet_tf")

SETTINGS, MANIFEST = PREDICTED, "manifest.csv"
"""In the folder: the settings of its files; the pictures that are done, or why not."""
BEGUN, DONE, FAILED = "begun", "done", "failed"
"""Status of a picture in the manifest: a call does it, or was killed before it did; what became of it."""
OLDER = {"suffixes": [], "polygons": [], "simplify": 0.0, "subpixel": False, **cut_of(MaskFormat())} | {
    "uncertainty": False, "spread": False, **asdict(PLAIN), "engine": "tensorflow",
}  # fmt: skip
"""Settings of folders that were begun before there were these."""


@dataclass(frozen=True)
class Outcome:
    """What a call that predicts files did.

    Attributes:
        written: pictures predicted by this call.
        skipped: pictures that were done before.
        pixels: predicted by this call.
        failed: pictures that could not be predicted, each with its name and the reason.
        nodata: pictures of this call that hold values for "no measurement", and the values. Pixels that hold them
            count as the mean of the training images.
        sizes: of the objects in the pictures of this call; None where no objects were wanted.
    """

    written: int
    skipped: int
    pixels: int
    failed: tuple[str, ...]
    nodata: dict[str, tuple[float, ...]] = field(default_factory=dict)
    sizes: Sizes | None = None


def check_wanted(wanted: Wanted, out: Path) -> None:
    """Raise InputError where settings cannot be used, or the folder is none."""
    if wanted.format not in FORMATS:
        raise InputError(f"Masks must be written as {' or '.join(FORMATS)}; received {wanted.format!r}.")
    check_min_area(wanted.min_area, wanted.instances or bool(wanted.polygons))
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the masks.")
    if out.suffix.lower() in SUFFIXES:
        raise InputError(f"--out must be the folder of the masks; received {out.name}, which looks like a file.")


def fill(
    call: Call,
    kind: tuple[MaskFormat, float | None],
    pictures: Sequence[str],
    mine: Sequence[str],
    results: Callable[[list[str]], Iterable[Result]],
    overwrite: bool,
    share: tuple[int, int],
    on_file: Progress,
    on_pixels: Callable[[int], None],
    inputs: Iterable[str | Path] = (),
) -> Outcome:
    """Do what is left of the pictures of a folder, and note what became of each.

    Args:
        call: what is predicted into what.
        kind: how masks of the net are drawn, and the temperature of its probabilities; None where nobody knows it.
        pictures: of all jobs.
        mine: those that this job does.
        results: predicts pictures and says what became of each.
        overwrite: do all again.
        share: number of this job, from 1, and of all.
        on_file: called with (pictures done, pictures in all) of this job.
        on_pixels: called with the pixels of each picture that was predicted.
        inputs: the folders and patterns that the pictures were found by, among others.

    Raises:
        InputError: as `unet_tf.predict_files` says.
    """
    settings = _settings_of(call, *kind)
    done = _begin(call, settings, pictures, overwrite, inputs)
    with held(call.out):
        if _settings(Path(call.out)) != settings:
            raise InputError(f"{call.out} was begun anew by another call. Choose another --out.")
        left = [one for one in mine if one not in done]
        skipped, written, pixels, failed, nodata = len(mine) - len(left), 0, 0, [], {}
        sizes = Sizes() if call.wanted.instances or call.wanted.polygons else None
        on_file(skipped, len(mine))
        note = _manifest(call, *share)
        _claim(call, pictures, done, left, note)
        with closing(_told(call, results(left), left, note)) as told:
            for count, result in enumerate(told, start=skipped + 1):
                pixels += result.pixels
                on_pixels(result.pixels)
                if sizes is not None and result.sizes is not None:
                    sizes += result.sizes
                if result.nodata:
                    nodata[result.picture] = result.nodata
                if result.former:
                    log.warning(
                        f"{', '.join(result.former)} in {call.out} may be of {result.picture} as it was before, a "
                        "stack or none. This call does not write it: remove it where it is not wanted."
                    )
                if result.error:
                    failed.append(result.error)
                else:
                    written += 1
                on_file(count, len(mine))
    return Outcome(written, skipped, pixels, tuple(failed), nodata, sizes)


def _begin(
    call: Call, settings: dict[str, Any], pictures: Sequence[str], overwrite: bool, inputs: Iterable[str | Path]
) -> set[str]:
    """Write the settings of a new folder, or see that those there are the same; the pictures that are done."""
    out, by = Path(call.out), {NET: call.net if call.is_served else str(Path(call.net).resolve())}
    stored = None if overwrite else _settings(out)
    done = {} if overwrite else {one: state for one, state in _noted(out, DONE).items() if call.is_done(Path(one))}
    _check_names(call, pictures, [*done])
    _check_apart(call, pictures, inputs)
    if overwrite and out.is_dir():
        with held(out, alone=True):
            _say_former(call, pictures)
            try:
                for file in _manifests(out):
                    file.unlink()
            except OSError as error:
                raise refusal(file, error) from error
            with replacing(out / SETTINGS) as temporary:
                temporary.write_text(json.dumps(settings | by, indent=2), encoding="utf-8")
        return set()
    if stored is None:
        whole = (one for one in pictures if call.channels.whole(Path(one)))
        foreign = next(((one, p) for one in whole for p in _files(call, one) if p.exists()), None)
        # Another job may have begun since, and the file be its own; then its settings are there by now.
        if foreign is not None and not (out / SETTINGS).exists():
            check_outlines(out, call.named(Path(foreign[0])).stem, call.wanted.polygons)  # which --overwrite keeps
            raise InputError(
                f"{foreign[1]} exists, and is not of such a call. Choose another --out, or replace it (--overwrite)."
            )
        write_new(out / SETTINGS, json.dumps(settings | by, indent=2))
        stored = _settings(out) or {}
    if stored != settings:
        other = [name for name in settings | stored if stored.get(name) != settings.get(name)]
        words = "; ".join(f"{name} {stored.get(name)} there, {settings.get(name)} here" for name in other)
        raise InputError(
            f"{out} holds predictions with other settings: {words}. Choose another --out, or do all again "
            "(--overwrite)."
        )
    return {one for one, state in done.items() if state in ("", call.state(Path(one)))}


def _told(call: Call, results: Iterable[Result], begun: Iterable[str], note: Callable[..., None]) -> Generator[Result]:
    """Note each result; and what was begun, where it ends early: it stands in nobody's way then.

    What another call has done meanwhile stays done.
    """
    waiting = dict.fromkeys(begun)
    try:
        for result in results:
            note([result])
            waiting.pop(result.picture, None)
            yield result
    finally:
        if waiting:
            with suppress(InputError):
                done = _noted(Path(call.out), DONE)
                note([Result(one, 0, "not done: the call ended") for one in waiting if one not in done])


def _claim(
    call: Call, pictures: Sequence[str], known: set[str], left: Sequence[str], note: Callable[..., None]
) -> None:
    """Note what is begun, and see that no call that runs at the same time writes files of these names, too.

    Each call notes what it begins and then reads what others noted: of two of them one sees the other at least.
    """
    out, own = Path(call.out), known | {*pictures}
    begun = _noted(out, BEGUN)
    if new := [Result(one, 0, "") for one in left if one not in begun]:
        note(new, BEGUN)
    others = [one for one in _noted(out, BEGUN).keys() - own if Path(one).exists()]
    others += [one for one in _noted(out, DONE).keys() - own if call.is_done(Path(one))]
    try:
        if left and others:
            _check_names(call, pictures, others)
    except InputError as error:
        note([Result(one, 0, str(error)) for one in left])
        raise


def _say_former(call: Call, pictures: Sequence[str]) -> None:
    """Name the files of earlier settings that stay beside the new masks, as the record tells them: none is removed.

    Counts of another net would else be read as those of the new masks; what a person corrected is among them, perhaps.
    """
    try:
        stay = _former_files(call, pictures)
    except (InputError, TypeError):
        log.warning(
            f"The record in {call.out} is damaged, and does not say which files earlier settings wrote. What is not "
            "written now may be of the former masks: remove it, or give what it needs to write it anew."
        )
        return
    if stay.beside:
        log.warning(
            f"{call.out} holds files that earlier settings wrote and these do not: {some(stay.beside)}. They are of "
            "the former masks: remove them, or give what they need (--instances, --polygons, ...) to write them anew."
        )
    if stay.of_others:
        log.warning(
            f"{call.out} holds files of other pictures, which stay and are no longer in its record: "
            f"{some(stay.of_others)}. Give these pictures too to do them anew."
        )


class _Former(NamedTuple):
    """Names of files that earlier settings wrote, beside masks that are written anew, and of other pictures."""

    beside: list[str]
    of_others: list[str]


def _former_files(call: Call, pictures: Sequence[str]) -> _Former:
    """The files that earlier settings wrote, and that a call neither writes nor reads."""
    found, former = _Former([], []), _former(call)
    if former is None:
        return found
    anew = {folded(str(Path(one).resolve())) for one in pictures}
    kept = anew | {folded(str(file)) for one in pictures for file in _files(call, one)}
    for one in sorted(_noted(Path(call.out), DONE)):
        names = found.beside if folded(str(Path(one).resolve())) in anew else found.of_others
        names += [file.name for file in _files(former, one) if file.is_file() and folded(str(file)) not in kept]
    return found


def _former(call: Call) -> Call | None:
    """The call that a folder was filled by, as far as its settings tell which files it wrote; None of a new one."""
    stored = _settings(Path(call.out))
    if stored is None:
        return None
    known = {one.name: stored[one.name] for one in fields(Wanted) if one.name in stored}
    known["polygons"] = tuple(one for one in stored["polygons"] if one in WRITERS)
    channels = replace(call.channels, suffixes=tuple(stored["suffixes"]))
    return replace(call, wanted=Wanted(**known), channels=channels)


def _check_names(call: Call, pictures: Sequence[str], earlier: Sequence[str]) -> None:
    """Raise InputError where two pictures would write one file, or a file would replace a picture.

    Names that differ in case alone, or in how an accented letter is put together, are one file on some systems.
    """
    whole = [one for one in pictures if call.channels.whole(Path(one))]  # the others will fail, and write nothing
    read = [*map(Path, pictures), *(file for one in whole for file in call.channels.files(Path(one)))]
    inputs = {folded(str(path)) for one in read for path in (one, one.resolve())}
    owners: dict[str, str] = {}
    for picture in [*earlier, *whole]:
        for file in _files(call, picture):
            if folded(file.name) == SETTINGS:
                raise InputError(
                    f"{picture} would write {file}, which holds the settings of the folder. Rename the picture, or "
                    "take another format of --polygons.",
                    picture,
                )
            other = owners.setdefault(folded(file.name), picture)
            if other != picture:
                raise InputError(
                    f"{other} and {picture} would both write {file}. Predict them into two folders.", picture
                )
            if folded(str(file)) in inputs:
                raise InputError(
                    f"{file}, which {picture} would write, is an input and would be overwritten. Choose another --out.",
                    picture,
                )


def _check_apart(call: Call, pictures: Sequence[str], inputs: Iterable[str | Path]) -> None:
    """Raise InputError where the same inputs would find a file that is written as one more picture of the next call."""
    is_found = finding(inputs)
    for picture in pictures:
        if found := _found(call, picture, is_found):
            raise InputError(
                f"{found}, which {picture} would write, would be one of the pictures when the same call is given "
                "again. Choose another --out.",
                picture,
            )


def _found(call: Call, picture: str, is_found: Callable[[Path], bool]) -> Path | None:
    """The first file that a picture becomes, of one page or of several as it has them, and that would be found."""
    choices = call.wanted.choices(call.named(Path(picture)))
    found = [next(filter(is_found, (Path(call.out, name) for name in names)), None) for names in choices]
    if all(found) or not any(found):
        return found[0]
    try:
        return found[count_pages(picture) > 1]
    except (InputError, MemoryError):  # it will fail, and write nothing
        return None


def _files(call: Call, picture: str) -> Iterator[Path]:
    return (Path(call.out, name) for name in call.wanted.names(call.named(Path(picture))))


def _settings_of(call: Call, masks: MaskFormat, temperature: float | None) -> dict[str, Any]:
    known = {"model": call.model, "suffixes": list(call.channels.suffixes)} | cut_of(masks)
    known |= {"temperature": temperature, "engine": call.engine}
    return known | asdict(call.wanted) | {"polygons": list(call.wanted.polygons)}  # as JSON has it


def _settings(out: Path) -> dict[str, Any] | None:
    """The settings of the files of a folder; None of a new one."""
    file = out / SETTINGS
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(f"it holds {type(found).__name__}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} is damaged: {error}. Use --overwrite, or choose another --out.", file) from error
    found.pop(NET, None)  # a net that was moved is the same
    return OLDER | found


def _manifests(out: Path) -> list[Path]:
    """The manifests of all jobs; no table of objects of a picture "manifest"."""
    pattern = rf"{Path(MANIFEST).stem}(-\d+-of-\d+)?\.csv"
    return sorted(file for file in out.glob("*.csv") if re.fullmatch(pattern, file.name))


def _noted(out: Path, status: str) -> dict[str, str]:
    """Picture -> its state when it was predicted ("" where that was not noted), of those of a status.

    The last word of each manifest counts and, where several tell different states, that of the one written last: by
    another, a picture that was put back with its former time would keep the mask of what lay there meanwhile.
    """
    read: list[tuple[int, dict[str, list[str]]]] = []
    for file in _manifests(out):
        try:
            with file.open(newline="", encoding="utf-8", errors="surrogateescape") as rows:
                # the last one may be of a process that was killed while it wrote
                last = {row[0]: row for row in csv.reader(rows) if len(row) > 1 and row[1] in (DONE, FAILED, status)}
                read.append((os.fstat(rows.fileno()).st_mtime_ns, last))
        except (OSError, csv.Error) as error:
            raise InputError(f"{file} is damaged: {error}. Use --overwrite, or choose another --out.", file) from error
    lines = (line for _, last in sorted(read, key=itemgetter(0)) for line in last.items())
    return {picture: row[4] if len(row) > 4 else "" for picture, row in lines if row[1] == status}


def _manifest(call: Call, number: int, of: int) -> Callable[..., None]:
    """A function that appends results, at once, to the manifest of this job."""
    name = MANIFEST if of == 1 else f"{Path(MANIFEST).stem}-{number}-of-{of}.csv"
    path = Path(call.out, name)
    if not write_new(path, "picture,status,pixels,reason,state\r\n"):
        content = path.read_bytes()
        quote = '"' * (content.count(b'"') % 2)
        if quote or content[-1:] not in (b"\n", b""):  # what a killed process began must not swallow the next line
            _append(path, f"{quote}\r\n")

    def note(results: Iterable[Result], status: str = "") -> None:
        lines = io.StringIO()
        for one in results:
            said = status or (FAILED if one.error else DONE)
            csv.writer(lines).writerow((one.picture, said, one.pixels, one.error, one.state))
        _append(path, lines.getvalue())

    return note


def _append(path: Path, text: str) -> None:
    """Add text at the end of a file that must be there: a folder that was removed is not made again in silence."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "ab") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise refusal(path, error) from error
