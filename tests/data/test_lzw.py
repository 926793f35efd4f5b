"""LZW and PackBits in plain Python against libtiff's encoders."""

import io

import numpy as np
import pytest
from PIL import Image

from unet_tf.data.lzw import unpack_lzw, unpack_packbits
from unet_tf.data.structure import Damage

RNG = np.random.default_rng(3)
CONTENTS = {
    "noise": RNG.integers(0, 256, 30_001, dtype=np.uint8),
    "few": RNG.integers(0, 3, 30_001, dtype=np.uint8),
    "flat": np.zeros(30_001, np.uint8),
    "runs": np.repeat(np.arange(101, dtype=np.uint8), 300),
    "one": np.array([7], np.uint8),
}


def strip(values, compression):
    """The only strip of a TIFF file of one row that libtiff has packed."""
    file = io.BytesIO()
    Image.fromarray(values[None]).save(file, "TIFF", compression=compression)
    with Image.open(file) as picture:
        (offset,), (length,) = picture.tag_v2[273], picture.tag_v2[279]
    return file.getvalue()[offset : offset + length]


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("compression", "unpack"), [("tiff_lzw", unpack_lzw), ("packbits", unpack_packbits)])
def test_what_libtiff_packs_is_unpacked(name, compression, unpack):
    values = CONTENTS[name]
    packed = strip(values, compression)
    assert unpack(packed, len(values)) == values.tobytes()
    with pytest.raises(Damage, match="ends before its last pixel"):
        unpack(packed[: len(packed) // 2], len(values))
    with pytest.raises(Damage):
        unpack(packed, len(values) + 1)


def test_a_code_of_lzw_that_means_nothing_is_named():
    with pytest.raises(Damage, match="means nothing"):
        unpack_lzw(np.packbits([*(1, *[0] * 8), *(1, 1, 1, 1, 1, 1, 1, 1, 1)]).tobytes(), 9)
