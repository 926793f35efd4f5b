import numpy as np
import pytest

from unet_tf.data.instances import label_from_instances
from unet_tf.data.weight_map import border_weights, components
from unet_tf.errors import InputError
from unet_tf.evaluation.sums import otsu_label
from unet_tf.synthetic.cells import generate_cells


def test_cells_touch_and_the_label_keeps_them_apart():
    _, instances = generate_cells(256, 256, seed=0)
    assert sorted(np.unique(instances)) == list(range(instances.max() + 1))
    different = (instances[:, 1:] != instances[:, :-1]) & (instances[:, 1:] > 0) & (instances[:, :-1] > 0)
    assert different.sum() > 50
    assert components(label_from_instances(instances)).max() >= instances.max()
    assert border_weights(instances).max() > 5


def test_a_threshold_does_not_segment_them():
    image, instances = generate_cells(256, 256, seed=0)
    cells, bright = label_from_instances(instances) == 1, otsu_label(image[..., None]) == 1
    assert max((cells & b).sum() / (cells | b).sum() for b in (bright, ~bright)) < 0.75


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"32x32 px or more.*received 31x64"):
        generate_cells(31, 64)
    for radius, density in ((0, 0.75), (1e-3, 0.75), (65, 0.75), (1e300, 0.75), (16, 0), (16, 11), (16, np.inf)):
        said = f"48x64 need a radius of 1 to 64 px, and .* 10 at most; received radius {radius}, density {density}."
        with pytest.raises(InputError, match=said.replace("+", "[+]")):
            generate_cells(48, 64, radius=radius, density=density)
