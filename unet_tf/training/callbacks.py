"""What goes along with `model.fit`: the clock, a guard for what goes wrong, sample predictions, the files of a run."""

from __future__ import annotations

import logging
import math
import numbers
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import fill_nodata
from unet_tf.data.samples import Sample
from unet_tf.errors import InputError
from unet_tf.evaluation.best_epoch import ABSENT, BY_LOSS, peak_row
from unet_tf.evaluation.metrics import MeanIoU
from unet_tf.evaluation.panels import write_panel
from unet_tf.model.calibration import BEST
from unet_tf.model.unet import geometry_of
from unet_tf.plan import Plan
from unet_tf.prediction.predict import predict
from unet_tf.tiling import default_tile
from unet_tf.training.checkpoint import State
from unet_tf.training.run_writer import RunWriter
from unet_tf.training.strategy import learning_rate
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look

log = logging.getLogger("unet_tf")

WARM_UP = 0.02
"""Share of the run in which the learning rate rises."""
COOL_DOWN = 0.5
"""Share of the run in which the learning rate falls."""
BEFORE = "seconds_before"
"""Column of `history.csv`, where time limits a run: what reading, planning and the first step, which is traced in it,
took of it."""
COLLAPSED = 3
"""Epochs of predicting one class alone after which that is said."""
SHOWN = 512
"""Side of the part of an image that sample predictions show, pixels."""


def check_time(minutes: float, seconds: float, what: str, begun: bool = False) -> float:
    """Seconds that a run has left of its minutes; raises InputError where something took all of them."""
    if seconds < minutes * 60:
        return minutes * 60 - seconds
    again = (
        "Go on with it (train --resume RUN; crossval: the same command), as files are read faster now, or begin in "
        "another --out with more --minutes."
    )
    raise InputError(
        f"A run must have time to train; {what} took all of its {minutes:g} minutes ({seconds:.0f} s). "
        f"{again if begun else 'Train with more --minutes, or with --epochs.'}"
    )


class RunClock(keras.callbacks.Callback):
    """Sets the learning rate by how much of the run is done, and ends the run when its time is up.

    The share done is the larger of epochs done / epochs and minutes used / minutes, so that the rate reaches zero
    whichever limit comes first. What the last validation of this process took is kept free at the end.

    Args:
        plan: its epochs, minutes, steps of an epoch, learning rate and threshold count.
        start: `time.monotonic()` when the run began; where it goes on, when it would have begun, had it never been
            stopped.
        epochs_done: complete epochs, where a run goes on.
        on_progress: called with (done, in all) after each step: seconds of a run limited by time, else steps.
        absent: number of classes that no pixel has which validation looks at.
        before: seconds that were no training yet (`BEFORE`), where a run goes on.
    """

    def __init__(
        self,
        plan: Plan,
        start: float,
        epochs_done: int = 0,
        on_progress: Progress = unseen,
        absent: int = 0,
        before: float | None = None,
    ) -> None:
        super().__init__()
        self.absent, self.by_loss = absent, plan.threshold == BEST
        self.seconds, self.steps_in_all = plan.minutes * 60, plan.epochs * plan.steps_per_epoch
        self.peak, self.start, self.before = plan.learning_rate, start, before
        self.step, self.on_progress = epochs_done * plan.steps_per_epoch, on_progress
        self.began, self.share_then = time.monotonic(), 0.0
        self.used = None if before is None else self.began - start
        self.traced = False
        self.validation_start = self.validation_seconds = 0.0

    @property
    def share(self) -> float:
        """Share of the run that is done, in [0, 1]; it begins after the first step."""
        before = self.before or 0.0
        usable = max(self.seconds - self.validation_seconds - before, 1e-9)
        by_time = (time.monotonic() - self.start - before) / usable
        return min(1.0, max(self.step / self.steps_in_all, by_time))

    def learning_rate(self, share: float) -> float:
        """Linear warm-up, then the peak, then a linear fall to zero (constant with cooldown: Hägele et al., 2024)."""
        return self.peak * min(max(share, 1e-3) / WARM_UP, 1.0, (1 - share) / COOL_DOWN)

    def on_train_begin(self, logs: Any = None) -> None:
        """Note where this process begins; a run without an epoch must have time left.

        Raises:
            InputError: it has none.
        """
        self._begin()
        check_time(self.seconds / 60, self.before or 0.0, "what comes before the first step", begun=True)

    def _begin(self) -> None:
        """Begin to count time as that of training: what was before it in this process was none.

        A run that goes on does so where it stopped: to read and to trace again is no time of it.
        """
        self.began = time.monotonic()
        if self.used is None:
            self.before = self.began - self.start
        else:
            self.start = self.began - self.used
        self.share_then = self.share

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate of the step."""
        self.model.optimizer.learning_rate = self.learning_rate(self.share)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the step, the first as none of the time, since it is traced; stop where the time is up."""
        self.step += 1
        if not self.traced:
            self.traced = True
            self._begin()
            if self.step == 1 and self.share >= 1 and self.seconds < math.inf:
                log.warning(
                    f"The first step, which is traced, took what was left of the {self.seconds / 60:g} minutes: the "
                    "net was trained for one step. Train with more --minutes, or with --epochs."
                )
        if self.seconds < math.inf:
            self.on_progress(min(int(time.monotonic() - self.start), int(self.seconds)), int(self.seconds))
            if self.share >= 1:
                self.model.stop_training = True
        else:
            self.on_progress(self.step, int(self.steps_in_all))

    def on_test_begin(self, logs: Any = None) -> None:
        """Note when validation began."""
        self.validation_start = time.monotonic()

    def on_test_end(self, logs: Any = None) -> None:
        """Note how long validation took."""
        self.validation_seconds = time.monotonic() - self.validation_start

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Add learning rate, seconds and what an epoch is judged by to its line, and say it."""
        logs["learning_rate"] = learning_rate(self.model)
        logs["seconds"] = round(time.monotonic() - self.start, 1)
        if self.seconds < math.inf:
            logs[BEFORE] = round(self.before or 0.0, 1)
        if self.absent:
            logs[ABSENT] = self.absent
        if self.by_loss and "val_loss" in logs:
            logs[BY_LOSS] = 1
        if self.seconds < math.inf and self.share >= 1:
            self.model.stop_training = True  # another epoch would have no time to learn
        log.info(f"{epoch_line(epoch, logs)}  {self._left()}".rstrip())

    def _left(self) -> str:
        gained = self.share - self.share_then
        if gained <= 0:  # a step an epoch, of which the first does not count
            return ""
        left = (time.monotonic() - self.began) * (1 - self.share) / gained
        return f"{left / 60:.0f} min left" if left >= 60 else f"{left:.0f} s left"


def epoch_line(epoch: int, logs: dict[str, Any]) -> str:
    """An epoch, counted from 0, in one line."""
    line = f"epoch {epoch + 1:4d}  {logs['seconds']:6.0f} s  loss {logs['loss']:.4f}"
    if "val_loss" not in logs:
        return f"{line}  mean IoU of the training tiles {logs['mean_iou']:.4f}"
    line += f"  validation loss {logs['val_loss']:.4f}  validation mean IoU {logs['val_mean_iou']:.4f}"
    return line + _lacks(logs)


def _lacks(logs: dict[str, Any]) -> str:
    """How many classes a validation mean IoU cannot judge, where there are some."""
    return f" (no pixel that is looked at is of {logs[ABSENT]} of the classes)" if logs.get(ABSENT) else ""


class Guard(keras.callbacks.Callback):
    """Ends a run whose loss is not finite, and warns of one that has come to predict a single class.

    Args:
        class_shares: share of each class in the training pixels, by name.
        files: names of the images in the batch of a step, counted from 0 over the whole run.
        epochs_done: complete epochs, where a run goes on.
        steps: of an epoch.

    Attributes:
        line: what the run itself says of the last epoch, before callbacks of others add to it.
    """

    def __init__(
        self,
        class_shares: dict[str, float],
        files: Callable[[int], Sequence[str]],
        epochs_done: int,
        steps: int,
    ) -> None:
        super().__init__()
        self.class_shares, self.files = class_shares, files
        self.step, self.collapsed = epochs_done * steps, 0
        self.line: dict[str, Any] = {}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Count the step.

        Raises:
            InputError: the loss is not finite; the files of the epochs before stay.
        """
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"A loss must be finite; it is {logs['loss']} in step {self.step + 1}, on tiles of "
                f"{', '.join(sorted(set(self.files(self.step))))}. What the run saved before stays. Lower "
                f"--learning-rate ({learning_rate(self.model):.2g} in this step), choose --precision "
                "bfloat16 or float32 if it is float16, and look at these files with unet-tf check."
            )
        self.step += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Count the classes that are predicted; warn where that is one for several epochs.

        Raises:
            InputError: the validation loss is not finite; the files of the epochs before stay.
        """
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise InputError(
                f"A validation loss must be finite; it is {logs['val_loss']} after epoch {epoch + 1}. What the run "
                "saved before stays. Lower --learning-rate."
            )
        if self.model.distribute_strategy.num_replicas_in_sync == 1:  # to read a metric, all replicas must take part
            logs["classes_predicted"] = self._classes_predicted()
        self.line = dict(logs)

    def _classes_predicted(self) -> int:
        metrics = [one for group in self.model.metrics for one in getattr(group, "metrics", [group])]
        metric = next(one for one in metrics if isinstance(one, MeanIoU))  # holds what was counted last
        confusion = np.array(metric.confusion)  # (C, C), rows: true classes
        predicted = np.flatnonzero(confusion.sum(0))
        # where validation pixels have no other class, there is nothing else to predict
        collapsed = len(predicted) == 1 and confusion.sum() > confusion[predicted[0]].sum()
        self.collapsed = self.collapsed + 1 if collapsed else 0
        if self.collapsed == COLLAPSED:
            shares = ", ".join(f"{name} {share:.2%}" for name, share in self.class_shares.items())
            log.warning(
                f"For {COLLAPSED} epochs the net has predicted {list(self.class_shares)[predicted[0]]} alone (training "
                f"pixels: {shares}). Try --class-balance, --rare-share 0.5 or another --learning-rate."
            )
        return len(predicted)


class SamplePredictions(keras.callbacks.Callback):
    """Draws the prediction of one image after the epochs 1, 2, 4, 8, ... into `progress/`.

    It is a validation image, or a training image where none is held out.

    Args:
        writer: of the run folder.
        sample: the image, its middle part if it is large.
        normalise: raw pixels -> what the net takes.
        classes: names of the classes.
        masks: in whose colours to draw.
    """

    def __init__(
        self,
        writer: RunWriter,
        sample: Sample,
        normalise: Callable[..., Any],
        classes: tuple[str, ...],
        masks: MaskFormat,
    ) -> None:
        super().__init__()
        middle = tuple(slice(max(0, (n - SHOWN) // 2), max(0, (n - SHOWN) // 2) + SHOWN) for n in sample.label.shape)
        self.writer, self.name, self.classes, self.masks = writer, sample.name, classes, masks
        self.raw, self.label, self.normalise = sample.image[middle], sample.label[middle], normalise
        self.image = fill_nodata(self.raw, sample.nodata)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Draw, after epochs that are a power of two."""
        number = epoch + 1
        if number & (number - 1):
            return
        title = f"{self.name} after epoch {number}"
        if "val_mean_iou" in logs:
            title += f": validation mean IoU {logs['val_mean_iou']:.3f}{_lacks(logs)}"
        tile = default_tile(geometry_of(self.model))  # as validation has them, whatever memory is free now
        prediction = predict(self.model, self.normalise(self.raw), tile=tile)
        write_panel(self.writer.panel(number), title, self.image, self.label, prediction, self.classes, self.masks)


class RunFiles(keras.callbacks.Callback):
    """Writes the files of a run after each epoch, and ends a run that stands still.

    Args:
        writer: of the run folder.
        patience: epochs without a better validation score after which training ends; infinite for no end.
        state: of the run so far; grows.
        own: what the run itself says of the epoch, which the callbacks of others cannot change.
    """

    def __init__(
        self, writer: RunWriter, patience: float, state: State, own: Callable[[], dict[str, Any]] = dict
    ) -> None:
        super().__init__()
        self.writer, self.patience, self.state, self.own = writer, patience, state, own
        self.left_out: set[str] = set()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save, compare, and stop where patience is at its end."""
        self.state.history.append({"epoch": epoch} | self._numbers(logs) | self._numbers(self.own()) | {"epoch": epoch})
        if epoch - peak_row(self.state.history)["epoch"] >= self.patience:
            self.model.stop_training = True
        self.state.finished = bool(self.model.stop_training) or epoch + 1 == self.params["epochs"]
        self.writer.save(self.model, self.state)

    def _numbers(self, logs: dict[str, Any]) -> dict[str, int | float]:
        """What of the logs is a number, as Python's own; the rest is named once and left out."""
        found = {str(name): as_number(value) for name, value in logs.items()}
        if lost := [name for name, value in found.items() if value is None and name not in self.left_out]:
            self.left_out.update(lost)
            log.warning(f"The history of a run holds numbers; {', '.join(lost)} of a callback's logs is left out.")
        return {name: value for name, value in found.items() if value is not None}


def as_number(value: Any) -> int | float | None:
    """A number of Python, NumPy or TensorFlow, or an array of one, as Python's own; None for all else."""
    if not isinstance(value, numbers.Number) and hasattr(value, "__array__"):
        try:
            value = np.asarray(value).reshape(-1)
        except Exception:  # whatever a foreign type raises: it is no number
            return None
        value = value.tolist()[0] if value.size == 1 else None
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else None


class Looking(keras.callbacks.Callback):
    """Ends training between two steps, tiles of validation or epochs where a signal has told it to stop.

    It is the last of the callbacks, so that what the others do after a step or an epoch is done.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look after a step."""
        look()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look after a tile of validation."""
        look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look after the files of an epoch are written."""
        look()
