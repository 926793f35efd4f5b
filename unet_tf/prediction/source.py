"""What is predicted by what: an array or a map and a net, on which all values of a result depend."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unet_tf.data.folder import ZARR
from unet_tf.data.maps import open_map
from unet_tf.data.volumes import TiffArray, Volume, open_volume
from unet_tf.prediction.calls import state_of
from unet_tf.prediction.engines import TENSORFLOW, resolve
from unet_tf.prediction.objects import cut_of
from unet_tf.prediction.predict import predictor_for
from unet_tf.prediction.predictor import Predictor

CUT, TURN, STATE = "cut", "orientation", "state"
"""What an array stores beside its settings: how its run tells objects apart (`unet_tf.prediction.objects.cut_of`) and
its file turns its image; and the one of these that says in which state its image was."""


@dataclass(frozen=True)
class Source:
    """What is predicted by what: all that the values of the result depend on.

    Attributes:
        net: folder of the run or bundle.
        model: SHA-256 of the net's file.
        image: the array or TIFF file.
        axes: a letter for each axis of the image; None takes what the file says.
        tta: "none", or turned tiles that are averaged.
        is_map: rasterio reads the image.
        threshold: of two classes; None for that of the run.
        engine: that computes, as `unet_tf.prediction.engines.resolve` gives it.
    """

    net: Path
    model: str
    image: Path
    axes: str | None
    tta: str
    is_map: bool = False
    threshold: float | None = None
    engine: str = TENSORFLOW

    def by(self, engine: str) -> Source:
        """The same, computed by an engine.

        Raises:
            InputError: there is none of that name, or its package is missing.
        """
        return replace(self, engine=resolve(engine, self.predictor.network))

    @property
    def predictor(self) -> Predictor:
        """The net, which stays loaded."""
        return predictor_for(str(self.net), self.model).by(self.engine)

    @functools.cached_property
    def volume(self) -> Volume:
        """The image, opened."""
        if self.is_map:
            return open_map(self.image)
        return open_volume(self.image, self.axes, channels_of_files(self.predictor))

    def settings(self) -> dict[str, Any]:
        """Give what the class ids of an output must have been made with to be gone on with."""
        return {
            "image": str(self.image),
            "shape": list(self.volume.array.shape),
            "axes": list(self.volume.axes),
            "model": self.model,
            "tta": self.tta,
            "engine": self.engine,
            STATE: self._state(),
            **self.calibration,
        }

    @functools.cached_property
    def calibration(self) -> dict[str, float]:
        """Temperature of the probabilities, and threshold of two classes."""
        return asdict(self.predictor.at(self.threshold).calibration)

    @property
    def cut(self) -> dict[str, Any]:
        """What objects and their outlines depend on, beside the class ids; a map has none."""
        array = self.volume.array
        turn = array.pictures.pages[0][0].orientation if isinstance(array, TiffArray) else 1
        return {} if self.is_map else {CUT: cut_of(self.predictor.masks), TURN: turn}

    def _state(self) -> str:
        """In which state the file is, or that which says what the zarr array holds: it is written with the array."""
        if self.image.is_file():
            return state_of(self.image)
        array = self.image / self.volume.array.path
        return next(filter(None, (state_of(array / name) for name in ZARR)), "")


def channels_of_files(predictor: Predictor) -> int:
    """How many channels the files have that a net was trained on."""
    return len(predictor.channels.names) or predictor.network.channels


def means_of_file(predictor: Predictor) -> tuple[float, ...]:
    """What each channel of a file holds where nothing was measured; 0 in those that the net does not take."""
    known, channels = predictor.normalisation, predictor.channels
    means = (0.0,) * predictor.network.channels if known is None else known.mean
    if channels.plain:
        return means
    of_file = [0.0] * len(channels.names)
    for number, mean in zip(channels.numbers(channels.names, Path("the map")), means, strict=False):
        of_file[number] = mean
    return tuple(of_file)
