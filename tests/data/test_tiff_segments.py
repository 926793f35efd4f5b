"""Strips and tiles of an odd number of bytes in LZW and PackBits, against libtiff's encoders."""

import io

import numpy as np
import pytest
from kinds_of_files import raw_tiff
from PIL import Image

from unet_tf.data import tiff_segments
from unet_tf.data.pictures import read_image
from unet_tf.errors import InputError

RNG = np.random.default_rng(3)
CONTENTS = {
    "noise": RNG.integers(0, 256, 30_001, dtype=np.uint8),
    "few": RNG.integers(0, 3, 30_001, dtype=np.uint8),
    "flat": np.zeros(30_001, np.uint8),
    "runs": np.repeat(np.arange(101, dtype=np.uint8), 301),
    "one": np.array([7], np.uint8),
    "of 128": np.arange(129, dtype=np.uint8)[:127],
}
LZW, PACKBITS = 5, 32773


def strip(values, compression):
    """The only strip of a TIFF file of one row that libtiff has packed."""
    file = io.BytesIO()
    Image.fromarray(values[None]).save(file, "TIFF", compression=compression)
    with Image.open(file) as picture:
        (offset,), (length,) = picture.tag_v2[273], picture.tag_v2[279]
    return file.getvalue()[offset : offset + length]


@pytest.fixture
def read(tmp_path):
    def read_strip(packed, compression, width):
        (tmp_path / "a.tif").write_bytes(raw_tiff(packed, compression=compression, width=width, height=1))
        return read_image(tmp_path / "a.tif")[0, :, 0]

    return read_strip


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("codec", "compression"), [("tiff_lzw", LZW), ("packbits", PACKBITS)])
def test_what_libtiff_packs_is_unpacked_by_opencv(name, codec, compression, read, monkeypatch):
    values, shapes = CONTENTS[name], []
    as_picture = tiff_segments._as_picture
    monkeypatch.setattr(
        tiff_segments, "_as_picture",
        lambda data, page, *shape: shapes.append(shape) or as_picture(data, page, *shape),
    )  # fmt: skip
    packed = strip(values, codec)
    np.testing.assert_array_equal(read(packed, compression, len(values)), values)
    assert shapes == [(-(-len(values) // 128), 64, 16)]
    with pytest.raises(InputError, match="cannot be decompressed|does not begin|cannot hold them"):
        read(packed[: len(packed) // 2], compression, len(values))
    with pytest.raises(InputError, match="cannot be decompressed|cannot hold them"):
        read(packed, compression, len(values) + 2)


def test_sides_are_none_that_opencv_does_not_take(read, monkeypatch):
    """A strip of a gigabyte has more than 2^20 rows of 64 columns."""
    monkeypatch.setattr(tiff_segments, "OPENCV_SIDE", 100)
    for codec, compression in (("tiff_lzw", LZW), ("packbits", PACKBITS)):
        values = CONTENTS["few"]
        np.testing.assert_array_equal(read(strip(values, codec), compression, len(values)), values)


def test_codes_of_lzw_that_mean_nothing_are_damage(read):
    for codes, words in (
        ((256, 511), "cannot be decompressed"), ((256, 7, 300), "cannot be decompressed"), ((7, 7, 7), "not begin"),
        ((257,), "not begin"),
    ):  # fmt: skip
        packed = np.packbits([int(bit) for code in codes for bit in f"{code:09b}"]).tobytes()
        with pytest.raises(InputError, match=words):
            read(packed, LZW, 9)
