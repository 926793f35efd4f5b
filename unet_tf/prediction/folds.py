"""The folder of a cross-validation, opened as one net: the mean of the probabilities of its runs."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from unet_tf.edge.description import BUNDLE_DESCRIPTION
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import Calibration
from unet_tf.planning.ancestors import learnt
from unet_tf.run import Run
from unet_tf.utils.files import identity
from unet_tf.utils.typed_json import read_json

if TYPE_CHECKING:
    import keras

    from unet_tf.model.inference import Network

log = logging.getLogger("unet_tf")

SUMMARY = "crossval.json"
"""What a cross-validation writes into its folder once all of its runs are complete."""
NAME = re.compile(r"(fold|seed)\d+")
AGAIN = "The same crossval command does what is left"
BECOMES_A_RUN = (
    "A model of your own loop becomes a run by model.save('mine.keras') and unet_tf.train(DATA, out=RUN, "
    "start_from='mine.keras', epochs=1), with batch_norm=False if it has none."
)
"""What to do with a model where a run is wanted."""


class Summary(TypedDict):
    """What has to be known of a `crossval.json`.

    Attributes:
        runs: names of the runs, each with its scores.
    """

    runs: dict[str, dict[str, float | None]]


class Folds:
    """The runs of a cross-validation, opened to use the mean of their nets; with what a `Run` has for one net.

    Each run has measured the normalisation of its own training images. Pixels are normalised as the first run does, and
    scaled from there to those of each net; a value that stands for "no measurement" in one run does so in all, and
    counts as the first run's mean. How objects are told apart is the first run's too; all runs of one cross-validation
    do it alike.

    Args:
        path: the folder that `crossval` filled.
        names: some of its runs; None for all.

    Attributes:
        path: the folder.
        runs: by name, in order.
        plan: of the first run.
        config: of the first run.
        masks: how masks say the classes, and how predictions are drawn.
        normalisation: of the first run, with the values for "no measurement" of all.
        channels: how the channels of the images come from picture files.
        classes: names of the classes.
        data: the folder that they were trained on.

    Raises:
        InputError: the folder is none, a run of it is missing, not complete or damaged, or one has other sizes, classes
            or channels than the others.
    """

    def __init__(self, path: str | Path, names: Iterable[str] | None = None) -> None:
        self.path = Path(path)
        there = _names(self.path)
        wanted = set(there if names is None else names)
        self.runs = {name: Run(self.path / name) for name in there if name in wanted}
        _check_alike(self.runs)
        self.first = next(iter(self.runs.values()))
        self.plan, self.config, self.masks = self.first.plan, self.first.config, self.first.masks
        self.channels, self.classes, self.data = self.first.channels, self.first.classes, self.first.data
        gone = {value for run in self.runs.values() for value in run.normalisation.nodata}
        self.normalisation = replace(self.first.normalisation, nodata=tuple(sorted(gone)))
        self._trained: dict[str, set[str]] | None = None
        self._some: dict[tuple[str, ...], Folds] = {tuple(self.runs): self}
        self._network: tuple[list[tuple[int, ...] | None], Network] | None = None

    def __fspath__(self) -> str:
        if list(self.runs) != (there := _names(self.path)):
            raise InputError(
                f"A folder is of all its runs, {', '.join(there)}; these are {', '.join(self.runs)} alone. Give arrays "
                f"to unet_tf.predict, or the folder of a run, such as {self.path / next(iter(self.runs))}."
            )
        return str(self.path)

    @property
    def geometry(self) -> Geometry:
        """Sizes of each net."""
        return self.plan.geometry

    @property
    def cost(self) -> str:
        """What the mean costs, in words."""
        count = len(self.runs)
        return f"{self.path}: the mean of {count} nets, {count} times the time of one, and {count} times its size"

    @property
    def judges(self) -> str:
        """Who judges a file, in words."""
        words = f"each by the mean of those of the {len(self.runs)} nets that were not trained on it"
        return words + ", or of all where each net was" * bool(self.files("train"))  # as of seeds

    @property
    def calibration(self) -> Calibration:
        """How the mean becomes labels: at the median of the thresholds of the runs. Each net has its temperature."""
        return Calibration(threshold=statistics.median(run.calibration.threshold for run in self.runs.values()))

    @property
    def model(self) -> keras.Model:
        """The mean of the nets as one model (`unet_tf.model.ensemble`), which gives probabilities.

        Raises:
            InputError: the file of a net is missing, damaged, or holds another net than its configuration says.
        """
        return self.averaged({name: run.read() for name, run in self.runs.items()})

    def averaged(self, models: dict[str, keras.Model]) -> keras.Model:
        """The mean of other nets of these runs, by name."""
        from unet_tf.model.ensemble import Member, ensemble

        common, members = self.normalisation, []
        for name, run in self.runs.items():
            own = run.normalisation
            scale = tuple(of_all / std for of_all, std in zip(common.std, own.std, strict=True))
            offset = ((of_all - mean) / std for of_all, mean, std in zip(common.mean, own.mean, own.std, strict=True))
            members.append(Member(name, models[name], scale, tuple(offset), run.calibration.temperature))
        return ensemble(members)

    @property
    def network(self) -> Network:
        """The same mean, ready to predict; kept until a net is replaced."""
        from unet_tf.model.inference import Network

        state = [identity(file) for file in files_of_nets(self.path)]
        if self._network is None or self._network[0] != state:
            self._network = state, Network(self.model)
        return self._network[1]

    @property
    def model_hash(self) -> str:
        """SHA-256 of those of the files of the nets, and of their temperatures.

        Raises:
            InputError: one is missing.
        """
        words = (f"{run.model_hash} {run.calibration.temperature!r}" for run in self.runs.values())
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    def learnt(self) -> set[str]:
        """SHA-256 of the images that some net, or one before it, was trained on (`Fingerprint.sha256`)."""
        return set().union(*self._learnt().values())

    def files(self, split: str) -> set[str]:
        """SHA-256 of images (`Fingerprint.sha256`), as judging asks a run for them.

        Args:
            split: "train" for those that every net was trained on, and none can be judged on; "val" for those that
                some net held out.

        Raises:
            InputError: the list of files of a run is missing or damaged.
        """
        if split == "train":
            return set.intersection(*self._learnt().values())
        return set().union(*(run.files(split) for run in self.runs.values()))

    def unseen(self, sha256: str) -> Folds:
        """Give the nets that were not trained on an image: all, where it is new or none is left.

        Args:
            sha256: of the image (`unet_tf.data.fingerprint.identity`).

        Raises:
            InputError: the list of files of a run is missing or damaged.
        """
        names = tuple(name for name, some in self._learnt().items() if sha256 not in some) or tuple(self.runs)
        if names not in self._some:
            self._some[names] = Folds(self.path, names)
        return self._some[names]

    def _learnt(self) -> dict[str, set[str]]:
        if self._trained is None:
            self._trained = {name: learnt(run) for name, run in self.runs.items()}
        return self._trained


def holds_folds(path: str | Path) -> bool:
    """Say whether a folder is that of a cross-validation, complete or not, and neither a run nor a bundle."""
    path = Path(path)
    if (path / Run.CONFIG).exists() or (path / BUNDLE_DESCRIPTION).exists():
        return False
    return (path / SUMMARY).is_file() or bool(_begun(path))


def check_stored(net: Run | Folds | str | Path) -> str:
    """Give the path or address of a net, and see that it is one: a model in memory has none.

    Raises:
        InputError: it is none.
    """
    if isinstance(net, str | os.PathLike):
        return os.fspath(net)
    raise InputError(
        "A run must be given, or its folder, or what else knows pixels and classes in a file; received "
        f"{type(net).__name__}. With a model in memory unet_tf.predict and unet_tf.Predictor predict arrays. "
        + BECOMES_A_RUN
    )


def opened(path: str | Path) -> Run | Folds:
    """Open the folder of a run or of a cross-validation, whose cost is said on the logger "unet_tf".

    Raises:
        InputError: it is neither, or damaged.
    """
    if not holds_folds(check_stored(path)):
        return Run(path)
    found = Folds(path)
    log.info(found.cost)
    return found


def files_of_nets(path: Path) -> list[Path]:
    """The files that what is predicted by a cross-validation depends on, as far as they are known by their names."""
    files = Run.CONFIG, Run.BEST, Run.CALIBRATION
    return [path / SUMMARY, *(path / name / file for name in _begun(path) for file in files)]


def _begun(path: Path) -> list[str]:
    """The runs in a folder, complete or not, in order."""
    found = [one.parent.name for one in path.glob(f"*/{Run.CONFIG}") if NAME.fullmatch(one.parent.name)]
    return sorted(found, key=lambda name: (len(name), name))


def _summary(path: Path) -> Summary:
    return read_json(path / SUMMARY, Summary, f"{AGAIN}, and writes it anew.")


def _names(path: Path) -> list[str]:
    """The names of all runs of a cross-validation, each of which is there and complete."""
    file, begun = path / SUMMARY, _begun(path)
    if file.is_file():
        names = list(_summary(path)["runs"])
        if not names or not all(map(NAME.fullmatch, names)):
            raise InputError(f"{file} is damaged: it must name runs, as fold1; it names {names}. {AGAIN}.", file)
    elif begun:
        fold = Run(path / begun[0]).config.fold
        names = [f"fold{number}" for number in range(1, 1 + int(fold.partition("/")[2]))] if fold else begun
    else:
        raise InputError(f"{path} is no cross-validation. Give the folder that crossval --out filled.")
    missing = [name for name in names if not all((path / name / one).is_file() for one in (Run.CONFIG, Run.BEST))]
    if missing or not file.is_file():
        lack = f"it lacks the nets of {', '.join(missing)} of {names[0]} to {names[-1]}"
        raise InputError(
            f"All runs of a cross-validation must be complete; {path} is not: "
            f"{lack if missing else f'{SUMMARY}, which is written at the end, is not there'}. {AGAIN}; {Run.CONFIG} of "
            f"{(begun or names)[0]} has it. A run that is complete can be used alone, by its own folder."
        )
    return names


def _check_alike(runs: dict[str, Run]) -> None:
    """Raise InputError where a run is of other sizes or another kind than most."""
    kinds = {
        name: {
            "sizes": (run.geometry.depth, run.geometry.padding),
            "classes": run.classes,
            "channels": run.normalisation.channels,
            "pixels": run.normalisation.dtype,
            "files of a picture": run.channels,
            "masks": replace(run.masks, neck=0.0, smallest=1, filled=False),  # measured on training objects
        }
        for name, run in runs.items()
    }
    for what in next(iter(kinds.values())):
        usual = Counter(kind[what] for kind in kinds.values()).most_common(1)[0][0]
        if odd := [f"{name} has {kind[what]}" for name, kind in kinds.items() if kind[what] != usual]:
            raise InputError(
                f"All runs of a cross-validation must have the same {what}; the others have {usual}, and "
                f"{', '.join(odd)}. Take it out of the folder, and do it again by the same crossval command."
            )
