"""What a runtime has to know of an exported net."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.geometry import Geometry
from unet_tf.utils.files import tuples

BUNDLE_NET, BUNDLE_DESCRIPTION = "model.keras", "bundle.json"
"""Files of a bundle: the net of Keras, and what the bundle says of it."""


@dataclass(frozen=True)
class Description:
    """What a runtime has to know of an exported net: `bundle.json`, and the metadata of each TFLite file.

    Attributes:
        classes: their names, by id.
        masks: how masks are drawn.
        normalisation: pixel type and channels of the images; mean and standard deviation, which are in the graphs.
        geometry: sizes of the net.
        tile: side of the static input of the TFLite files, pixels.
        origin: where it comes from, as JSON: versions, scores, fingerprint of the data.
    """

    classes: tuple[str, ...]
    masks: MaskFormat
    normalisation: Normalisation
    geometry: Geometry
    tile: int
    origin: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        geometry, masks = self.geometry, self.masks
        return {
            "classes": list(self.classes),
            "palette": [list(colour) for colour in masks.colours],
            "void": [list(value) if isinstance(value, tuple) else value for value in masks.void],
            "masks": {"kind": masks.kind, "inverted": masks.inverted, "tolerance": masks.tolerance},
            "pixel_type": self.normalisation.dtype,
            "channels": self.normalisation.channels,
            "normalisation": {name: list(getattr(self.normalisation, name)) for name in ("mean", "std", "nodata")},
            "depth": geometry.depth,
            "padding": geometry.padding,
            "stride": geometry.stride,
            "halo": geometry.halo,
            "margin": geometry.margin,
            "tile": self.tile,
            "output": geometry.output_size(self.tile),
            "step": geometry.tile_step(self.tile),
            **self.origin,
        }

    @classmethod
    def restore(cls, stored: dict[str, Any]) -> Description:
        """Of what `to_json` gave."""
        colours, void = tuples(stored["palette"]), tuples(stored["void"])
        return cls(
            tuple(stored["classes"]),
            MaskFormat(num_classes=len(stored["classes"]), colours=colours, void=void, **stored["masks"]),
            Normalisation.restore(stored["normalisation"] | {"dtype": stored["pixel_type"]}),
            Geometry(stored["depth"], stored["padding"]),
            stored["tile"],
            {
                name: stored[name]
                for name in ("unet_tf", "versions", "scores", "data", "max_iou_drop")
                if name in stored
            },
        )
