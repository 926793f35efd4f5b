"""Which pictures to annotate next: those of whose objects a net is least sure, spread over what there is to see."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import find_pictures, pictures_of
from unet_tf.data.nodata import nodata_of
from unet_tf.data.pictures import count_pages
from unet_tf.errors import InputError
from unet_tf.planning.ancestors import learnt
from unet_tf.prediction.folds import Folds, opened
from unet_tf.prediction.predict import predictor_of
from unet_tf.prediction.predictor import Predictor
from unet_tf.prediction.uncertainty import entropy
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.threads import ahead

LISTS = (".txt", ".csv")
MOST_FEATURES = 64
"""Numbers that are kept of what the net sees in a picture: more filters are mixed into so many, always the same way."""


class Suggestion(NamedTuple):
    """A picture to annotate.

    Attributes:
        picture: its file.
        page: of a stack, from 0.
        uncertainty: of its objects, in [0, 1].
        nearest: the picture above it in the list that is most like it; "" of the first.
        distance: to that one, as a share of the usual one, of which 1 at most counts; 1 of the first.
    """

    picture: str
    page: int
    uncertainty: float
    nearest: str
    distance: float

    @property
    def name(self) -> str:
        """The file, and the page of a stack."""
        return named(self.picture, self.page)


@dataclass(frozen=True)
class Suggestions:
    """What `suggest` found.

    Attributes:
        chosen: the pictures, the most worth first.
        looked: pictures that could be chosen.
        known: pictures that the run was trained or validated with, and that were left out.
        failed: pictures that could not be read, each with its name and the reason.
    """

    chosen: tuple[Suggestion, ...]
    looked: int
    known: tuple[str, ...]
    failed: tuple[str, ...]


class _Candidate(NamedTuple):
    picture: str
    page: int
    uncertainty: float
    features: NDArray[np.float32]  # (F,)


def suggest(
    run: Run | Folds | str | Path,
    inputs: str | Path | Iterable[str | Path],
    count: int = 10,
    out: str | Path | None = None,
    memory: int | str | None = None,
    on_file: Progress = unseen,
) -> Suggestions:
    """Name the pictures that would teach the net of a run most, once they are annotated.

    A picture is worth as much as the net is unsure of its objects: the mean entropy of the probabilities over its
    pixels, each of which counts as much as it may be of an object, `object_uncertainty`. Then the list is filled one by
    one: with the picture whose uncertainty times its distance from those in the list is largest. The distance is
    between the means of the filters at the deepest level of the net (in the middle 1024 px), as a share of the usual
    distance from the middle of all, of which 1 at most counts: so a near copy of what is in the list comes after all
    others, and pictures that are merely different do not beat those of which the net is unsure.

    Args:
        run: a run, or its folder, or the folder of a cross-validation.
        inputs: picture files, folders of them, or patterns such as "scans/*.tif". Each page of a stack is a picture.
        count: how many to name.
        out: NAME.txt, a path a line, or NAME.csv; None to write nothing. It is replaced where it exists, by an empty
            list where the run knows all pictures; where none can be read, it stays.
        memory: what the tiles may take, bytes or such as "2GB"; None for a quarter of what is free.
        on_file: called with (pictures done, pictures in all).

    Returns:
        The list. Pictures that the run was trained or validated with are known by their pixels and left out.

    Raises:
        InputError: the run cannot be used, `count` is less than 1, no picture is there, or `out` cannot be written or
            is one of the pictures.
        Stopped: a signal came; nothing is written.

    Example:
        >>> suggest("runs/cells", "unlabelled/", count=3).chosen[0].picture  # doctest: +SKIP
        '/data/unlabelled/plate_07.png'

    Reference:
        Settles: Active Learning Literature Survey (2009), sections 3.1 and 3.6; Sener and Savarese: Active Learning for
        Convolutional Neural Networks: A Core-Set Approach (ICLR 2018).
    """
    if isinstance(count, bool) or count < 1:
        raise InputError(f"There must be 1 picture or more to name; received --count {count}.")
    run = run if isinstance(run, Run | Folds) else opened(run)
    with stoppable():
        known = (run.learnt() if isinstance(run, Folds) else learnt(run)) | run.files("val")
        predictor = predictor_of(run)
        found = pictures_of(find_pictures([inputs] if isinstance(inputs, str | Path) else inputs), run.channels)
        if out is not None:
            _check_out(Path(out), found)
        candidates: list[_Candidate] = []
        left_out: list[str] = []
        failed: list[str] = []
        for done, file in enumerate(found, start=1):
            try:
                for page, image, declared in _pages(run, file):
                    look()
                    if identity(image) in known:
                        left_out.append(named(file, page))
                    else:
                        candidates.append(_candidate(predictor, file, page, image, declared, memory))
            except InputError as error:
                failed.append(str(error) if file in str(error) else f"{file}: {error}")
            except MemoryError:
                failed.append(f"A picture must fit into memory, and {file} does not. Give parts of it.")
            on_file(done, len(found))
        chosen = tuple(choose(candidates, count))
        if out is not None and (candidates or left_out):
            _write(Path(out), chosen)
    return Suggestions(chosen, len(candidates), tuple(left_out), tuple(failed))


def object_uncertainty(probabilities: NDArray[np.float32]) -> float:
    """Say how unsure a net is of the objects of a picture: sum(w h) / sum(w), with w = 1 - p_0 and h the entropy.

    A pixel counts as much as it may be of an object, by the probability of all classes but the background. So the wide
    background that the net is sure of counts for nothing, borders and doubtful objects for much; and a picture in which
    no pixel becomes an object is judged where objects were most likely.

    Args:
        probabilities: (H, W, num_classes).

    Returns:
        In [0, 1]: 0 where the net is sure of all.

    Example:
        >>> object_uncertainty(np.array([[[1, 0], [0.5, 0.5]]], np.float32))  # the first pixel is background for sure
        1.0
    """
    weight = np.float64(1) - probabilities[..., 0]
    total = weight.sum()
    return float((weight * entropy(probabilities)).sum() / total) if total > 0 else 0.0


def choose(candidates: Sequence[_Candidate], count: int) -> Iterator[Suggestion]:
    """Choose the most worth, one after another; of equals the first.

    Args:
        candidates: all there are.
        count: how many to choose, at most.

    Yields:
        The pictures in their order.
    """
    if not candidates:
        return
    features = np.stack([one.features for one in candidates]).astype(np.float64)  # (N, F)
    features -= np.median(features, axis=0)  # medians: one picture that is like no other must not make these alike
    features /= _scale(np.abs(features))
    usual = _scale(np.linalg.norm(features, axis=1))
    worth = np.array([one.uncertainty for one in candidates])
    distance, nearest = np.ones(len(candidates)), np.full(len(candidates), -1)
    left = np.ones(len(candidates), bool)
    for _ in range(min(count, len(candidates))):
        # Copies of what is chosen are worth nothing: then the more uncertain of them comes first
        order = np.lexsort((-worth, -worth * np.minimum(distance, 1), ~left))
        number = int(order[0])
        one, near = candidates[number], int(nearest[number])
        name = "" if near < 0 else named(candidates[near].picture, candidates[near].page)
        yield Suggestion(one.picture, one.page, one.uncertainty, name, float(distance[number]))
        left[number] = False
        away = np.linalg.norm(features - features[number], axis=1) / usual
        closer = (away < distance) | (nearest < 0)
        distance, nearest = np.where(closer, away, distance), np.where(closer, number, nearest)


def _scale(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The usual size along the first axis: the median, the mean where most are 0, 1 where all are."""
    median, mean = np.median(sizes, axis=0), sizes.mean(axis=0)
    return np.where(median > 0, median, np.where(mean > 0, mean, 1.0))


def named(picture: str, page: int) -> str:
    """Name a picture by its file, and by its page where that is not the first."""
    return f"{picture}, page {page}" if page else picture


def _pages(run: Run | Folds, file: str) -> Iterator[tuple[int, NDArray, tuple[float, ...]]]:
    """The pages of a picture, (H, W, C) raw, and the values that the file names as nodata; the next is read ahead."""
    path = Path(file)
    files = run.channels.files(path)
    pages = ahead(lambda page: (page, run.channels.read(files, page)), range(count_pages(path)))
    for page, read in pages:
        yield page, read.image, read.nodata


def _candidate(
    predictor: Predictor, file: str, page: int, image: NDArray, declared: Sequence[float], memory: int | str | None
) -> _Candidate:
    name, nodata = named(file, page), nodata_of(image, declared)
    probabilities = predictor.probabilities(image, memory=memory, name=name, nodata=nodata)
    features = predictor.features(image, memory, name, nodata)
    if len(features) > MOST_FEATURES:
        mixed = np.random.default_rng(0).normal(size=(len(features), MOST_FEATURES))
        features = (features @ mixed / np.sqrt(len(features))).astype(np.float32)
    return _Candidate(file, page, object_uncertainty(probabilities), features)


def _check_out(out: Path, pictures: Sequence[str]) -> None:
    if out.suffix.lower() not in LISTS:
        raise InputError(f"A list of pictures is written as {' or '.join(LISTS)}; received {out.name!r}.")
    if out.is_dir():
        raise InputError(f"{out} is a folder. Choose another --out for the list.")
    if str(out.absolute()) in pictures:
        raise InputError(f"{out} is one of the pictures, and the list would replace it. Choose another --out.", out)


def _write(out: Path, chosen: Sequence[Suggestion]) -> None:
    """Write the list: paths alone, each once, or a table."""
    text = io.StringIO(newline="")
    if out.suffix.lower() == ".txt":
        text.writelines(f"{picture}\n" for picture in dict.fromkeys(one.picture for one in chosen))
    else:
        table = csv.writer(text)
        table.writerow(("rank", "picture", "page", "uncertainty", "nearest", "distance"))
        for rank, one in enumerate(chosen, start=1):
            own = f"{one.uncertainty:.6f}", one.nearest, f"{one.distance:.6f}"
            table.writerow((rank, one.picture, one.page, *own))
    with replacing(out) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape", newline="")
