"""`last.keras`: the one file from which a run goes on, replaced as a whole after each epoch."""

from __future__ import annotations

import errno
import json
import warnings
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from unet_tf.errors import InputError
from unet_tf.evaluation.best_epoch import best_row
from unet_tf.run import Run
from unet_tf.utils.files import replacing, unreadable


@dataclass
class State:
    """What a run knows besides weights and optimizer.

    Everything else that a run has to know follows from it: tiles are functions of their number, the schedule is a
    function of the steps done and the seconds used.

    Attributes:
        history: one row an epoch: "epoch" from 0, loss, scores, learning rate, seconds of the run so far.
        finished: whether the run came to its end.
        generators: state of the random generator of each dropout layer, in their order; Keras does not save it.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False
    generators: list[list[int]] = field(default_factory=list)

    @property
    def best(self) -> int:
        """Number of the epoch whose net is kept (`best_row`); 0 before the first."""
        return best_row(self.history)["epoch"] if self.history else 0


def save_checkpoint(model: keras.Model, path: Path, state: State) -> None:
    """Write net, optimizer and state into one file, whole or not at all.

    Raises:
        InputError: the system refuses to write; what was there stays.
    """
    state.generators = [generator.numpy().tolist() for generator in _generators(model)]
    _write(model, path, state)


def replace_net(path: Path, model: keras.Model) -> None:
    """Put a changed net in the place of that in `best.keras`, whole or not at all.

    Raises:
        InputError: the file is damaged, or of no training.
    """
    state = kept_state(path)
    if state is None:
        raise InputError(f"{path} is damaged, or not the net of this run. Train anew.", path)
    _write(model, path, state)


def kept_state(path: Path) -> State | None:
    """What a file of a run knows besides its net; None where there is none that does."""
    try:
        return _read(path)
    except (OSError, zipfile.BadZipFile, LookupError, ValueError, TypeError):
        return None


def restore_checkpoint(model: keras.Model, path: Path) -> State:
    """Load net and optimizer into a compiled model, and return the state.

    Raises:
        InputError: the file cannot be read, is damaged, or not of this net.
        MemoryError: the memory does not hold it, nor that of the device (ResourceExhaustedError).
    """
    try:
        state = _read(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Skipping variable loading")  # Keras' optimizer would begin anew
            model.load_weights(path)
        for generator, value in zip(_generators(model), state.generators, strict=True):
            generator.assign(value)
    except (MemoryError, tf.errors.ResourceExhaustedError):  # a whole file
        raise
    except Exception as error:  # Keras and h5py raise whatever they meet in a file that is none
        # of the system; those of h5py have no number, and a place before the begin of a file is of a damaged one
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise unreadable(path, error) from error
        raise InputError(f"{path} is damaged, or no checkpoint of this run: {error}. Train anew.", path) from error
    return state


def _write(model: keras.Model, path: Path, state: State) -> None:
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(Run.STATE, json.dumps(asdict(state)))


def _read(path: Path) -> State:
    with zipfile.ZipFile(path) as archive:
        return _state(json.loads(archive.read(Run.STATE)))


def _state(stored: dict[str, Any]) -> State:
    """The state that was stored.

    Raises:
        ValueError: it is none.
        TypeError: it is none.
    """
    state = State(**stored)
    if not isinstance(state.finished, bool):
        raise ValueError(f"finished must be true or false; it is {state.finished!r}")
    for number, row in enumerate(state.history):
        numbers = row.get("val_mean_iou", 0.0), row["seconds"]  # without validation there is none
        if row["epoch"] != number or not all(isinstance(value, (int, float)) for value in numbers):
            raise ValueError(f"its history has no whole row for epoch {number}")
    return state


def _generators(model: keras.Model) -> list[Any]:
    return [layer.seed_generator.state for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
