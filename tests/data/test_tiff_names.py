"""Names of channels in TIFF files, as three programs write them."""

import numpy as np
import pytest
import tifffile

from unet_tf.data.pictures import open_pictures

PLANES = np.random.default_rng(0).integers(0, 256, (4, 9, 11), dtype=np.uint8)
GDAL = '<GDALMetadata><Item name="DESCRIPTION" sample="3" role="description">NIR &amp; x</Item>{}</GDALMetadata>'
LAUGHS = '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>'


def names(path, planes=PLANES, **options):
    tifffile.imwrite(path, planes, **{"photometric": "minisblack"} | options)
    return open_pictures(path).channel_names(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_labels_of_imagej(tmp_path, order):
    told = {"axes": "CYX", "Labels": ["DAPI", "GFP", "µ", "Cy5"]}
    assert names(tmp_path / "a.tif", imagej=True, metadata=told, byteorder=order) == ("DAPI", "GFP", "µ", "Cy5")


@pytest.mark.parametrize(
    "labels", [["c:1/4 - a.tif", "GFP", "x", "Cy5"], ["a", "a", "b", "c"], ["a", "b", "c"], ["", "", "", ""]]
)
def test_labels_that_name_no_channels_are_none(tmp_path, labels):
    told = {"axes": "CYX", "Labels": labels}
    assert names(tmp_path / "a.tif", imagej=True, metadata=told) == ("",) * 4


def test_labels_of_planes_are_names_where_a_channel_has_one(tmp_path):
    planes = np.concatenate([PLANES, PLANES]).reshape(2, 4, 9, 11)
    for labels, found in ((["a", "b", "c", "d"] * 2, ("a", "b", "c", "d")), ([f"p{n}" for n in range(8)], ("",) * 4)):
        told = {"axes": "ZCYX", "Labels": labels}
        assert names(tmp_path / "a.tif", planes, imagej=True, metadata=told) == found


def test_channels_of_ome(tmp_path):
    told = {"axes": "CYX", "Channel": {"Name": ["A&B", "two  words", "c" * 200, ""]}}
    assert names(tmp_path / "a.ome.tif", ome=True, metadata=told) == ("A&B", "two words", "c" * 100, "")


@pytest.mark.parametrize(
    ("xml", "found"),
    [
        (GDAL.format(""), ("", "", "", "NIR & x")),
        (GDAL.format('<Item name="DESCRIPTION" sample="99" role="description">no</Item>'), ("", "", "", "NIR & x")),
        (LAUGHS + GDAL.format('<Item sample="0" role="description">&lol2;</Item>'), ("&lol2;", "", "", "NIR & x")),
        (GDAL.format("<Item sample='1' role = 'description'>red</Item>"), ("", "red", "", "NIR & x")),
        ("<GDALMetadata><Item", ("",) * 4),
    ],
)
def test_descriptions_of_bands(tmp_path, xml, found):
    bands = np.moveaxis(PLANES, 0, -1)
    tags = [(42112, "s", 0, xml, True)]
    assert names(tmp_path / "a.tif", bands, planarconfig="contig", metadata=None, extratags=tags) == found


def test_a_band_keeps_its_description_behind_alpha(tmp_path):
    """Samples red, green, blue, alpha, near infrared, as rasterio writes them."""
    bands = np.concatenate([PLANES, PLANES[:1]]).transpose(1, 2, 0)
    items = (
        f'<Item sample="{n}" role="description">{name}</Item>' for n, name in enumerate(("r", "g", "b", "valid", "NIR"))
    )
    tags = [(42112, "s", 0, f"<GDALMetadata>{''.join(items)}</GDALMetadata>", True)]
    options = {"photometric": "rgb", "planarconfig": "contig", "extrasamples": [2, 0]}
    assert names(tmp_path / "a.tif", bands, metadata=None, extratags=tags, **options) == ("r", "g", "b", "NIR")
    np.testing.assert_array_equal(open_pictures(tmp_path / "a.tif").read(), bands[..., [0, 1, 2, 4]])
