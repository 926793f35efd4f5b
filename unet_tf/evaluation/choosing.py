"""Which files of a labelled folder one is judged on: those that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from unet_tf.data.folder import SPLITS, Pair
from unet_tf.data.layout import find_named
from unet_tf.errors import InputError
from unet_tf.evaluation.subject import Subject
from unet_tf.pages.words import many

ALL_KNOWN = ", on all of which the net before it was trained"
SOME_KNOWN = ", on some of which the net before it was trained"
"""Said of files where those that the net knew from which the judged one started are not left out."""


class Choice(NamedTuple):
    """Which files of a folder are scored.

    Attributes:
        pairs: the files to look at.
        where: they are.
        words: number of files that counted, and their identities -> which they are.
        counts: whether a file counts, by the identity of its image; None where each does.
        nothing: what to say where none counts.
    """

    pairs: list[Pair]
    where: str
    words: Callable[[int, set[str]], str]
    counts: Callable[[str], bool] | None = None
    nothing: str = "A score needs a labelled file at least; received none."


def choose_files(subject: Subject, data: Path, split: str | None, say: Callable[[str], None]) -> Choice:
    """Choose the files of a folder to score somebody on; none is read.

    Args:
        subject: who is judged.
        data: the folder.
        split: "train", "val", "test" or "all" for just these files; None for those that it was not trained on.
        say: gets what lies in the folder and is not used.

    Raises:
        InputError: files do not pair, or there is no such split.
    """
    found = find_named(data, subject.naming, subject.channels)
    named = found.check()
    for note in found.notes:
        say(note)
    everything = [pair for pairs in named.values() for pair in pairs]
    trained, validated, before = subject.learnt("train"), subject.learnt("val"), subject.before()
    known, of_before = subject.known(), list[str]()
    who = "bundle" if subject.kind == "bundle" else "run"
    chose = f"; among them the validation files, by which {subject.chosen} chosen"

    def seen(found: set[str]) -> str:
        if found and found <= before:
            return ALL_KNOWN
        if trained is None or found & known:
            return ", seen in training or not"
        doubt = subject.doubt(found)
        return chose * bool(found & (validated or set())) + f"; {doubt}" * bool(doubt)

    def learnt_of(found: set[str]) -> str:
        if split == "train":
            return ", on which it was trained"
        chosen = f", by which {subject.chosen} chosen"
        return chosen + (ALL_KNOWN if found <= before else SOME_KNOWN) * bool(found & before)

    def counts(identity: str) -> bool:
        if identity in before and identity not in (trained or ()):
            of_before.append(identity)
        return identity not in known

    if split == "all":
        return Choice(everything, str(data), lambda _, found: f"all files of {data}{seen(found)}")
    if split is not None and split not in SPLITS:
        raise InputError(f"A split must be one of {', '.join(SPLITS)}, all; received {split!r}.")
    if split in named:
        return Choice(named[split], f"{data} ({split})", lambda _, found: f"all {split} files of {data}{seen(found)}")
    listed = subject.learnt(split) if split else None
    if split == "test" or (split is not None and not listed):
        raise InputError(
            f"{data} has no {split} files; it has {', '.join(filter(None, named)) or 'no splits'}. --split all scores "
            "all of them."
        )
    if split is not None and listed:
        return Choice(
            everything,
            str(data),
            lambda count, found: f"the {split} files of the {who} in {data}{learnt_of(found)}",
            listed.__contains__,
            f"{data} holds none of the {len(listed)} {split} files of the {who}, which are known by their content. "
            "Give the folder that it was trained on.",
        )

    name = next(name for name in ("test", "val", "train", "") if name in named)
    where = f"{data / name}" if (data / name).is_dir() else f"{data} ({name})"

    def words(count: int, found: set[str]) -> str:
        text = f"{many(count, 'file')} of {where}"
        gone = len(named[name]) - count - len(of_before)
        left_out = [f"{gone} that the {subject.kind} was trained on"] if gone else []
        left_out += [f"{len(of_before)} that the net before it was trained on"] if of_before else []
        if left_out:
            text += f", without {' and '.join(left_out)}"
        if found & (validated or set()):
            text += chose
        return "; ".join(filter(None, (text, subject.doubt(found))))

    return Choice(
        named[name],
        where,
        words,
        counts if known else None,
        f"The {who}{', or the net before it,' * bool(before)} was trained on every image of {where}; a score needs "
        "others. (--split all scores them.)",
    )
