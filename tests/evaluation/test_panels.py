import numpy as np

from unet_tf.evaluation.panels import write_panel


def test_a_title_that_is_no_utf8_is_drawn(tmp_path):
    image, label = np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8), np.uint8)
    write_panel(tmp_path / "panel.png", "caf\udce9 <b>$x$", image, label, label, ("a", "b"), None)
    assert (tmp_path / "panel.png").read_bytes()[:4] == b"\x89PNG"
