from pathlib import Path

import numpy as np

from unet_tf.data.fingerprint import examine
from unet_tf.data.folder import Decoded, Pair
from unet_tf.planning.checks import nodata_of_some

LABEL = np.zeros((1, 3), np.uint8)


def seen(pair, values, nodata=(), dtype=np.int16):
    return pair, examine(Decoded(np.array(values, dtype)[None, :, None], LABEL, None, nodata), 2)


def test_a_value_is_the_same_however_many_digits_a_file_gives_it():
    """GDAL writes the lowest float32 with fewer digits than it has; and float32 has no 0.1."""
    one, two, three = (Pair(name, Path(f"{name}.tif"), Path("m.png")) for name in "abc")
    lowest = float(np.finfo(np.float32).min)
    all_seen = [
        seen(one, [lowest, 1, 2], (lowest,), np.float32), seen(two, [lowest, 1, 2], (-3.40282346638529e38,), np.float32)
    ]  # fmt: skip
    assert nodata_of_some(all_seen, all_seen) == []
    all_seen = [seen(one, [0.1, 1, 2], (0.1,), np.float32), seen(three, [0.1, 5, 6], (), np.float32)]
    (words,) = nodata_of_some(all_seen, all_seen)
    assert words.startswith("0.1 stands for no measurement in a.tif") and "do not name it: c.tif. If" in words


def test_the_files_of_a_picture_and_the_page_of_a_stack_are_named():
    """All files of a picture must name a value, or none; and of one stack some pages may have a sentinel."""
    one, two = (Pair(name, Path(f"{name}_red.tif"), Path("m.png"), others=(Path(f"{name}_nir.tif"),)) for name in "ab")
    pages = [Pair(f"s_{page}", Path("s.tif"), Path("m.tif"), page) for page in range(2)]
    in_files = [seen(one, [0, 5, 6], (0.0,)), seen(two, [0, 5, 6])]
    in_pages = [seen(pages[0], [-2000, -1000, 1500]), seen(pages[1], [-2000, -1000, -900], (-2000.0,))]
    for (first, second), all_seen in (
        (("a_nir.tif, a_red.tif", "b_nir.tif, b_red.tif"), in_files),
        (("s.tif (page 1)", "s.tif"), in_pages),
    ):
        (words,) = nodata_of_some(all_seen, all_seen)
        assert f" in {first}, and so" in words
        assert f"do not name it: {second}. If" in words
