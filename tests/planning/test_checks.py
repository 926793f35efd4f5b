from pathlib import Path

import numpy as np

from unet_tf.data.fingerprint import examine
from unet_tf.data.folder import Decoded, Pair
from unet_tf.planning.checks import nodata_of_some

LABEL = np.zeros((1, 3), np.uint8)


def seen(pair, values, nodata=()):
    return pair, examine(Decoded(np.int16(values)[None, :, None], LABEL, None, nodata), 2)


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
