import numpy as np
import pytest
from PIL import Image

from unet_tf.evaluation.strips import read_strip, write_strip


def test_layers_and_words_come_back(tmp_path):
    rng = np.random.default_rng(0)
    layers = {name: rng.integers(0, 256, (3, 5, 3), np.uint8) for name in ("image", "真", "caf\udce9")}
    write_strip(tmp_path / "a.png", layers, title="clé", counts={"missed": 3})
    strip = read_strip(tmp_path / "a.png")
    assert strip.words == {"title": "clé", "counts": {"missed": 3}}
    assert list(strip.layers) == list(layers)
    for name, picture in layers.items():
        np.testing.assert_array_equal(strip.layers[name], picture)


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_a_file_that_is_cut_off_is_left_out_and_said(tmp_path, caplog, cut):
    write_strip(tmp_path / "a.png", {"a": np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)})
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:cut])
    assert read_strip(tmp_path / "a.png") is None
    assert f"{tmp_path / 'a.png'} is left out of the page" in caplog.text


@pytest.mark.parametrize(
    "words", ["[]", "3", "{", '{"layers": ["a", "b"]}', '{"layers": 3}', '{"layers": []}', "null", "{}"]
)
def test_words_that_do_not_fit_are_said(tmp_path, caplog, words):
    from PIL import PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("unet_tf", words)
    Image.new("RGB", (7, 4)).save(tmp_path / "a.png", pnginfo=text)
    assert read_strip(tmp_path / "a.png") is None
    assert "is left out of the page" in caplog.text
