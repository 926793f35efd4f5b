"""A net of one static tile on pictures of any size, whatever runs the tile."""

from dataclasses import replace

import numpy as np
import pytest

from unet_tf import Geometry, InputError, MaskFormat, Normalisation
from unet_tf.data.channels import Channels
from unet_tf.edge.description import Description
from unet_tf.edge.tiles import TiledNet


class Last(TiledNet):
    """Gives the last channel of what it sees."""

    def __init__(self, about):
        self.description = about

    def run(self, window):
        return {"mask": window[..., -1], "probabilities": np.zeros((*window.shape[:2], 2), np.float32)}


def test_grey_is_no_image_of_a_net_whose_three_channels_are_not_those_of_a_file():
    pixels = Normalisation((1.0,) * 3, (1.0,) * 3, "uint8")
    about = Description(("a", "b"), MaskFormat("index", 2), pixels, Geometry(1, "same"), 32)
    grey = np.arange(900, dtype=np.uint8).reshape(30, 30)
    np.testing.assert_array_equal(Last(about).label(grey), grey)
    net = Last(replace(about, channels=Channels(context=1)))
    np.testing.assert_array_equal(net.label(np.stack([0 * grey, 0 * grey, grey], axis=2)), grey)
    for asked in (net.label, net.probabilities):
        with pytest.raises(InputError, match="has 1 channels, and the net was trained on 3"):
            asked(grey)
