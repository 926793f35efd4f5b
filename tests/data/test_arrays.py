"""Arrays as picture files: what is damaged is read as NumPy reads it, or refused."""

import io
import os

import numpy as np
import pytest
import tifffile
from fuzz_readers import mutated
from kinds_of_files import kinds

from unet_tf.data.arrays import NPY, check_shape, read_npy, read_npz
from unet_tf.data.pictures import read_image
from unet_tf.data.structure import Damage, Unread

COUNT = int(os.environ.get("UNET_TF_FUZZ", "600"))
WHOLE = [kind for kind in kinds() if kind.suffix in (".npy", ".npz") and not kind.refused]


@pytest.mark.filterwarnings("ignore")  # NumPy warns of headers that it takes for Python 2's
def test_a_damaged_array_is_read_as_numpy_reads_it_or_refused():
    rng = np.random.default_rng(0)
    read = 0
    for number in range(COUNT):
        data = mutated(WHOLE[number % len(WHOLE)].data, WHOLE[0].data, rng)
        try:
            found = (read_npy if data[:6] == NPY else read_npz)(data)
        except (Damage, Unread):
            continue
        expected = np.load(io.BytesIO(data))
        expected = expected if isinstance(expected, np.ndarray) else next(iter(expected.values()))
        np.testing.assert_array_equal(found, expected)
        read += 1
    assert read > COUNT // 20


@pytest.mark.parametrize(
    ("shape", "refused"),
    [
        ((3, 512, 512), "must be the last axis"),
        ((13, 64, 64), "must be the last axis"),
        ((2, 3, 4), "must be the last axis"),
        ((512, 512, 3), ""),
        ((13, 13, 13), ""),
        ((1, 9, 1), ""),
        ((2000, 9, 1025), "must be the last axis"),
        ((4, 5, 6, 3), "must be"),
        ((), "must be"),
        ((0, 4), "with a pixel at least"),
    ],
)
def test_channels_are_the_last_axis_and_no_more_than_rows(shape, refused):
    if not refused:
        check_shape(shape, np.dtype("u1"))
        return
    with pytest.raises(Unread, match=refused):
        check_shape(shape, np.dtype("u1"))


def test_more_channels_than_rows_may_be_tiff_as_the_refusal_says(tmp_path):
    cube = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
    with pytest.raises(Unread, match="If the first axis counts channels") as refused:
        check_shape(cube.shape, cube.dtype)
    way = str(refused.value).rpartition("TIFF: ")[2]
    exec(way, {"tifffile": tifffile, "array": cube, "NAME": str(tmp_path / "a.tif")})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), cube)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_what_is_read_may_be_written_to(tmp_path, channels, dtype):
    np.save(tmp_path / "a.npy", np.zeros((4, 5, *channels), dtype))
    image = read_image(tmp_path / "a.npy")
    image[0] = 1
    assert image.sum() == image[0].size
