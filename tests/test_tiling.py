from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.geometry import PADDINGS, Geometry
from unet_tf.tiling import (
    TURNS,
    cut,
    fit,
    fixed,
    mirror_index,
    read_window,
    run_tiles,
    turned,
    turned_back,
    with_channels,
)


@pytest.mark.parametrize("size", [2, 3, 5, 64])
def test_mirror_index_equals_numpys_reflect(size):
    axis = np.arange(size)
    expected = np.pad(axis, (3 * size, 4 * size), mode="reflect")
    np.testing.assert_array_equal(axis[mirror_index(-3 * size, 5 * size, size)], expected)


def test_mirror_index_of_one_pixel_repeats_it():
    assert mirror_index(-5, 5, 1).tolist() == [0] * 10


def centre(net):
    """A net that gives back its input, cut to the size of its output."""
    part = slice(net.halo, -net.halo) if net.padding == "valid" else slice(None)
    return lambda window: window[part, part]


def picture_of(height, width):
    return np.arange(height * width, dtype=np.float32).reshape(height, width, 1)


@pytest.mark.parametrize("padding", PADDINGS)
def test_tiles_put_together_are_the_image(padding):
    net, image = Geometry(2, padding), picture_of(50, 70)
    for grid in (cut(net, (50, 70), 80), fixed(net, (50, 70), (80, 88)), fit(net, (50, 70), 80**2)):
        found = np.full_like(image, -1)
        for place, output in run_tiles(centre(net), image, grid):
            assert (found[place] == -1).all()
            found[place] = output
        np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("depth", [2, 3])
def test_turned_tiles_come_back_in_place(padding, turn, depth):
    net, image = Geometry(depth, padding), picture_of(70, 90)
    grid = cut(net, (70, 90), net.nearest_legal(net.min_tile + 40)[0])
    for number in range(len(grid)):
        window = grid.window(image, number, turn)
        assert window.shape[:2] == (grid.tile[::-1] if turn % 2 else grid.tile)
        np.testing.assert_array_equal(grid.own(centre(net)(window), number, turn), image[grid.place(number)])


@pytest.mark.parametrize("turn", TURNS)
def test_turns_have_their_inverse(turn):
    picture = picture_of(3, 5)
    np.testing.assert_array_equal(turned_back(turned(picture, turn), turn), picture)


def test_the_eight_turns_differ():
    assert len({turned(picture_of(3, 3), turn).tobytes() for turn in TURNS}) == 8


def test_fitting_tiles_compute_little_more_than_the_limit():
    """Per output pixel; a 1500 px tile that does not fit 2048 px would compute 1.65."""
    net = Geometry()
    for length in (2048, 2500, 4096, 8192, 65536):
        grid = fit(net, (length, length), 2012**2)
        computed = len(grid) * grid.tile[0] * grid.tile[1]
        assert grid.tile[0] * grid.tile[1] <= 2012**2
        assert computed / length**2 < 1.3
    assert fit(net, (2048, 2048), 2**40).tile == (2236, 2236)
    assert len(fit(net, (2048, 2048), 2235**2)) == 2


def test_fit_finds_the_least_of_all_tilings():
    net, shape, most = Geometry(2), (150, 333), 100**2
    grids = []
    for height in range(net.min_tile, 400, 4):
        for width in range(net.min_tile, 400, 4):
            if height * width <= most:
                grids.append(fixed(net, shape, (height, width)))
    best = min(len(grid) * grid.tile[0] * grid.tile[1] for grid in grids)
    found = fit(net, shape, most)
    assert len(found) * found.tile[0] * found.tile[1] == best


def test_a_budget_without_room_for_a_tile_is_refused():
    with pytest.raises(InputError, match="smallest tile of a net of depth 4.*204x204.*received 41615"):
        fit(Geometry(), (500, 500), 204**2 - 1)


def test_read_window_mirrors_beyond_the_image():
    image = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(read_window(image, (-2, -2), (7, 8)), np.pad(image, 2, mode="reflect"))


def test_read_window_reads_the_window_alone():
    class Sliced:
        shape = (1000, 1000, 1)

        def __getitem__(self, key):
            self.seen = key
            return np.zeros([part.stop - part.start for part in key] + [1])

    image = Sliced()
    assert read_window(image, (-28, 492), (100, 50)).shape == (100, 50, 1)
    assert [(part.start, part.stop) for part in image.seen] == [(0, 72), (492, 542)]


def test_lists_tensors_and_arrays_that_can_be_sliced_are_images():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tensor = type("Tensor", (), {"shape": (3, 4), "dtype": "tf.uint8!", "__array__": lambda *_, **__: image})()
    for given in (image, image.tolist(), tensor, np.asarray(image)[..., None]):
        np.testing.assert_array_equal(with_channels(given), image[..., None])
    lazy = SimpleNamespace(shape=(3, 4), dtype="uint8")  # a type that NumPy knows by its name
    assert with_channels(lazy).shape == (3, 4, 1)


@pytest.mark.parametrize(
    ("image", "words"),
    [("a.png", "received the path a.png. unet_tf.read_image"), (Path("a.png"), "received the path a.png"),
     ([], r"received \(0,\)"), (np.zeros((2, 0)), r"received \(2, 0\)"), (np.zeros((1, 2, 3, 4)), "received")],
)  # fmt: skip
def test_what_is_no_image_is_refused_in_words(image, words):
    with pytest.raises(InputError, match="An image must be .H, W. or .H, W, C. with a pixel at least; " + words):
        with_channels(image)
