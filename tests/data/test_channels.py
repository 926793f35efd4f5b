"""Which channels a net takes of which files, and what is refused."""

import numpy as np
import pytest
import tifffile

from unet_tf.config import TrainConfig
from unet_tf.data import channels as channels_module
from unet_tf.data.channels import Channels, listed
from unet_tf.data.folder import Pair
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.naming import Naming
from unet_tf.data.pictures import count_pages, open_pictures, read_image, write_picture
from unet_tf.data.samples import read_samples
from unet_tf.data.volumes import open_volume
from unet_tf.errors import InputError
from unet_tf.planning.inspection import look_at

RNG = np.random.default_rng(0)
FIVE = RNG.integers(0, 256, (9, 11, 5), dtype=np.uint8)
DYES = ("DAPI", "GFP", "Cy5", "a", "b")


def bands(path, image, **options):
    options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None} | options
    tifffile.imwrite(path, image, **options)
    return path


def dyes(path, image, names):
    planes, told = np.moveaxis(image, -1, 0), {"axes": "CYX", "Channel": {"Name": list(names)}}
    tifffile.imwrite(path, planes, ome=True, metadata=told, photometric="minisblack")
    return path


def stack(path, planes, axes):
    tifffile.imwrite(path, planes, metadata={"axes": axes}, photometric="minisblack")
    return path


@pytest.mark.parametrize("ome", [False, True])
@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "CTZYX", "ZCTYX"])
def test_channels_are_found_wherever_their_axis_stands(tmp_path, axes, ome):
    sizes = {"T": 2, "Z": 3, "C": 4, "Y": 5, "X": 6}
    planes = np.arange(24 * 30, dtype=np.uint16).reshape([sizes[axis] for axis in axes])
    tifffile.imwrite(tmp_path / "a.tif", planes, ome=ome, metadata={"axes": axes}, photometric="minisblack")
    channels_last = np.moveaxis(planes, axes.index("C"), -1).reshape(6, 5, 6, 4)
    for page, expected in enumerate(channels_last):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page), expected)


@pytest.mark.parametrize(
    ("shape", "axes", "kind"),
    [
        ((9, 11, 2), "", "minisblack"),
        ((9, 11, 4), "", "minisblack"),
        ((3, 9, 11, 6), "", "minisblack"),
        ((9, 11, 2), "YXC", "minisblack"),
        ((3, 9, 11, 20), "ZYXC", "minisblack"),
        ((9, 11, 5), "XYZ", "minisblack"),
        ((9, 11, 2, 3), "YXCS", "rgb"),
    ],
)
def test_channels_last_of_which_tifffile_makes_a_page_of_each_row_are_refused(tmp_path, shape, axes, kind):
    """Without planarconfig it takes the last two axes, or those before RGB, for rows and columns."""
    array = np.zeros(shape, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=kind, metadata={"axes": axes} if axes else {})
    of = "x".join(map(str, shape)) + (f", {axes}," if axes else "")
    with pytest.raises(InputError, match=rf"{shape[-1]} channels .the last axis of {of} of which each row is a page\)"):
        read_image(tmp_path / "a.tif")


def test_the_message_of_channels_last_leads_to_channels_or_to_pages(tmp_path):
    array = np.arange(9 * 11 * 2, dtype=np.uint16).reshape(9, 11, 2)
    words = r'planarconfig="contig", pages as the first one with metadata=\{"axes": "ZYX"\}\.$'
    with pytest.raises(InputError, match=words):
        read_image(stack(tmp_path / "a.tif", array, "YXC"))
    np.testing.assert_array_equal(read_image(bands(tmp_path / "channels.tif", array)), array)
    np.testing.assert_array_equal(read_image(stack(tmp_path / "pages.tif", array, "ZYX"), 8)[..., 0], array[8])


@pytest.mark.parametrize(
    ("shape", "axes", "pages"),
    [((9, 11, 1), "", 1), ((9, 11, 1), "YXC", 1), ((4, 9, 11, 1), "", 4), ((9, 11, 20), "", 9), ((2, 9, 11), "", 2)],
)
def test_pages_that_tifffile_writes_of_an_array_without_names_are_pages(tmp_path, shape, axes, pages):
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata={"axes": axes} if axes else {})
    assert count_pages(tmp_path / "a.tif") == pages
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", pages - 1).ravel(), array.reshape(pages, -1)[-1])


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX"])
def test_images_of_an_ome_file_are_pictures_and_their_channels_are_not(tmp_path, axes):
    """Positions of a stage, of three planes of two channels each."""
    sizes = {"Z": 3, "C": 2, "Y": 5, "X": 6}
    positions = np.arange(4 * 180, dtype=np.uint16).reshape([4, *(sizes[axis] for axis in axes)])
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as writer:
        for planes in positions:
            writer.write(planes, metadata={"axes": axes}, photometric="minisblack")
    assert open_pictures(tmp_path / "a.tif").tiff.axes == (("p", 4), ("z", 3))
    for page in range(12):
        planes = positions[page // 3].swapaxes(0, 1) if axes == "CZYX" else positions[page // 3]
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page), np.moveaxis(planes[page % 3], 0, -1))


def test_images_of_an_ome_file_that_differ_are_refused_by_name(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as writer:
        for depth in (2, 3):
            planes = np.zeros((2, depth, 5, 6), np.uint8)
            writer.write(planes, metadata={"axes": "CZYX"}, photometric="minisblack")
    words = r"has 2 images of C=2 Z=2 T=1 and C=2 Z=3 T=1 planes in OME's metadata, and 10 pages.* Save each image"
    with pytest.raises(InputError, match=words):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_of_one_of_the_images_of_an_ome_set_is_that_image(tmp_path, channels):
    """Programs write into the file of each position what they tell of all."""
    image = f'<Image><Pixels DimensionOrder="XYCZT" SizeC="{channels}" SizeT="1" SizeZ="3"/></Image>'
    planes = np.arange(3 * channels * 30, dtype=np.uint8).reshape(3 * channels, 5, 6)
    xml = f'<?xml version="1.0"?><OME>{4 * image}</OME>'
    tifffile.imwrite(tmp_path / "a.tif", planes, description=xml, metadata=None, photometric="minisblack")
    assert open_pictures(tmp_path / "a.tif").tiff.axes == (("z", 3),)
    assert read_image(tmp_path / "a.tif", 2).shape == (5, 6, channels)


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT"])
def test_channels_of_a_file_of_an_ome_set_lie_as_its_order_says(tmp_path, order):
    planes = np.arange(6 * 30, dtype=np.uint8).reshape(6, 5, 6)
    places = (
        [(c, z) for z in range(3) for c in range(2)]
        if order == "XYCZT"
        else [(c, z) for c in range(2) for z in range(3)]
    )
    blocks = "".join(
        f'<TiffData FirstC="{c}" FirstZ="{z}" FirstT="0" IFD="{at}" PlaneCount="1"><UUID FileName="a">urn:uuid:1</UUID>'
        "</TiffData>"
        for at, (c, z) in enumerate(places)
    )
    xml = (
        f'<?xml version="1.0"?><OME UUID="urn:uuid:1"><Image><Pixels DimensionOrder="{order}" SizeC="2" SizeT="4" '
        f'SizeX="6" SizeY="5" SizeZ="3" Type="uint8">{blocks}</Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.tif", planes, description=xml, metadata=None, photometric="minisblack")
    assert count_pages(tmp_path / "a.tif") == 3
    for z in range(3):
        expected = np.stack([planes[places.index((c, z))] for c in range(2)], axis=-1)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", z), expected)


PLANES = np.arange(6 * 30, dtype=np.uint8).reshape(6, 5, 6)
BY_CHANNEL = "".join(f'<TiffData FirstC="{c}" IFD="{3 * c}" PlaneCount="3"/>' for c in range(2))
BY_PLANE = "".join(f'<TiffData FirstC="{c}" FirstZ="{z}" IFD="{3 * c + z}"/>' for c in range(2) for z in range(3))
PAIRS = [(2 * z, 2 * z + 1) for z in range(3)]


def of_ome(path, blocks, order="XYCZT", sizes='SizeC="2" SizeT="1" SizeZ="3"', planes=PLANES):
    """A file of pages of which OME's metadata tell in blocks."""
    xml = (
        f'<?xml version="1.0"?><OME UUID="urn:uuid:1"><Image><Pixels DimensionOrder="{order}" {sizes}>'
        f'<Channel Name="DAPI"/><Channel Name="GFP"/>{blocks}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, planes, description=xml, metadata=None, photometric="minisblack")
    return path


@pytest.mark.parametrize(
    ("blocks", "order", "pages"),
    [
        (BY_PLANE, "XYCZT", [(0, 3), (1, 4), (2, 5)]),
        (BY_CHANNEL, "XYZCT", [(0, 3), (1, 4), (2, 5)]),
        (BY_CHANNEL.replace("PlaneCount", "NumPlanes"), "XYZCT", [(0, 3), (1, 4), (2, 5)]),
        ("".join(f'<TiffData FirstC="{at % 2}" FirstZ="{at // 2}" IFD="{5 - at}"/>' for at in range(6)), "XYCZT",
         [(5, 4), (3, 2), (1, 0)]),
        ("", "XYCZT", PAIRS),
        ("<TiffData/>", "XYCZT", PAIRS),
        ('<TiffData IFD="0"/>', "XYCZT", PAIRS),
        ('<TiffData IFD="0" PlaneCount="999999999"/>', "XYCZT", PAIRS),
        (BY_PLANE.replace('"/>', '"><UUID>urn:uuid:2</UUID></TiffData>'), "XYCZT", PAIRS),
        ("".join(f'<TiffData IFD="{at}"/>' for at in range(6)), "XYCZT", PAIRS),
        ("".join(f'<TiffData IFD="{at}" PlaneCount="1"/>' for at in range(6)), "XYZCT", [(0, 3), (1, 4), (2, 5)]),
        ("", "XY", PAIRS),
    ],
)  # fmt: skip
def test_pages_of_an_ome_file_are_what_its_blocks_say(tmp_path, blocks, order, pages):
    opened = open_pictures(of_ome(tmp_path / "a.tif", blocks, order))
    assert opened.tiff.axes == (("z", 3),) and opened.channel_names(2) == ("DAPI", "GFP")
    for z, both in enumerate(pages):
        np.testing.assert_array_equal(opened.read(z), np.moveaxis(PLANES[[*both]], 0, -1))


@pytest.mark.parametrize("blocks", [BY_PLANE, "", BY_CHANNEL])
def test_metadata_of_ome_may_stand_in_single_quotes(tmp_path, blocks):
    of_ome(tmp_path / "double.tif", blocks, "XYZCT")
    xml = tifffile.tiffcomment(tmp_path / "double.tif").replace('"', "'").replace("FirstC='", "FirstC = '")
    tifffile.imwrite(tmp_path / "a.tif", PLANES, description=xml, metadata=None, photometric="minisblack")
    opened = open_pictures(tmp_path / "a.tif")
    assert opened.tiff.axes == (("z", 3),) and opened.channel_names(2) == ("DAPI", "GFP")
    assert [opened.read(z)[0, 0].tolist() for z in range(3)] == PLANES[:, 0, 0].reshape(2, 3).T.tolist()


def test_a_file_of_an_ome_set_in_single_quotes_is_what_it_holds_itself(tmp_path):
    blocks = "".join(
        f"<TiffData IFD='{at % 6}' FirstC='{at % 2}' FirstZ='{at // 2}'><UUID FileName='x'>{at // 6}</UUID></TiffData>"
        for at in range(12)
    )
    pixels = f"<Pixels DimensionOrder='XYCZT' SizeC='2' SizeT='1' SizeZ='6'>{blocks}</Pixels>"
    xml = f"<?xml version='1.0'?><OME UUID='1'><Image>{pixels}</Image></OME>"
    tifffile.imwrite(tmp_path / "a.tif", PLANES, description=xml, metadata=None, photometric="minisblack")
    assert [read_image(tmp_path / "a.tif", z)[0, 0].tolist() for z in range(3)] == PLANES[:, 0, 0].reshape(
        3, 2
    ).tolist()


def of_imagej2(path, axes, lengths, planes=PLANES):
    """A file as SCIFIO writes it, which ImageJ2 does: it tells of all axes, fastest first."""
    told = f"SCIFIO=0.41.1\naxes=X,Y,{axes}\nlengths=6,5,{lengths}\nscales=1.0,1.0\nunits=um,um\nimages={len(planes)}\n"
    told += "channels=1\nslices=1\nframes=1\nhyperstack=true\nmode=composite\nunit=um\n"
    tifffile.imwrite(path, planes, description=told, metadata=None, photometric="minisblack")
    return open_pictures(path)


@pytest.mark.parametrize(
    ("axes", "lengths", "told", "pages"),
    [
        ("Channel,Z", "2,3", (("z", 3),), [(0, 1), (2, 3), (4, 5)]),
        ("Z,Channel", "3,2", (("z", 3),), [(0, 3), (1, 4), (2, 5)]),
        ("Channel,Time", "3,2", (("t", 2),), [(0, 1, 2), (3, 4, 5)]),
        ("Channel", "6", (), [(0, 1, 2, 3, 4, 5)]),
        ("Z", "6", (("d0", 6),), [(0,), (1,), (2,), (3,), (4,), (5,)]),
    ],
)
def test_channels_of_imagej2_stand_where_it_says(tmp_path, axes, lengths, told, pages):
    opened = of_imagej2(tmp_path / "a.tif", axes, lengths)
    assert opened.tiff.axes == told and len(opened) == len(pages)
    for number, page in enumerate(pages):
        np.testing.assert_array_equal(opened.read(number), np.moveaxis(PLANES[[*page]], 0, -1))


def test_some_pages_of_a_file_of_imagej2_with_channels_are_refused_and_one_is_a_picture(tmp_path):
    np.testing.assert_array_equal(
        of_imagej2(tmp_path / "a.tif", "Channel,Z", "2,3", PLANES[:1]).read()[..., 0], PLANES[0]
    )
    with pytest.raises(InputError, match=r"has 2 channels .and 6 planes in ImageJ2's description, 4 pages\)"):
        of_imagej2(tmp_path / "b.tif", "Channel,Z", "2,3", PLANES[:4])


def test_a_file_of_an_ome_set_may_hold_one_time_of_several(tmp_path):
    sizes = 'SizeC="2" SizeT="4" SizeZ="3"'
    opened = open_pictures(of_ome(tmp_path / "a.tif", BY_CHANNEL, "XYZCT", sizes))
    assert [opened.read(z)[0, 0].tolist() for z in range(3)] == PLANES[:, 0, 0].reshape(2, 3).T.tolist()


@pytest.mark.parametrize(
    ("blocks", "sizes", "words"),
    [
        ("".join(f'<TiffData FirstC="{at // 5}" FirstZ="{2 if at == 5 else at}" IFD="{at}"/>' for at in range(6)),
         'SizeC="2" SizeT="1" SizeZ="5"', "has 2 channels .and 6 planes of 5 pictures in OME's metadata"),
        (BY_PLANE.replace('IFD="5"', 'IFD="4"'), 'SizeC="2" SizeT="1" SizeZ="3"', "1 image of C=2 Z=3 T=1 planes"),
        (BY_PLANE.replace('FirstZ="1"', 'FirstZ="0"'), 'SizeC="2" SizeT="1" SizeZ="3"', "6 pages, of which it is not"),
        ('<TiffData FirstC="1" IFD="0"/>', 'SizeC="2" SizeT="1" SizeZ="3"', "with an element TiffData for each page"),
        ("".join(f'<TiffData IFD="{5 - at}"/>' for at in range(6)), 'SizeC="2" SizeT="1" SizeZ="3"', "it is not plain"),
        ("", 'SizeC="2" SizeT="1" SizeZ="5"', "has 1 image of C=2 Z=5 T=1 planes in OME's metadata, and 6 pages"),
    ],
)  # fmt: skip
def test_pages_of_an_ome_file_that_may_be_channels_or_pictures_are_refused(tmp_path, blocks, sizes, words):
    with pytest.raises(InputError, match=words):
        read_image(of_ome(tmp_path / "a.tif", blocks, sizes=sizes))


@pytest.mark.parametrize("block", ["", "<TiffData/>", '<TiffData IFD="0" PlaneCount="6"/>'])
def test_blocks_that_are_alike_in_each_image_leave_the_order_of_the_planes(tmp_path, block):
    image = f'<Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeT="1" SizeZ="3">{block}</Pixels></Image>'
    planes, xml = np.concatenate([PLANES, 100 + PLANES]), f'<?xml version="1.0"?><OME>{2 * image}</OME>'
    tifffile.imwrite(tmp_path / "a.tif", planes, description=xml, metadata=None, photometric="minisblack")
    opened = open_pictures(tmp_path / "a.tif")
    assert opened.tiff.axes == (("p", 2), ("z", 3))
    assert [opened.read(z)[0, 0].tolist() for z in range(6)] == planes[:, 0, 0].reshape(6, 2).tolist()


def test_blocks_count_the_directories_of_smaller_versions_too(tmp_path):
    blocks = "".join(f'<TiffData FirstC="{c}" FirstZ="{z}" IFD="{2 * (3 * c + z)}"/>' for c in (0, 1) for z in range(3))
    whole = of_ome(tmp_path / "whole.tif", blocks)
    with tifffile.TiffFile(whole) as file, tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, plane in enumerate(PLANES):
            writer.write(plane, description=None if number else file.pages[0].description, metadata=None)
            writer.write(plane[::2, ::2], metadata=None, subfiletype=1)
    opened = open_pictures(tmp_path / "a.tif")
    assert [opened.read(z)[0, 0].tolist() for z in range(3)] == PLANES[:, 0, 0].reshape(2, 3).T.tolist()


def test_pages_of_which_another_file_tells_are_refused_and_one_is_a_picture(tmp_path):
    xml = '<?xml version="1.0"?><OME UUID="urn:uuid:1"><BinaryOnly MetadataFile="a.companion.ome" UUID="2"/></OME>'
    for name, planes in (("one", PLANES[0]), ("six", PLANES)):
        tifffile.imwrite(tmp_path / name, planes, description=xml, metadata=None, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "one")[..., 0], PLANES[0])
    with pytest.raises(InputError, match=r"has 6 pages, and another file of OME's metadata \(\.companion\.ome\) tells"):
        read_image(tmp_path / "six")


@pytest.mark.parametrize(
    ("picked", "numbers"), [(("0", "3"), [0, 3]), (("GFP", "DAPI"), [1, 0]), (("4",), [4]), ((), [0, 1, 2, 3, 4])]
)
def test_channels_are_picked_by_number_and_name_in_their_order(tmp_path, picked, numbers):
    file = dyes(tmp_path / "a.ome.tif", FIVE, DYES)
    read = Channels(picked).read([file])
    np.testing.assert_array_equal(read.image, FIVE[..., numbers])
    assert read.names == DYES
    assert Channels(picked, names=DYES).taken == tuple(DYES[n] for n in numbers)


def test_a_name_that_is_a_number_is_a_name(tmp_path):
    file = dyes(tmp_path / "a.ome.tif", FIVE[..., :2], ["488", "1"])
    np.testing.assert_array_equal(Channels(("1", "488")).read([file]).image, FIVE[..., [1, 0]])
    np.testing.assert_array_equal(Channels(("0",)).read([file]).image, FIVE[..., :1])


@pytest.mark.parametrize(
    ("picked", "words"),
    [
        (("5",), r"has no channel '5': it has 5 \(0 DAPI, 1 GFP, 2 Cy5, 3 a, 4 b\)"),
        (("-1",), "has no channel '-1'"),
        (("dapi",), "has no channel 'dapi'"),
        (("DAPI", "0"), r"must be taken once; DAPI, 0 are \[0, 0\]"),
        (("9" * 99,), "has no channel"),
    ],
)
def test_channels_that_are_not_there_are_refused_with_those_that_are(tmp_path, picked, words):
    file = dyes(tmp_path / "a.ome.tif", FIVE, DYES)
    with pytest.raises(InputError, match=words) as raised:
        Channels(picked).read([file])
    assert raised.value.file == file


def test_a_name_that_stands_twice_is_picked_by_number(tmp_path):
    file = dyes(tmp_path / "a.ome.tif", FIVE[..., :3], ["GFP", "GFP", "DAPI"])
    with pytest.raises(InputError, match="several channels 'GFP': 0 GFP, 1 GFP, 2 DAPI. Choose by number"):
        Channels(("GFP",)).read([file])
    assert Channels(("1", "DAPI")).read([file]).image.shape == (9, 11, 2)


def test_equal_channels_are_channels_where_some_are_picked(tmp_path):
    write_picture(tmp_path / "a.png", np.repeat(FIVE[..., :1], 3, 2))
    assert Channels().read([tmp_path / "a.png"]).image.shape == (9, 11, 1)
    assert Channels(("0", "2")).read([tmp_path / "a.png"]).image.shape == (9, 11, 2)


@pytest.mark.parametrize(
    ("names", "given", "words"),
    [
        (DYES, FIVE[..., :4], r"trained on, 5 \(0 DAPI, 1 GFP, 2 Cy5, 3 a, 4 b\); .*a\.ome\.tif has 4 \(0, 1, 2, 3\)"),
        (("", "", "", "", ""), FIVE[..., :4], r"trained on, 5 \(0, 1, 2, 3, 4\); .* has 4 \(0, 1, 2, 3\)"),
        (DYES, ("GFP", "DAPI", "Cy5", "a", "b"), r"has 5 \(0 GFP, 1 DAPI, 2 Cy5, 3 a, 4 b\)"),
        (DYES, ("DAPI", "GFP", "Cy5", "a", "c"), "4 b.*4 c"),
    ],
)
@pytest.mark.parametrize("picked", [(), ("0", "1")])
def test_another_count_or_order_than_in_training_is_refused_with_both_lists(tmp_path, names, given, words, picked):
    file = tmp_path / "a.ome.tif"
    bands(file, given) if isinstance(given, np.ndarray) else dyes(file, FIVE, given)
    channels = Channels(picked, names=names)
    with pytest.raises(InputError, match=words):
        channels.read([file])
    with pytest.raises(InputError, match=words):
        open_volume(file).picture(0, channels)


def test_a_file_without_names_is_taken_by_place(tmp_path):
    file = bands(tmp_path / "a.tif", FIVE)
    np.testing.assert_array_equal(Channels(("Cy5",), names=DYES).read([file]).image, FIVE[..., 2:3])
    picture = open_volume(file).picture(0, Channels(("Cy5", "0"), names=DYES))
    np.testing.assert_array_equal(picture[2:5, 3:9], FIVE[2:5, 3:9, [2, 0]])


@pytest.mark.parametrize("page", [0, 3, 4, 7])
def test_neighbours_are_channels_mirrored_at_the_ends_of_z(tmp_path, page):
    planes = RNG.integers(0, 256, (2, 4, 9, 11), dtype=np.uint8)
    file = stack(tmp_path / "a.tif", planes, "TZYX")
    t, z = divmod(page, 4)
    near = [(t, {-1: 1, 4: 2}.get(at, at)) for at in (z - 1, z, z + 1)]
    expected = np.dstack([planes[at] for at in near])
    channels = Channels(context=1)
    np.testing.assert_array_equal(channels.read([file], page).image, expected)
    picture = open_volume(file).picture(page, channels)
    np.testing.assert_array_equal(picture[0:9, 0:11], expected)
    assert Channels(context=1, names=("",)).taken == ("z-1 0", "z+0 0", "z+1 0")


def test_neighbours_of_several_channels_come_plane_by_plane(tmp_path):
    planes = RNG.integers(0, 256, (3, 2, 9, 11), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, metadata={"axes": "ZCYX", "Labels": ["x", "y"] * 3})
    channels = Channels(("y", "x"), context=1)
    expected = np.dstack([planes[z, c] for z in (1, 0, 1) for c in (1, 0)])
    np.testing.assert_array_equal(channels.read([tmp_path / "a.tif"]).image, expected)
    assert Channels(("y", "x"), (), 1, ("x", "y")).taken[:2] == ("z-1 y", "z-1 x")


def test_neighbours_of_a_single_picture_are_refused(tmp_path):
    write_picture(tmp_path / "a.png", FIVE[..., :3])
    with pytest.raises(InputError, match=r"neighbouring planes of a stack, and .*a\.png holds one picture"):
        Channels(context=1).read([tmp_path / "a.png"])


@pytest.mark.parametrize("depth", [1, 3])
def test_positions_are_no_neighbours(tmp_path, depth):
    positions = RNG.integers(0, 256, (4, depth, 9, 11), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as writer:
        for planes in positions:
            writer.write(planes, metadata={"axes": "ZYX"}, photometric="minisblack")
    channels = Channels(context=1)
    if depth == 1:
        with pytest.raises(InputError, match=r"stack, and .*a\.tif holds one picture of each position\. Save"):
            channels.read([tmp_path / "a.tif"])
    else:
        expected = np.moveaxis(positions[1][[1, 0, 1]], 0, -1)
        np.testing.assert_array_equal(channels.read([tmp_path / "a.tif"], 3).image, expected)


@pytest.fixture
def folder(tmp_path):
    """Two pictures of two files each, one of them with a letter in two Unicode forms, and their masks."""
    for name in ("a", "e\u0301b"):
        for number, dye in enumerate(("_dapi", "_gfp")):
            (tmp_path / "images").mkdir(exist_ok=True)
            bands(tmp_path / f"images/{name}{dye}.tif", FIVE[..., number])
        write_picture(tmp_path / f"masks/{name}.png", np.eye(9, 11, dtype=np.uint8) * 255)
    return tmp_path


SUFFIXES = Channels(suffixes=("_dapi", "_gfp"))


def test_two_files_are_one_picture(folder):
    pairs = find_named(folder, channels=SUFFIXES).check()[""]
    assert [pair.name for pair in pairs] == ["a", "\xe9b"]
    for pair in pairs:
        read = pair.read()
        np.testing.assert_array_equal(read.image, FIVE[..., :2])
        assert read.names == ("dapi", "gfp")
    swapped = Channels(("gfp", "dapi"), SUFFIXES.suffixes)
    np.testing.assert_array_equal(find_named(folder, channels=swapped).check()[""][0].read().image, FIVE[..., [1, 0]])


@pytest.mark.parametrize("lines", ["a\n", "images/a_gfp.tif\n", "images/a_dapi.tif masks/a.png\n"])
def test_a_list_names_the_picture_or_one_of_its_files(folder, lines):
    (folder / "train.txt").write_text(lines)
    pairs = find_named(folder, channels=SUFFIXES).check()["train"]
    assert [(pair.name, [file.name for file in pair.files]) for pair in pairs] in (
        [("a", ["a_dapi.tif", "a_gfp.tif"])],
        [("a_dapi", ["a_dapi.tif", "a_gfp.tif"])],
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "images/a_gfp.tif").unlink(), r"1 picture has no file that ends in _gfp: a\."),
        (
            lambda f: bands(f / "images/b.tif", FIVE),
            r"1 image ends in none of _dapi, _gfp \(--channel-suffix\): .*b\.tif",
        ),
        (lambda f: bands(f / "images/_dapi.tif", FIVE), r"1 image ends in none of _dapi, _gfp"),
        (lambda f: bands(f / "images/a_gfp.tiff", FIVE), "are the same channel of one picture. Keep one"),
    ],
)
def test_files_that_do_not_make_pictures_are_problems(folder, change, words):
    change(folder)
    with pytest.raises(InputError, match=words):
        find_named(folder, channels=SUFFIXES).check()


def test_a_suffix_of_no_file_is_a_problem(folder):
    with pytest.raises(InputError, match="4 images end in none of _x, _y"):
        find_named(folder, channels=Channels(suffixes=("_x", "_y"))).check()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (FIVE[:5, :, 0], r"one size and pixel type; .*a_dapi\.tif is 9x11 uint8, .*a_gfp\.tif is 5x11 uint8"),
        (FIVE[..., 0].astype(np.uint16), "is 9x11 uint16"),
    ],
)
def test_files_of_one_picture_are_alike(folder, image, words):
    bands(folder / "images/a_gfp.tif", image)
    with pytest.raises(InputError, match=words):
        find_named(folder, channels=SUFFIXES).check()[""][0].read()


def test_files_of_one_picture_have_as_many_pages(folder):
    stack(folder / "images/a_gfp.tif", np.zeros((2, 9, 11), np.uint8), "ZYX")
    with pytest.raises(InputError, match=r"one number of pages; .*a_dapi\.tif has 1, .*a_gfp\.tif has 2"):
        find_named(folder, channels=SUFFIXES).check()[""][0].read()


GAPS = np.where(FIVE[..., 0] < 128, 0, 9).astype(np.int16)


@pytest.mark.parametrize("page", [0, 1])
def test_a_file_that_holds_what_only_another_of_its_picture_names_as_nodata_is_refused(tmp_path, page):
    """A height of 0 is ground, and 0 in the photograph beside it a gap."""
    files = [tmp_path / "images" / f"a{end}.tif" for end in ("_photo", "_height")]
    files[0].parent.mkdir()

    def write(number, image, nodata=None):
        tags = [] if nodata is None else [(42113, "s", 0, nodata, True)]
        tifffile.imwrite(files[number], [image] * 2, metadata=None, photometric="minisblack", extratags=tags)

    def read(*picked):
        return Channels(picked, ("_photo", "_height")).read(files, page)

    heights = np.roll(GAPS, 1, 0) * 2
    write(0, GAPS, "0")
    write(1, heights)
    count = np.count_nonzero((heights == 0) & (GAPS != 0))
    words = rf"a_photo\.tif names 0, and .*a_height\.tif, which does not, holds it in {count} pixels that.*-a_nodata 0"
    with pytest.raises(InputError, match=words) as raised:
        read()
    assert raised.value.file == files[1]
    assert (read("photo").nodata, read("height").nodata) == ((0.0,), ())  # nothing is said of what is not taken
    write_picture(tmp_path / "masks/a.tif", np.eye(9, 11, dtype=np.uint8) * 255)
    pair = Pair("a", files[0], tmp_path / "masks/a.tif", 0, "", (files[1],), Channels((), ("_photo", "_height")))
    assert str(look_at(pair, None, False, False).error) == str(raised.value)
    write(1, GAPS * 2 + 1)
    assert read().nodata == (0.0,)
    write(1, GAPS * 2)  # in the gaps alone
    assert read().nodata == (0.0,)
    write(1, GAPS, "0")
    assert read().nodata == (0.0,)
    write(0, np.where(GAPS, 9, -9999).astype(np.int16), "-9999")
    write(1, np.where(GAPS, 9, -9999).astype(np.int16))  # far below all others, which says the same
    assert read().nodata == (-9999.0,)


def test_a_value_counts_as_named_where_it_is_a_gap_of_one_that_names_it_in_all_its_channels(tmp_path):
    colours = np.dstack([GAPS, GAPS, np.roll(GAPS, 1, 0)]).astype(np.uint8)
    gaps = (colours == 0).all(-1)
    tags = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "a_rgb.tif", colours, metadata=None, photometric="rgb", extratags=tags)
    channels = Channels((), ("_rgb", "_x"))
    files = [tmp_path / "a_rgb.tif", tmp_path / "a_x.tif"]
    bands(files[1], np.where(gaps, 0, 7).astype(np.uint8))
    assert channels.read(files).nodata == (0.0,)
    write_picture(tmp_path / "a.png", GAPS.astype(np.uint8))
    (tmp_path / "a.png").rename(files[1])  # what a file is called says nothing
    held = np.count_nonzero((GAPS == 0) & ~gaps)
    words = rf"a_x\.tif, which does not, holds it in {held} pixels.*save both as TIFF files.*as uint16 or float32"
    with pytest.raises(InputError, match=words):
        channels.read(files)


@pytest.mark.parametrize("nodata", [None, "0"])
def test_nothing_is_looked_at_where_all_files_name_the_same_as_nodata(tmp_path, nodata):
    tags = [] if nodata is None else [(42113, "s", 0, nodata, True)]
    files = [bands(tmp_path / name, GAPS, extratags=tags) for name in ("a.tif", "b.tif")]
    opened = [open_pictures(file) for file in files]
    of_file = np.array([0, 1])
    for numbers in (of_file, of_file[:1]):
        assert channels_module._nodata(opened, None, numbers) == (() if nodata is None else (0.0,))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channels": "0,0"}, "channels must be different names or numbers"),
        ({"channels": "0,,1"}, "channels must be different names or numbers"),
        ({"channel_suffix": "_a"}, "channel_suffix must be 2 or more different endings"),
        ({"channel_suffix": "_gfp,gfp"}, "none of which ends in another"),
        ({"context": -1}, "context must be 0 to 16"),
        ({"channels": True}, "channels must be texts"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        TrainConfig(**settings)


def test_settings_are_texts_with_commas_or_lists():
    for channels in ("0, NIR", ["0", "NIR"], [0, "NIR"], ("0", "NIR")):
        assert TrainConfig(channels=channels).source.picked == ("0", "NIR")
    assert TrainConfig(channels=3).channels == ("3",)
    assert TrainConfig(channels="").channels == ()


def samples(folder, *images):
    for number, image in enumerate(images):
        (folder / "images").mkdir(exist_ok=True)
        image(folder / f"images/{number}.ome.tif")
        write_picture(folder / f"masks/{number}.ome.png", np.eye(9, 11, dtype=np.uint8) * 255)
    return read_samples(find_named(folder).check()[""], MaskFormat("binary"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda p: bands(p, FIVE[..., :4]), r"0\.ome\.tif has 5 \(0 DAPI, .*\); .*1\.ome\.tif has 4 \(0, 1, 2, 3\)"),
        (lambda p: dyes(p, FIVE, DYES[::-1]), r"in one order; .*0 DAPI, 1 GFP.*0 b, 1 a"),
        (lambda p: bands(p, FIVE[..., 0]), r"1\.ome\.tif has 1 \(0\)"),
    ],
)
def test_files_of_a_data_set_have_the_same_channels(tmp_path, other, words):
    with pytest.raises(InputError, match=words):
        samples(tmp_path, lambda p: dyes(p, FIVE, DYES), other)


def test_lists_in_words():
    assert listed(["", "GFP"]) == "0, 1 GFP"
    assert listed([""] * 22).endswith("19 and 2 more")


@pytest.mark.parametrize("suffix", ["_gt_1st", "_gt_2nd"])
def test_masks_of_two_annotators_lie_beside_the_files_of_channels(tmp_path, suffix):
    for number in range(3):
        for end in ("_dapi", "_gfp", "_gt_1st", "_gt_2nd"):
            write_picture(tmp_path / f"s{number}{end}.png", np.zeros((4, 5), np.uint8))
    channels = Channels(suffixes=("_dapi", "_gfp"))
    found = find_named(tmp_path, Naming(mask_suffix=suffix), channels)
    assert found.problems == []
    assert [(pair.name, pair.mask.name, len(pair.files)) for pair in found.splits[""]] == [
        (f"s{n}", f"s{n}{suffix}.png", 2) for n in range(3)
    ]
    other = {"_gt_1st": "_gt_2nd", "_gt_2nd": "_gt_1st"}[suffix]
    left = ", ".join(f"s{n}{other}.png" for n in range(3))
    assert found.notes == [f"Pictures in {tmp_path} that are neither image nor mask: {left}."]
    (tmp_path / "s1_gfp.png").rename(tmp_path / "s1_gpf.png")
    found = find_named(tmp_path, Naming(mask_suffix=suffix), channels)
    assert found.problems[0] == "1 picture has no file that ends in _gfp: s1."
    assert "s1_gpf.png" in found.notes[0]
    found = find_named(tmp_path, Naming(mask_suffix=suffix), Channels(suffixes=("_red", "_green")))
    assert "9 images end in none of _red, _green" in found.problems[0]
