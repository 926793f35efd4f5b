import pytest

from unet_tf.errors import InputError
from unet_tf.geometry import PADDINGS, Geometry


def simulate(size: int, depth: int) -> int | None:
    """Follow the size of an unpadded net layer by layer; None where a layer cannot work."""
    for _ in range(depth):
        size -= 4
        if size < 2 or size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(depth):
        if size < 1:
            return None
        size = 2 * size - 4
    return size if size >= 1 else None


@pytest.mark.parametrize("depth", range(5))
def test_legal_sizes_are_those_that_the_layers_accept(depth):
    net = Geometry(depth)
    for size in range(1, 700):
        assert net.is_legal(size) == (simulate(size, depth) is not None), size
        if net.is_legal(size):
            assert net.output_size(size) == simulate(size, depth)


def test_the_papers_numbers():
    net = Geometry(4, "valid")
    assert (net.halo, net.shrink, net.stride, net.rule) == (92, 184, 16, "16k + 12")
    assert net.output_size(572) == 388
    assert net.tile_step(572) == 384
    assert net.crop_margins == (4, 16, 40, 88)
    assert [s for s in range(550, 600) if net.is_legal(s)] == [556, 572, 588]


@pytest.mark.parametrize("depth", range(6))
@pytest.mark.parametrize("padding", PADDINGS)
def test_input_size_is_the_smallest_that_covers_an_output(depth, padding):
    net = Geometry(depth, padding)
    for output in (1, 2, 15, 16, 17, 100, 388, 389):
        size = net.input_size(output)
        assert net.output_size(size) >= output
        smaller = size - net.stride
        assert not net.is_legal(smaller) or net.output_size(smaller) < output


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("length", [1, 7, 100, 511, 512, 1000])
def test_tiles_cover_the_image_once_on_the_pooling_grid(depth, padding, length):
    net = Geometry(depth, padding)
    max_tile = net.nearest_legal(600)[0]
    tiling = net.tiling(length, max_tile)
    covered = [position for origin in tiling.origins for position in range(origin, origin + tiling.step)]
    assert covered[:length] == list(range(length))
    assert len(covered) == len(set(covered))
    assert all(origin % net.stride == 0 for origin in tiling.origins)
    assert net.is_legal(tiling.input_size)
    assert tiling.input_size <= max_tile
    assert tiling.input_size >= tiling.step + 2 * net.halo


def test_an_illegal_size_is_refused_with_rule_value_and_nearest():
    with pytest.raises(InputError, match=r"570x572 .* depth 4, \"valid\" \(16k \+ 12, at least 188\).*570: 556, 572"):
        Geometry(4).check(570, 572)
    with pytest.raises(InputError, match=r"Input 100 .* \(16k, at least 16\); nearest to 100: 96, 112"):
        Geometry(4, "same").check(100)
    with pytest.raises(InputError, match="needs tiles of 204 px or more; received 188"):
        Geometry(4).tile_step(188)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="depth is the number of poolings and must be 0 or more; received -1"):
        Geometry(-1)
    with pytest.raises(InputError, match='padding must be "valid" or "same"; received \'full\''):
        Geometry(4, "full")
    with pytest.raises(InputError, match="at least 1 pixel a side; received 0"):
        Geometry().tiling(0, 572)
