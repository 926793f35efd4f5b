"""Pictures of samples, predictions and runs, as a notebook shows them: each function gives matplotlib axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unet_tf.data.drawing import colour, displayable
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.mistakes import COLOURS, KINDS, draw_mistakes, mistakes
from unet_tf.labels import VOID, check_ids
from unet_tf.model.calibration import HALF, Calibration, label_of

if TYPE_CHECKING:
    from keras.callbacks import History
    from matplotlib.axes import Axes

    from unet_tf.run import Run

LEARNT, HELD_OUT = "#0072b2", "#d55e00"


def show(
    image: ArrayLike,
    label: ArrayLike | None = None,
    prediction: ArrayLike | None = None,
    masks: MaskFormat | None = None,
    titles: Sequence[str] = (),
    threshold: float = HALF,
) -> NDArray[Any]:
    """Show an image beside its label and its prediction.

    Args:
        image: (H, W) or (H, W, C) raw or normalised pixels, stretched to be seen.
        label: (H, W) or (H, W, 1) class ids, or (H, W, num_classes) probabilities.
        prediction: likewise. Of floats, (H, W) or (H, W, 1) are the probability of class 1 of two.
        masks: whose colours the classes have; None for colours that people of all kinds of sight tell apart.
        titles: above the panels; left out, "image", "truth", "prediction".
        threshold: of two classes with probabilities: a pixel is class 1 where its probability is larger.

    Returns:
        (panels,) matplotlib axes.

    Raises:
        InputError: sizes differ, or the threshold is not between 0 and 1.

    Example:
        >>> from unet_tf import generate_vessels
        >>> [axes.get_title() for axes in show(*generate_vessels(64, 64))]
        ['image', 'truth']
    """
    picture = _picture(image)
    panels = {"image": displayable(picture)}
    for name, ids in ("truth", label), ("prediction", prediction):
        if ids is not None:
            found = _ids(ids, threshold)
            _check_sizes(picture, found)
            panels[name] = colour(found, masks)
    names = list(titles) or list(panels)
    if len(names) != len(panels):
        raise InputError(f"There must be a title for each of {len(panels)} panels; received {len(names)}.")
    row = _row(len(panels), picture.shape)
    for axes, name, panel in zip(row, names, panels.values(), strict=True):
        axes.imshow(panel, interpolation="nearest")
        axes.set_title(name)
        axes.set_axis_off()
    return row


def show_errors(
    image: ArrayLike, label: ArrayLike, prediction: ArrayLike, threshold: float = HALF, background: bool = True
) -> Axes:
    """Show where a prediction is wrong, over the dimmed image.

    Args:
        image: (H, W) or (H, W, C) pixels.
        label: (H, W) or (H, W, 1) class ids; void is ignored.
        prediction: likewise, or (H, W, num_classes) probabilities, or, of floats, (H, W) or (H, W, 1) the probability
            of class 1 of two.
        threshold: as of `show`.
        background: whether class 0 is what lies around the others; of classes such as sky, road and car it is not, and
            every mistake is one of the class, as in the report of a net whose first class is not called background.

    Returns:
        The axes. Each kind of mistake has the colour of the report: foreground that was missed, that is not there, of
        another class, or that joins two objects (`unet_tf.evaluation.mistakes`).

    Raises:
        InputError: sizes differ, or the threshold is not between 0 and 1.

    Example:
        >>> label = np.eye(4, dtype=int)
        >>> show_errors(np.zeros((4, 4)), label, 0 * label).get_title()
        '4 px missed'
    """
    from matplotlib.patches import Patch

    picture, truth, found = _picture(image), _ids(label), _ids(prediction, threshold)
    _check_sizes(picture, truth)
    _check_sizes(picture, found)
    kinds = mistakes(truth, found, background)
    (axes,) = _row(1, picture.shape)
    axes.imshow(draw_mistakes(picture, kinds), interpolation="nearest")
    counts = {name: int((kinds == number).sum()) for number, name in enumerate(KINDS, start=1)}
    axes.set_title(", ".join(f"{count:,} px {name}" for name, count in counts.items() if count) or "no mistake")
    handles = [
        Patch(color=(shade[0] / 255, shade[1] / 255, shade[2] / 255), label=name)
        for (name, count), shade in zip(counts.items(), COLOURS, strict=True)
        if count
    ]
    if handles:
        axes.legend(handles=handles, loc="upper right")
    axes.set_axis_off()
    return axes


def show_history(
    history: Run | History | Sequence[Mapping[str, Any]] | Mapping[str, Sequence[float]], validation_freq: int = 1
) -> NDArray[Any]:
    """Plot loss and mean IoU by epoch.

    Args:
        history: what `unet_tf.train` or `model.fit` returns, or the history of it: a row an epoch, or a list a name.
        validation_freq: epochs from one validation to the next, as `fit` was told.

    Returns:
        (2,) matplotlib axes: loss, mean IoU.

    Raises:
        InputError: there is no epoch, or another number of validations than one every `validation_freq` epochs.

    Example:
        >>> [axes.get_ylabel() for axes in show_history({"loss": [1, 0.5], "mean_iou": [0.4, 0.6]})]
        ['loss', 'mean IoU']
    """
    found: Any = getattr(history, "history", history)
    found = found() if callable(found) else found  # that of a run
    columns = dict(found) if isinstance(found, Mapping) else _columns(found)
    epochs = len(columns.get("loss", ()))
    if not epochs:
        raise InputError("A history must have one epoch at least, with its loss; this one has none.")
    if validation_freq < 1:
        raise InputError(f"validation_freq must be 1 epoch or more, as fit was told; received {validation_freq}.")
    validated = np.arange(validation_freq, epochs + 1, validation_freq)
    for key in ("val_loss", "val_mean_iou"):
        if len(columns.get(key, ())) not in (0, len(validated)):
            raise InputError(
                f"Validation must come every validation_freq epochs: {epochs} epochs with one every {validation_freq} "
                f"have {len(validated)} values of {key}; received {len(columns[key])}. Say it as fit was told, or "
                f"leave {key} out."
            )
    row = _row(2, (3, 5))
    for axes, name in zip(row, ("loss", "mean_iou"), strict=True):
        for key, shade, who, numbers in (
            (name, LEARNT, "training (augmented)", np.arange(1, epochs + 1)),
            (f"val_{name}", HELD_OUT, "validation", validated),
        ):
            if len(columns.get(key, ())):
                values = np.asarray(columns[key], float)
                axes.plot(numbers, values, color=shade, label=who, marker="." if len(values) < 3 else "")
        axes.set(xlabel="epoch", ylabel=name.replace("_iou", " IoU"))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    row[0].legend(frameon=False)
    row[1].set_ylim(0, 1)
    return row


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    names = ("loss", "val_loss", "mean_iou", "val_mean_iou")
    return {name: [float(row[name]) for row in rows] for name in names if rows and rows[0].get(name) not in (None, "")}


def _picture(image: ArrayLike) -> NDArray:
    """(H, W, C)."""
    found = np.asarray(image)
    if found.ndim not in (2, 3):
        raise InputError(f"An image is (H, W) or (H, W, C); received shape {found.shape}.")
    return found if found.ndim == 3 else found[..., None]


def _ids(label: ArrayLike, threshold: float = HALF) -> NDArray[np.uint8]:
    """(H, W) class ids of ids or probabilities."""
    found, half = np.asarray(label), Calibration(threshold=threshold).threshold
    found = found[..., 0] if found.shape[2:] == (1,) else found
    if found.ndim not in (2, 3):
        raise InputError(f"A label is (H, W) ids or (H, W, classes) probabilities; received shape {found.shape}.")
    if found.ndim == 2 and not (found.dtype.kind == "f" and (found % 1).any()):
        check_ids(found, VOID)
        return found.astype(np.uint8)
    if not (found.min() >= 0 and found.max() <= 1):  # NaN is neither
        raise InputError(f"Probabilities must lie in [0, 1]; received {found.min():g} to {found.max():g}.")
    if found.ndim == 2:
        found = np.stack([1 - found, found], axis=-1)
    if half != HALF and found.shape[-1] != 2:
        raise InputError(f"A threshold separates two classes; received probabilities of {found.shape[-1]}.")
    return label_of(found, half)


def _check_sizes(image: NDArray, label: NDArray) -> None:
    if image.shape[:2] != label.shape:
        raise InputError(f"Image and label must be of one size; received {image.shape[:2]} and {label.shape}.")


def _row(panels: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """(panels,) axes of a new figure, for panels of this shape."""
    import matplotlib.pyplot as plt

    height = float(np.clip(4 * shape[0] / shape[1], 1.5, 8))
    _, row = plt.subplots(1, panels, figsize=(4 * panels, height + 0.4), squeeze=False, layout="constrained")
    return row[0]
