import pytest

from unet_tf.data.channels import Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.exporting.zoo import channel_names
from unet_tf.geometry import Geometry


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        (Channels(), ["red", "green", "blue"]),
        (Channels(names=("", "", "")), ["red", "green", "blue"]),
        (Channels(names=("NIR", "red", "green")), ["NIR", "red", "green"]),
        (Channels(names=("", "", "DAPI")), ["0", "1", "DAPI"]),
        (Channels(picked=("2", "0", "1"), names=("", "", "")), ["2", "0", "1"]),
        (Channels(names=("", "", "", "")), ["0", "1", "2", "3"]),
        (Channels(names=("",)), ["grey"]),
        (Channels(names=("DAPI",)), ["DAPI"]),
    ],
)
def test_channels_are_called_as_the_files_call_them(channels, names):
    pixels = Normalisation((9.0,) * len(names), (2.0,) * len(names), "uint8")
    about = Description(("a", "b"), MaskFormat("index", 2), pixels, Geometry(1, "same"), 64, channels=channels)
    assert channel_names(about) == names
