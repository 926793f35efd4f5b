"""A run folder as training writes it: lock, log, plan, pairs, checkpoint and what follows from it, panels."""

from __future__ import annotations

import contextlib
import csv
import logging
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import keras
import tomli_w

from unet_tf.data.folder import some
from unet_tf.data.samples import Samples
from unet_tf.errors import InputError
from unet_tf.evaluation.data_table import data_table
from unet_tf.evaluation.panels import write_samples, write_weights
from unet_tf.plan import Plan
from unet_tf.planning.ancestors import Ancestors, StoredAncestors
from unet_tf.planning.prepare import Prepared
from unet_tf.run import Run
from unet_tf.training.checkpoint import State, kept_state, restore_checkpoint, save_checkpoint
from unet_tf.utils.files import hold, release, replacing
from unet_tf.utils.text import argument
from unet_tf.utils.typed_json import write_json
from unet_tf.version import __version__

WRITTEN = (
    Run.FILES, Run.DATA, Run.ANCESTORS, Run.SAMPLES, Run.WEIGHTS, Run.PROGRESS, Run.CALIBRATION, Run.EVALUATION,
    Run.PANELS,
)  # fmt: skip
"""What training writes beside what tells a run; the log is no such file, as lines are added to its end."""


class LogFile(logging.Handler):
    """Keeps what the library says, from INFO on, until a file is opened; then it appends each line there."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.lines: list[str] = []
        self.path: Path | None = None

    def open(self, path: Path) -> None:
        """Append to `path` what was said, and from now on what is being said."""
        self.path = path
        self._write()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, or append it."""
        self.lines.append(self.format(record) + "\n")
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        # a full disk is said by the files that matter
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(self.lines)
        self.lines.clear()

    def __enter__(self) -> LogFile:
        logger = logging.getLogger("unet_tf")
        self.level_before = logger.level
        logger.addHandler(self)
        logger.addFilter(self._is_loud)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        return self

    def _is_loud(self, record: logging.LogRecord) -> bool:
        """Whether other handlers get a record; what is below the level that somebody chose goes into the file alone."""
        loud = record.levelno >= self.level_before
        for one in () if loud else logging.getLogger("unet_tf").handlers:  # another run may train beside this one
            if isinstance(one, LogFile):
                one.handle(record)
        return loud

    def __exit__(self, *error: object) -> None:
        logger = logging.getLogger("unet_tf")
        logger.removeHandler(self)
        logger.removeFilter(self._is_loud)
        logger.setLevel(self.level_before)


class RunWriter:
    """Writes one run folder.

    What the library says while it is open as a context goes into the log of the run, once the folder is locked.

    Args:
        path: the folder.

    Attributes:
        path: the same.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._log = path, LogFile()

    def __enter__(self) -> RunWriter:
        self._log.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._log.__exit__(*error)

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run, with which one can go on."""
        return (self.path / Run.CONFIG).exists()

    def check_free(self) -> None:
        """Raise InputError if the folder holds a run or files that a run would replace, or is a file."""
        names = Run.CONFIG, Run.HISTORY, Run.BEST, Run.LAST, Run.REPORT
        if taken := [name for name in names if (self.path / name).exists()]:
            raise InputError(
                f"{self.path} already holds a run ({', '.join(taken)}). Go on with it by --resume "
                f"{argument(self.path)}, choose another --out, or remove it first."
            )
        others = [name for name in WRITTEN if (self.path / name).exists()]
        if others and not (self.path / Run.LOCK).exists():  # which a run has that was killed before it had begun
            raise InputError(
                f"A run must not replace files of others; {self.path} holds {', '.join(others)}. Choose another --out, "
                "or move them."
            )
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file. Choose another --out for the folder of the run.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process train in the folder while the block runs, as far as `unet_tf.utils.files.held` can.

        Raises:
            InputError: another process does, or the folder cannot be made.
        """
        lock = self.path / Run.LOCK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.touch()
            handle = hold(lock, alone=True)
        except BlockingIOError as error:
            raise InputError(
                f"One process at a time must train in a run folder, and another does in {self.path}. Wait for its end, "
                "or choose another --out."
            ) from error
        except OSError as error:
            raise InputError(f"Cannot write into {self.path}: {error.strerror}. Choose another --out.") from error
        try:
            for left in self.path.glob(".*.keras"):  # by a process that was killed while it wrote
                left.unlink()
            yield
        finally:
            release(handle)

    def open_log(self) -> None:
        """Write what was said so far into the log, and from now on each line."""
        self._log.open(self.path / Run.LOG)

    def begin(self, plan: Plan, prepared: Prepared, data: Path) -> None:
        """Write the files that a new run has before its first step; the configuration is the last of them.

        Where that is, a run has begun, and can be gone on with.
        """
        self._save_pairs(prepared.splits)
        write_json(self.path / Run.DATA, data_table(prepared.splits))
        if plan.start_from:
            self._save_ancestors(prepared.before)
        write_samples(self.path / Run.SAMPLES, prepared.tiles(), prepared.masks)
        if plan.border_weight or plan.class_balance:
            write_weights(self.path / Run.WEIGHTS, prepared.splits["train"], prepared.masks)
        self._save_plan(plan, prepared, data)

    def _save_plan(self, plan: Plan, prepared: Prepared, data: Path) -> None:
        """Write every setting of a run and why it is that, the data, the versions and the command that made it."""
        backend = keras.backend.backend()
        stored = {
            "command": shlex.join(sys.argv),
            "train": {name: value for name, value in asdict(plan.config).items() if value is not None},
            "plan": dict(plan.reasons),
            "masks": asdict(prepared.masks),
            "normalisation": asdict(prepared.normalisation),
            "channels": asdict(prepared.channels),
            "data": {"path": str(data.resolve())},
            "versions": {
                "unet_tf": __version__,
                "python": platform.python_version(),
                "keras": keras.__version__,
                backend: import_module(backend).__version__,
            },
        }
        with replacing(self.path / Run.CONFIG) as temporary:
            temporary.write_text(tomli_w.dumps(stored), encoding="utf-8", errors="surrogateescape")

    def _save_pairs(self, splits: dict[str, Samples]) -> None:
        """Write which pair (split, name, sha256 of the image's pixels and of the label's) is used for what."""
        # names that are no UTF-8 keep their bytes
        with (
            replacing(self.path / Run.FILES) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("split", "name", "sha256", "label_sha256"))
            writer.writerows(_rows(splits))

    def _save_ancestors(self, before: Ancestors) -> None:
        """Write what the nets before this one were trained on, by which nothing it predicts can be judged."""
        stored: StoredAncestors = {"files": sorted(before.files), "unknown": list(before.unknown)}
        write_json(self.path / Run.ANCESTORS, stored)

    def check_pairs(self, splits: dict[str, Samples]) -> None:
        """Raise InputError where the data is no longer what the run began with."""
        before, now = Run(self.path).pairs(), set(_rows(splits))
        if changed := before ^ now:
            names = sorted({name for _, name, *_ in changed})
            gone, new = ({row[2:] for row in rows} for rows in (before - now, now - before))
            why = (
                " The files are the same, in other splits or under other names: folders that a word of a split tells "
                "apart, as uavid_train and uavid_val, are read as splits now, and were not by earlier versions."
            )
            raise InputError(
                f"A run goes on with the data that it began with; changed, gone or new since then: "
                f"{', '.join(names[:5])}{' and others' * (len(names) > 5)}.{why * (bool(new) and new <= gone)} Restore "
                "them, or train anew."
            )

    def restore(self, model: keras.Model) -> State:
        """Load the last complete epoch into a compiled model; the state of a new run where there is none.

        Raises:
            InputError: the checkpoint is damaged, or not of this net.
        """
        path = self.path / Run.LAST
        return restore_checkpoint(model, path) if path.exists() else State()

    def save(self, model: keras.Model, state: State) -> None:
        """Write `last.keras`, then what follows from it.

        A process that is killed between two files leaves a `last.keras` whose state tells what the others must be.
        """
        save_checkpoint(model, self.path / Run.LAST, state)
        self.save_derived(state)

    def save_derived(self, state: State) -> None:
        """Write `history.csv`, and `best.keras` where the last epoch of `last.keras` is the best one.

        The net of that epoch stays where it lies there already: the width of its borders may have been mended since.
        """
        if state.best == state.history[-1]["epoch"] and not self._kept(state):
            with replacing(self.path / Run.BEST) as temporary:
                shutil.copyfile(self.path / Run.LAST, temporary)
        with (
            replacing(self.path / Run.HISTORY) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            writer = csv.DictWriter(file, dict.fromkeys(name for row in state.history for name in row))
            writer.writeheader()
            writer.writerows(state.history)

    def _kept(self, state: State) -> bool:
        """Whether `best.keras` is of the last epoch already."""
        kept = kept_state(self.path / Run.BEST)
        return kept is not None and kept.history == state.history

    def panel(self, epoch: int) -> Path:
        """Where the sample prediction after so many epochs is drawn."""
        return self.path / Run.PROGRESS / f"epoch_{epoch:05d}.png"


def check_same_files(splits: dict[str, Samples], first: Run) -> None:
    """Raise InputError where a run would have other files than the first of the cross-validation that it is of."""
    before, now = ({row[1:] for row in rows} for rows in (first.pairs(), _rows(splits)))  # folds hold others out
    if changed := before ^ now:
        names = sorted({name for name, *_ in changed})
        raise InputError(
            f"All runs of a cross-validation must have the same files; changed, gone or new since {first.path.name} "
            f"began: {some(names)}. Restore them, or begin anew in another --out."
        )


def _rows(splits: dict[str, Samples]) -> Iterator[tuple[str, str, str, str]]:
    for split in (name for name in ("train", "val") if name in splits):
        for pair, one in zip(splits[split].pairs, splits[split].fingerprints, strict=True):
            yield split, pair.name, one.sha256, one.label_sha256
