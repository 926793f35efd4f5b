"""Who is judged: whoever gives each pixel of a labelled picture a class, such as the net of a run."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import ALL, Channels
from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import Decoded, Pair, title
from unet_tf.data.layout import ANY, find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.naming import Naming
from unet_tf.data.splits import parts_of
from unet_tf.errors import InputError
from unet_tf.evaluation.calibration import Certainty
from unet_tf.model.calibration import BEST, HALF, Calibration, label_of
from unet_tf.planning.ancestors import ancestors
from unet_tf.prediction.folds import Folds
from unet_tf.prediction.predict import predictor_of
from unet_tf.prediction.predictor import Predictor
from unet_tf.run import Run

log = logging.getLogger("unet_tf")


class Answer(NamedTuple):
    """What is said of one picture.

    Attributes:
        label: (H, W) class ids; void where nothing is said.
        probabilities: (H, W, num_classes); None of who has none.
        objects: (H, W) ids of objects; None where `MaskFormat.objects` parts them.
    """

    label: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None = None
    objects: NDArray | None = None


@dataclass
class Subject(ABC):
    """Who is judged, and what judging needs to know of it.

    Attributes:
        kind: "run", "bundle", "runs" (of a cross-validation) or "masks".
        path: where it lies.
        classes: names of its classes.
        masks: how the masks of the truth say the classes; `answer` gives ids of these.
        naming: how the files of the truth pair.
        channels: which channels of the images it sees.
        group: regular expression; files in whose names it finds the same text belong together.
        group_said: whether a person said so of the files that it is judged on, and not of those that it was trained on.
    """

    kind: str
    path: Path
    classes: tuple[str, ...]
    masks: MaskFormat
    naming: Naming = ANY
    channels: Channels = ALL
    group: str | None = None
    group_said: bool = False

    @abstractmethod
    def answer(self, pair: Pair, decoded: Decoded) -> Answer:
        """Say the class of each pixel of a picture, and not look at its label.

        Raises:
            InputError: it cannot.
        """

    def ready(self, pairs: Sequence[Pair]) -> None:  # noqa: B027 - a net always is
        """Look, before the first answer, whether it can answer for all of these files.

        Raises:
            InputError: it cannot.
        """

    def grouping(self, pairs: Sequence[Pair]) -> str | None:
        """The `group` by which these files belong together; none, which is said, where it is of others and fits not.

        Raises:
            InputError: it was said of these, and is no regular expression, or finds nothing in a name.
        """
        try:
            parts_of(pairs, self.group)
        except InputError as error:
            if self.group_said:
                raise
            log.warning(
                f"{error} That is the group of {self.path}, not used here; evaluate and compare take another, --group "
                "REGEX."
            )
            return None
        return self.group

    def known_as(self, image: NDArray) -> str:
        """By which it knows an image, (H, W, C) raw pixels: its identity."""
        return identity(image)

    def learnt(self, split: str) -> set[str] | None:
        """Identities of the images that were its "train" or "val"; None where nobody knows them."""
        return set()

    def before(self) -> frozenset[str]:
        """Identities of the images on which nets before it were trained, as far as they are known."""
        return frozenset()

    def known(self) -> set[str]:
        """Identities of the images by which it cannot be judged, as far as they are known."""
        return (self.learnt("train") or set()) | self.before()

    def certainty(self) -> Certainty | None:
        """A counter of how sure it is; None of who does not say."""
        return None

    @property
    def chosen(self) -> str:
        """What was chosen by its validation files, where it has some."""
        return "the best epoch was"

    @property
    def real_classes(self) -> tuple[str, ...]:
        """Names of the classes that a person means: without that of the borders."""
        return self.classes[: self.masks.real_classes]

    def doubt(self, known: set[str]) -> str:
        """What is to be said of images, by what they are known, where nobody knows on which it was trained."""
        return ""

    def home(self, data: Path) -> Path | None:
        """The folder that keeps its scores on `data` where no other is named; None where none does."""
        return None

    @property
    def words(self) -> str:
        """What has to be known of its answers to read the scores, once they are given; "" for nothing."""
        return ""


@dataclass
class Net(Subject):
    """The net of a run or bundle, or the nets of a cross-validation.

    Attributes:
        net: what `predictor_of` opens.
        threshold: of two classes, instead of its own.
        fingerprint: of a bundle: SHA-256 of the sorted identities of the images that it was trained on.
        learnt_from: of a bundle: the first letters of these identities; None where it does not list them.
        unknown: of a bundle: whether a net before its own was trained on files that nobody knows.
        held_out: of a bundle: number of its validation files, which it does not list.
        nets: of a bundle: how many nets' probabilities it averages, each with a temperature that it does not tell.
        said: what a person calls the classes of the masks of the truth, in the order in which these have them.
    """

    net: Run | Folds | Path = Path()
    fingerprint: str = ""
    learnt_from: frozenset[str] | None = None
    unknown: bool = False
    held_out: int = 0
    nets: int = 1
    threshold: float | None = None
    said: tuple[str, ...] | None = None

    @property
    def chosen(self) -> str:
        """What was chosen by its validation files: a threshold too, where that was to be the best."""
        runs = self.net.runs.values() if isinstance(self.net, Folds) else [self.net]
        best = any(isinstance(one, Run) and one.plan.threshold == BEST for one in runs)
        return "the best epoch and the threshold were" if best else super().chosen

    @property
    def trained_on(self) -> Path | None:
        """The data folder that it was trained on; None of a bundle."""
        return None if isinstance(self.net, Path) else self.net.data

    @cached_property
    def predictor(self) -> Predictor:
        """The net, loaded when it is first asked."""
        return predictor_of(self.net).at(self.threshold)

    def answer(self, pair: Pair, decoded: Decoded) -> Answer:
        """Predict a picture as `unet_tf.predict` does; of a cross-validation, by nets that were not trained on it."""
        if isinstance(self.net, Folds):
            predictor = predictor_of(self.net.unseen(identity(decoded.image))).at(self.threshold)
        else:
            predictor = self.predictor
        calibration = predictor.calibration
        return said(lambda: predictor.probabilities(decoded.image, nodata=decoded.nodata), pair, calibration.threshold)

    def certainty(self) -> Certainty:
        """A counter of how sure it is."""
        if not isinstance(self.net, Folds):
            return Certainty(self.masks.num_classes, self.predictor.calibration, self.masks, averaged=self.nets > 1)
        of_nets = [run.calibration for run in self.net.runs.values()]
        own = self.net.calibration if self.threshold is None else Calibration(threshold=self.threshold)
        # each file has the threshold of the nets that judge it
        mixed = self.threshold is None and len({one.threshold for one in of_nets}) > 1
        tempered = any(one.temperature != 1 for one in of_nets)
        return Certainty(self.masks.num_classes, own, self.masks, mixed, averaged=tempered)

    def known_as(self, image: NDArray) -> str:
        """By which it knows an image: its identity; of a bundle as many of its first letters as are listed."""
        found = identity(image)
        return found[: len(next(iter(self.learnt_from or ()), found))]

    def learnt(self, split: str) -> set[str] | None:
        """What it knows the images by that were "train" or "val"; None of those that a bundle does not list."""
        if not isinstance(self.net, Path):
            return self.net.files(split)
        return None if self.learnt_from is None or split != "train" else {*self.learnt_from}

    def before(self) -> frozenset[str]:
        """Identities of the images on which the nets before that of a run were trained."""
        return frozenset() if self._run is None else ancestors(self._run).files

    @property
    def _run(self) -> Run | None:
        """The run, or the first of a cross-validation, all of which start from the same; None of a bundle."""
        return self.net.first if isinstance(self.net, Folds) else self.net if isinstance(self.net, Run) else None

    @property
    def words(self) -> str:
        """Which nets of a cross-validation judge a file; of which nets before it nobody knows the training files."""
        unknown = () if self._run is None else ancestors(self._run).unknown
        words = [self.net.judges] if isinstance(self.net, Folds) else []
        if unknown:
            words.append(f"the net started from {', '.join(unknown)}, whose training files are not known")
        return "; ".join(words)

    def doubt(self, known: set[str]) -> str:
        """What a bundle does not know: its validation files; whether it, or a net before it, was trained on these."""
        if not isinstance(self.net, Path):
            return ""
        if self.learnt_from is not None:
            unknown = "the net started from another, whose training files are not known" * self.unknown
            chosen = "by which files its best epoch was chosen is not known" * bool(self.held_out)
            return "; ".join(filter(None, (unknown, chosen)))
        if hashlib.sha256("".join(sorted(known)).encode()).hexdigest() == self.fingerprint:
            return f"the {self.kind} was trained on these very files, and the scores flatter it"
        return f"the {self.kind}'s training files are not known"

    def home(self, data: Path) -> Path | None:
        """The folder of a run, unless threshold, void, tolerance, or the pairing of its own data, are not its own."""
        if not isinstance(self.net, Run) or self.threshold not in (None, self.net.calibration.threshold):
            return None
        own = self.net.config.naming
        paired = self.naming == own or not data.resolve().is_relative_to(self.net.data) or self._pairs_as(own, data)
        return self.path if self.masks == self.net.masks and paired else None

    def _pairs_as(self, naming: Naming, data: Path) -> bool:
        """Whether another way of pairing finds the same files."""
        try:
            here, there = (find_named(data, one, self.channels).splits for one in (self.naming, naming))
        except InputError:  # said where it is judged
            return False
        return here == there


def said(predict: Callable[[], NDArray], pair: Pair, threshold: float = HALF) -> Answer:
    """What probabilities, (H, W, num_classes), say of a file.

    Raises:
        InputError: the net does not take the image, or a probability is not finite.
    """
    try:
        probabilities = predict()
    except InputError as error:
        raise InputError(f"{title(pair)}: {error}", pair.image) from error
    if not np.isfinite(probabilities).all():
        raise InputError(
            f"{title(pair)}: probabilities must be finite; the net gives NaN or infinity. Train it again, with a lower "
            "--learning-rate or in float32.",
            pair.image,
        )
    return Answer(label_of(probabilities, threshold), probabilities)
