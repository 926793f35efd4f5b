"""What a runtime has to know of an exported net."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict, get_type_hints

from unet_tf.data.channels import ALL, Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import PLAIN, Calibration, check_threshold
from unet_tf.utils.files import tuples
from unet_tf.utils.typed_json import read_json

BUNDLE_NET, BUNDLE_DESCRIPTION = "model.keras", "bundle.json"
"""Files of a bundle: the net of Keras, and what the bundle says of it."""
SAVED_MODEL, SAVED_MODEL_BFLOAT16 = "saved_model/1", "saved_model_bfloat16/1"
"""Folders of a bundle: the SavedModels of its own net."""
SAVED_WEIGHTS = "variables/variables.data-00000-of-00001"
"""File of a SavedModel by whose SHA-256 a net is known."""
MOST_DEPTH, MOST_TILE = 16, 1 << 16
"""Larger ones are no net's: a file that says so is damaged."""


class TrainedScores(TypedDict, total=False):
    """Scores of the run that was exported, where it was evaluated.

    Attributes:
        mean_iou: of the classes that occur, in [0, 1].
        iou: by class.
        pictures: number of those with a known pixel that were scored, none of which the net that did so was trained on.
    """

    mean_iou: float | None
    iou: dict[str, float | None]
    pictures: int  # none in files of earlier versions


class DataOrigin(TypedDict):
    """The pictures that the net was trained on.

    Attributes:
        fingerprint: SHA-256 of the sorted SHA-256 of the training pictures.
        train: number of training pictures.
        val: number of validation pictures.
    """

    fingerprint: str
    train: int
    val: int


@dataclass(frozen=True)
class Origin:
    """Where an exported net comes from.

    Attributes:
        unet_tf: version of this package that exported it.
        versions: of Python and the packages, by name.
        scores: of the run, where it was evaluated.
        data: what it was trained on.
        max_iou_drop: largest loss of mean IoU against Keras that the export allowed.
    """

    unet_tf: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    scores: TrainedScores = field(default_factory=TrainedScores)
    data: DataOrigin = field(default_factory=lambda: DataOrigin(fingerprint="", train=0, val=0))
    max_iou_drop: float = 0.0


class _Objects(TypedDict, total=False):  # none in files of version 0.1
    values: list[int]
    border: int
    neck: float
    smallest: int
    filled: bool


class _Masks(_Objects):
    kind: str
    inverted: bool
    tolerance: float


class _Scaling(TypedDict):
    mean: list[float]
    std: list[float]


class _Normalisation(_Scaling, total=False):
    nodata: list[float]  # none in files of version 0.1


class _Channels(TypedDict):
    picked: list[str]
    suffixes: list[str]
    context: int
    names: list[str]


class _Calibration(TypedDict):
    temperature: float
    threshold: float


class _Added(TypedDict, total=False):
    channels_of_files: _Channels  # none in files of version 0.1
    nets: int  # likewise
    calibration: _Calibration  # likewise


class StoredDescription(_Added):
    """The fields of `bundle.json`, and of the metadata of each TFLite and ONNX file.

    Attributes:
        classes: names, by id.
        palette: RGB of each class; empty where masks have no colours.
        void: values or colours that are ignored.
        masks: how masks are drawn, beside classes, palette and void.
        pixel_type: of the images.
        channels: of the images.
        channels_of_files: how these come from picture files; each is taken in `names`, the files' own order.
        nets: how many nets' probabilities are averaged in each graph.
        calibration: temperature of the probabilities and threshold of two classes, both of which are in the graphs.
        normalisation: mean, standard deviation of each channel, values of no measurement; raw pixel values.
        depth: poolings of the net.
        padding: "valid" or "same".
        stride: side of the pooling grid, pixels.
        halo: pixels to read around a tile, on each side.
        margin: pixels to cut off each side of the net's output.
        tile: side of the static input, pixels.
        output: side of the static output, pixels.
        step: pixels of the output that count, from `margin` on.
        unet_tf: as in `Origin`, like all that follow.
    """

    classes: list[str]
    palette: list[list[int]]
    void: list[int | list[int]]
    masks: _Masks
    pixel_type: str
    channels: int
    normalisation: _Normalisation
    depth: int
    padding: str
    stride: int
    halo: int
    margin: int
    tile: int
    output: int
    step: int
    unet_tf: str
    versions: dict[str, str]
    scores: TrainedScores
    data: DataOrigin
    max_iou_drop: float


@dataclass(frozen=True)
class Description:
    """What a runtime has to know of an exported net: `bundle.json`, and the metadata of each TFLite and ONNX file.

    Attributes:
        classes: their names, by id.
        masks: how masks are drawn.
        normalisation: pixel type and channels of the images; mean and standard deviation, which are in the graphs.
        geometry: sizes of the net.
        tile: side of the static input of the TFLite files, pixels.
        origin: where it comes from.
        channels: how the channels of the images come from picture files.
        nets: how many nets' probabilities are averaged in each graph.
        calibration: how logits become probabilities and labels.
    """

    classes: tuple[str, ...]
    masks: MaskFormat
    normalisation: Normalisation
    geometry: Geometry
    tile: int
    origin: Origin = field(default_factory=Origin)
    channels: Channels = ALL
    calibration: Calibration = PLAIN
    nets: int = 1

    def to_json(self) -> StoredDescription:
        """Give everything as JSON types."""
        geometry, masks = self.geometry, self.masks
        return {
            "classes": list(self.classes),
            "palette": [list(colour) for colour in masks.colours],
            "void": [list(value) if isinstance(value, tuple) else value for value in masks.void],
            "masks": {
                "kind": masks.kind,
                "inverted": masks.inverted,
                "tolerance": masks.tolerance,
                "values": list(masks.values),
                "border": masks.border,
                "neck": masks.neck,
                "smallest": masks.smallest,
                "filled": masks.filled,
            },
            "pixel_type": self.normalisation.dtype,
            "channels": self.normalisation.channels,
            "channels_of_files": {name: _listed(value) for name, value in asdict(self.channels).items()},
            "nets": self.nets,
            "calibration": {"temperature": self.calibration.temperature, "threshold": self.calibration.threshold},
            "normalisation": {name: list(getattr(self.normalisation, name)) for name in ("mean", "std", "nodata")},
            "depth": geometry.depth,
            "padding": geometry.padding,
            "stride": geometry.stride,
            "halo": geometry.halo,
            "margin": geometry.margin,
            "tile": self.tile,
            "output": geometry.output_size(self.tile),
            "step": geometry.tile_step(self.tile),
            **asdict(self.origin),  # type: ignore[typeddict-item]
        }

    @classmethod
    def restore(cls, stored: StoredDescription) -> Description:
        """Make a description of the JSON that `to_json` gave.

        Raises:
            ValueError: its values are no net's, or contradict each other.
        """
        if not 0 <= stored["depth"] <= MOST_DEPTH or not 0 < stored["tile"] <= MOST_TILE:
            raise ValueError(
                f"depth must be 0 to {MOST_DEPTH} and tile 1 to {MOST_TILE}; received {stored['depth']} and "
                f"{stored['tile']}"
            )
        if stored.get("nets", 1) < 1:
            raise ValueError(f"nets must be 1 or more; received {stored['nets']}")
        masks, channels = stored["masks"], stored.get("channels_of_files", {})
        for where, given, form in (("masks", masks, _Masks), ("channels_of_files", channels, _Channels)):
            if unknown := given.keys() - get_type_hints(form).keys():
                raise ValueError(f"{where} must not have the field {min(unknown)!r}")
        found = cls(
            tuple(stored["classes"]),
            MaskFormat(
                num_classes=len(stored["classes"]),
                colours=tuples(stored["palette"]),
                void=tuples(stored["void"]),
                **{name: tuples(value) for name, value in masks.items()},
            ),
            _normalisation(stored),
            Geometry(stored["depth"], stored["padding"]),
            stored["tile"],
            Origin(**{name: stored[name] for name in asdict(Origin())}),  # type: ignore[literal-required]
            Channels.restore(channels),
            _calibration(stored),
            stored.get("nets", 1),
        )
        again = found.to_json()
        for name in ("channels", "stride", "halo", "margin", "output", "step"):
            if stored[name] != again[name]:
                raise ValueError(f"{name} must be {again[name]} by the other values; received {stored[name]}")
        return found


def read_bundle(path: Path) -> Description:
    """Read what a bundle says of its nets.

    Raises:
        InputError: its file is damaged or of another version.
    """
    file = path / BUNDLE_DESCRIPTION
    return restored(file, read_json(file, StoredDescription, "Export again."))


def restored(file: Path, stored: StoredDescription) -> Description:
    """Make a description of what a `bundle.json` holds.

    Raises:
        InputError: its values are no net's.
    """
    try:
        return Description.restore(stored)
    except ValueError as error:
        raise InputError(f"{file} is damaged or of another version: {error}. Export again.", file) from error


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _calibration(stored: StoredDescription) -> Calibration:
    found = stored.get("calibration")
    if found is None:
        return PLAIN
    check_threshold(found["threshold"], tuple(stored["classes"]))
    return Calibration(found["temperature"], found["threshold"])


def _normalisation(stored: StoredDescription) -> Normalisation:
    known = stored["normalisation"]
    mean, std, nodata = tuple(known["mean"]), tuple(known["std"]), tuple(known.get("nodata", ()))
    return Normalisation(mean, std, stored["pixel_type"], nodata)
