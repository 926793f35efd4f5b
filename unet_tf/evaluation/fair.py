"""Two who are judged on the same terms: on files that neither was trained on, in the classes of one truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unet_tf.data.folder import Decoded, Pair, read_pair, title
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.choosing import choose_files
from unet_tf.evaluation.mask_folder import MaskFolder
from unet_tf.evaluation.subject import Answer, Net, Subject
from unet_tf.labels import VOID
from unet_tf.pages.words import many
from unet_tf.utils.progress import Progress
from unet_tf.utils.signals import look

NAMES = "AB"


class SameFiles(NamedTuple):
    """The files on which two are compared.

    Attributes:
        pairs: those that count.
        left_out: names of those that one of the two was trained on, or that are none of the split of both.
        words: which they are.
        of_each: which they are to A, and to B.
    """

    pairs: list[Pair]
    left_out: tuple[str, ...]
    words: str
    of_each: tuple[str, ...]


def same_terms(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Let all pair the files of the truth as the first net does, or the first of them without any.

    Raises:
        InputError: their classes have other names, or an image has other files for one of them.
    """
    first = judge_of(subjects)
    for name, one in zip(NAMES, subjects, strict=True):
        if sorted(one.real_classes) != sorted(first.real_classes):
            listed = "; ".join(
                f"{which} ({each.path}) has {', '.join(each.real_classes)}"
                for which, each in zip(NAMES, subjects, strict=True)
            )
            raise InputError(
                f"Two that are compared must have the same classes: {listed}. Train one with the names of the other "
                "(--classes)."
            )
        if isinstance(one, Net) and one.channels.suffixes != first.channels.suffixes:
            raise InputError(
                f"Two that are compared must see the same files: {name} ({one.path}) reads images of "
                f"{', '.join(one.channels.suffixes) or 'one file'}, {first.path} of "
                f"{', '.join(first.channels.suffixes) or 'one file'}."
            )
    return tuple(replace(one, naming=first.naming) for one in subjects)


def judge_of(subjects: Sequence[Subject]) -> Subject:
    """Who says what the masks of the truth mean: the first net, or the first of all.

    A net with a border class before others: to it objects are whole, and to others there is background between those
    that touch, so that the order of the two would change the scores.
    """
    nets = [one for one in subjects if isinstance(one, Net)]
    return next((one for one in nets if one.masks.border), (nets or subjects)[0])


def same_files(
    subjects: Sequence[Subject], data: Path, split: str | None, say: Callable[[str], None], on_file: Progress
) -> SameFiles:
    """Choose the files of a folder on which all are judged: those that none was trained on, or those of a split.

    Args:
        subjects: as `same_terms` gives them.
        data: the folder.
        split: as of `choose_files`.
        say: gets what lies in the folder and is not used.
        on_file: called with (images done, images in all) while they are told by their content.

    Raises:
        InputError: files do not pair, there is no such split, or no file is left.
    """
    nets = {name: one for name, one in zip(NAMES, subjects, strict=True) if isinstance(one, Net)}
    first = judge_of(subjects)
    choice = choose_files(first, data, split, say)
    quiet: Callable[[str], None] = lambda note: None  # noqa: E731
    choices = {name: choose_files(one, data, split, quiet) for name, one in nets.items()}
    known: dict[str, set[str]] = {name: set() for name in nets}
    sights = {one.channels for one in nets.values()}
    pairs, left_out = [], []
    for done, pair in enumerate(choice.pairs, start=1):
        look()
        images = {channels: replace(pair, channels=channels).read().image for channels in sights}
        identities = {name: one.known_as(images[one.channels]) for name, one in nets.items()}
        if all((counts := choices[name].counts) is None or counts(found) for name, found in identities.items()):
            pairs.append(pair)
            for name, found in identities.items():
                known[name].add(found)
        else:
            left_out.append(title(pair))
        on_file(done, len(choice.pairs))
    whose = "both" if len(nets) > 1 else "".join(nets)
    if not pairs:
        such = "that neither was trained on" if split is None else f"that are {split} files of {whose}"
        raise InputError(
            f"Two must be compared on files {such}; of the {len(left_out)} of {choice.where} none is such. Give "
            "others, or take all of them (--split all)."
        )
    words = f"{many(len(pairs), 'file')} of {choice.where}"
    if left_out:
        gone = "A or B was trained on" if split is None else f"are not among the {split} files of {whose}"
        words += f", without {len(left_out)} that {gone}"
    own, seen = dict.fromkeys(NAMES, ""), ", seen in training or not"
    for name, one in nets.items():
        if known[name] & one.known():
            own[name] = seen
        elif doubt := one.doubt(known[name]):
            own[name] = f"; of {name}: {doubt}"
        elif known[name] & (one.learnt("val") or set()):
            own[name] = f"; among them validation files of {name}, by which {one.chosen} chosen"
    of_both = seen * (seen in own.values()) + "".join(said for said in own.values() if said != seen)
    return SameFiles(pairs, tuple(left_out), words + of_both, tuple(words + said for said in own.values()))


def read_alike(subjects: Sequence[Subject], first: Subject, masks: MaskFormat) -> tuple[Subject, ...]:
    """Let folders of masks take the truth to be read so, and theirs as it is or as the first net draws its own.

    Their pieces are their objects: what the net measured on its training objects cuts the net's masks alone.
    """
    others = () if masks is first.masks else (first.masks,)
    pieces = replace(masks, neck=0.0, smallest=1, filled=False)
    return tuple(replace(one, masks=pieces, others=others) if isinstance(one, MaskFolder) else one for one in subjects)


def answers_of(
    subject: Subject, others: Sequence[Subject], truth: Subject, masks: MaskFormat
) -> Callable[[Pair, Decoded], Answer]:
    """What one says of a file, in the ids of the classes of the truth, without probabilities.

    Void where masks of the others are: then all are judged on the same pixels.

    Args:
        subject: whose answers.
        others: with whom it is compared.
        truth: whose classes these are.
        masks: how the masks of the truth are read.
    """
    wanted, ids = truth.real_classes, np.full(256, VOID, np.uint8)
    ids[: subject.masks.real_classes] = [wanted.index(name) for name in subject.real_classes]
    folders = [one for one in others if isinstance(one, MaskFolder) and one is not subject]

    def answer(pair: Pair, decoded: Decoded) -> Answer:
        own = decoded
        if isinstance(subject, Net) and subject.channels != pair.channels:
            seen = replace(pair, channels=subject.channels)
            own = read_pair(seen, masks)
        found = subject.answer(pair, own)
        objects = found.objects
        if objects is None and decoded.objects is not None:
            cells = wanted[masks.object_class]
            objects = subject.masks.objects(found.label, subject.real_classes.index(cells))
        label = ids[subject.masks.real_label(found.label)]
        for one in folders:
            label[one.answer(pair, decoded).label == VOID] = VOID
        return Answer(label, None, objects)

    return answer
