from dataclasses import replace

import numpy as np

from unet_tf import MaskFormat
from unet_tf.config import TrainConfig
from unet_tf.data.folder import read_pair
from unet_tf.data.layout import find_named
from unet_tf.data.pictures import write_picture
from unet_tf.evaluation.fair import answers_of, read_alike
from unet_tf.evaluation.mask_folder import MaskFolder


def test_what_a_net_measured_on_its_objects_cuts_no_masks_of_others(tmp_path):
    ids = np.zeros((30, 40), np.uint8)
    ids[4:14, 4:14] = ids[4:14, 18:28] = 1  # two lobes
    ids[8:10, 14:18] = 1
    ids[20:23, 4:7] = 2  # a small one
    ids[18:28, 18:28] = 3  # one with a hole
    ids[22:24, 22:24] = 0
    for name in "ab":
        write_picture(tmp_path / "data" / "images" / f"{name}.png", ids)
        write_picture(tmp_path / "data" / "masks" / f"{name}.png", ids)
        write_picture(tmp_path / "theirs" / f"{name}.png", 255 * (ids > 0).astype(np.uint8))
    net = MaskFormat("instance", neck=1.5, smallest=40, filled=True)
    opened = MaskFolder.open(tmp_path / "theirs", tmp_path / "data", TrainConfig(masks="instance"))
    (theirs,) = read_alike([opened], replace(opened, masks=net), net)
    pairs = find_named(tmp_path / "data").splits[""]
    theirs.ready(pairs)
    decoded = read_pair(pairs[0], net)
    found = answers_of(theirs, [theirs], theirs, net)(pairs[0], decoded)
    np.testing.assert_array_equal(found.objects > 0, ids > 0)
    assert found.objects.max() == 3
    assert net.objects(found.label).max() == 3  # two lobes and the filled one
    assert np.any(net.objects(found.label) != found.objects)
