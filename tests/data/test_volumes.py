import numpy as np
import pytest
import tifffile

from unet_tf.data.volumes import count_planes, open_volume
from unet_tf.errors import InputError

zarr = pytest.importorskip("zarr")


def array_of(*shape):
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def write_zarr(path, array, **options):
    made = zarr.create_array(str(path), shape=array.shape, dtype=array.dtype, chunks=(2,) * array.ndim, **options)
    made[...] = array
    return path


def write_ome(path, array, version, axes, scale=None):
    """An OME-Zarr image, whose level 0 is called "full"."""
    level = {"path": "full"}
    if scale:
        level["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
    described = [{"name": name, "type": "space", "unit": "micrometer"} for name in axes]
    multiscales = [{"axes": described, "datasets": [level, {"path": "half"}]}]
    attributes = {"ome": {"version": "0.5", "multiscales": multiscales}}
    if version == 2:
        attributes = {"multiscales": multiscales}
    group = zarr.create_group(str(path), zarr_format=version, attributes=attributes)
    group.create_array("full", data=array, chunks=(2,) * array.ndim)
    return path


def test_planes_of_a_plain_array(tmp_path):
    array = array_of(2, 3, 5, 7)
    volume = open_volume(write_zarr(tmp_path / "a.zarr", array))
    assert (volume.shape, volume.planes, count_planes(volume)) == ((5, 7), (2, 3), 6)
    plane = volume.plane(4)
    assert (plane.shape, plane.dtype) == ((5, 7, 1), np.uint16)
    np.testing.assert_array_equal(plane[1:3, 2:7], array[1, 1, 1:3, 2:7, None])


def test_the_last_of_three_axes_is_colour_where_it_has_3(tmp_path):
    array = array_of(5, 7, 3)
    volume = open_volume(write_zarr(tmp_path / "a.zarr", array))
    assert (volume.planes, volume.plane(0).shape) == ((), (5, 7, 3))
    np.testing.assert_array_equal(volume.plane(0)[0:5, 0:7], array)


def test_axes_can_be_named(tmp_path):
    array = array_of(3, 5, 7)
    path = write_zarr(tmp_path / "a.zarr", array)
    turned = open_volume(path, axes="cyx").plane(0)
    np.testing.assert_array_equal(turned[0:5, 0:7], array.transpose(1, 2, 0))
    across = open_volume(path, axes="xzy")
    assert (across.shape, across.planes) == ((7, 3), (5,))
    np.testing.assert_array_equal(across.plane(2)[0:7, 0:3], array[:, 2].T[..., None])


def test_names_of_dimensions_in_zarr_3_count(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", array_of(5, 7, 4), dimension_names=("y", "x", "z"))
    volume = open_volume(path)
    assert (volume.shape, volume.planes) == ((5, 7), (4,))


@pytest.mark.parametrize("version", [2, 3])
def test_level_0_of_ome_zarr(tmp_path, version):
    array = array_of(2, 1, 5, 7)
    volume = open_volume(write_ome(tmp_path / "a.zarr", array, version, "tcyx", [1.0, 1.0, 0.5, 0.25]))
    assert (volume.axes, volume.planes) == (("t", "c", "y", "x"), (2,))
    assert (volume.scale, volume.units[-1]) == ((1.0, 1.0, 0.5, 0.25), "micrometer")
    np.testing.assert_array_equal(volume.plane(1)[0:5, 0:7], array[1, 0, ..., None])


def test_a_tiff_is_mapped_and_not_read(tmp_path):
    array = array_of(3, 5, 7)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    volume = open_volume(tmp_path / "a.tif")
    assert isinstance(volume.array, np.memmap)
    np.testing.assert_array_equal(volume.plane(2)[0:5, 1:7], array[2, :, 1:, None])
    colour = array_of(5, 7, 3)
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    np.testing.assert_array_equal(open_volume(tmp_path / "rgb.tif").plane(0)[0:5, 0:7], colour)


def test_what_cannot_be_read_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "packed.tif", array_of(50, 70), compression="zlib")
    with pytest.raises(InputError, match=r"packed\.tif cannot be mapped into memory.*without compression, or as zarr"):
        open_volume(tmp_path / "packed.tif")
    with pytest.raises(InputError, match=r"none\.zarr is neither a TIFF file nor a zarr array or group"):
        open_volume(tmp_path / "none.zarr")
    zarr.create_group(str(tmp_path / "group.zarr")).create_array("inside", data=array_of(4, 4))
    with pytest.raises(InputError, match=r"name an array inside it \(it has: inside\)"):
        open_volume(tmp_path / "group.zarr")
    path = write_ome(tmp_path / "ome.zarr", array_of(4, 4), 3, "yx")
    (path / "full").rename(path / "gone")
    with pytest.raises(InputError, match='names its level 0 "full", and there is no such array'):
        open_volume(path)
    plain = write_zarr(tmp_path / "plain.zarr", array_of(4, 4))
    with pytest.raises(InputError, match=r'received "tyx" for .*of shape \(4, 4\)'):
        open_volume(plain, axes="tyx")
    for axes in ("tx", "yy"):
        with pytest.raises(InputError, match="each is named once, and y and x are among them"):
            open_volume(plain, axes=axes)


def test_a_damaged_chunk_is_named(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", array_of(4, 4))
    (path / "c" / "1" / "1").write_bytes(b"no chunk")
    plane = open_volume(path).plane(0)
    assert plane[0:2, 0:4].shape == (2, 4, 1)
    with pytest.raises(InputError, match=r"a\.zarr cannot be read at rows 2 to 4, columns 0 to 4"):
        plane[2:4, 0:4]
