import matplotlib.pyplot as plt
import pytest

from unet_tf import unet
from unet_tf.errors import InputError
from unet_tf.figures.architecture import draw_architecture, read_maps


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_the_papers_figure():
    levels = read_maps(unet(), 572, 572)
    assert [one.height for one in levels[0]] == [572, 570, 568, 392, 390, 388, 388]
    assert [[one.height for one in level] for level in levels[1:]] == [
        [284, 282, 280, 200, 198, 196],
        [140, 138, 136, 104, 102, 100],
        [68, 66, 64, 56, 54, 52],
        [32, 30, 28],
    ]
    assert [one.channels for one in levels[0]] == [1, 64, 64, 128, 64, 64, 2]
    assert [level[3].copied for level in levels[:4]] == [64, 128, 256, 512]


def test_each_map_is_drawn_once_with_its_channels_and_its_size():
    model = unet((None, None, 3), 5, base_filters=4, depth=2)
    axes = draw_architecture(model, 60)
    words = [text.get_text() for text in axes.texts if text.get_text()]
    maps = [one for level in read_maps(model, 60, 60) for one in level]
    assert sorted(words) == sorted(word for one in maps for word in (str(one.channels), f"{one.height}²"))
    assert len(maps) == 7 + 6 + 3
    arrows = [text for text in axes.texts if text.get_text() == ""]
    assert len(arrows) == 10 + 1 + 2 + 2 + 2  # convolutions, logits; copied, pooled, up-convolved


def test_a_net_whose_sides_differ_is_drawn_with_both():
    model = unet((64, 96, 1), base_filters=4, depth=2, padding="same")
    words = [text.get_text() for text in draw_architecture(model).texts]
    assert words[1:2] + words[7:8] == ["64x96", "64x96"]
    assert {"32x48", "16x24"} < set(words)
    assert not [word for word in words if "²" in word]
    with pytest.raises(InputError, match=r"takes inputs of \(64, 96\) pixels; received size 64"):
        draw_architecture(model, 64)
    one_side = unet((None, 64, 1), base_filters=4, depth=2, padding="same")
    assert [draw_architecture(one_side, size).texts[1].get_text() for size in (None, 64)] == ["64²", "64²"]


def test_nothing_is_cropped_of_a_padded_net():
    axes = draw_architecture(unet(base_filters=4, depth=1, padding="same"), 32)
    assert "copy" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert not [patch for patch in axes.patches if patch.get_linestyle() == "--"]


def test_an_illegal_size_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="570.*not a legal.*556, 572"):
        draw_architecture(unet(base_filters=4), 570)
    with pytest.raises(InputError, match=r"takes inputs of \(60, 60\) pixels; received size 64"):
        draw_architecture(unet((60, 60, 1), base_filters=4, depth=2), 64)
