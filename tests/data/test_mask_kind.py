import numpy as np
import pytest
from PIL import Image

from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import MaskSettings, class_names, recognise
from unet_tf.data.palette import Palette
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError

CAMVID = Palette(("sky", "road", "void"), ((128, 128, 128), (128, 64, 128), (0, 0, 0)))


def pairs_of(folder, *masks, suffix=".png"):
    for number, mask in enumerate(masks):
        write_picture(folder / "images" / f"{number}.png", np.zeros(mask.shape[:2], np.uint8))
        path = folder / "masks" / f"{number}{suffix}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    return find_named(folder).splits[""]


def recognised(tmp_path, *masks, palette=None, suffix=".png", **settings):
    return recognise(pairs_of(tmp_path, *masks, suffix=suffix), MaskSettings(**settings), palette)


def grey(*values, shape=(6, 6)):
    return np.resize(np.array(values, np.uint8), shape)


def objects(count):
    mask = np.zeros((8, 3 * count + 4), np.uint16)
    for number in range(1, count + 1):
        mask[2:5, 3 * number : 3 * number + 2] = number
    return mask


@pytest.mark.parametrize("high", [1, 255])
def test_two_values_are_binary(tmp_path, high):
    masks, classes, why = recognised(tmp_path, grey(0, high), grey(0))
    assert (masks.kind, classes) == ("binary", ("background", "foreground"))
    assert why == f"the 2 masks looked at hold 0, {high} and nothing else"


def test_numbered_objects_are_instances(tmp_path):
    masks, classes, why = recognised(tmp_path, objects(4), objects(20), objects(0))
    assert (masks.kind, classes) == ("instance", ("background", "cell"))
    assert why == "the 3 masks looked at number connected objects from 1, up to 20 in one"


@pytest.mark.parametrize("most", [4, 19])
def test_few_numbered_pieces_may_be_classes_and_are_left_open(tmp_path, most):
    with pytest.raises(InputError, match=rf"--masks index --classes {most + 1}\. .*--masks instance"):
        recognised(tmp_path, objects(2), objects(most), objects(3))


def test_ids_are_an_index_once_the_classes_are_said(tmp_path):
    masks, classes, why = recognised(tmp_path, grey(0, 1, 2, 255), classes=("a", "b", "c"))
    assert (masks.kind, masks.num_classes, classes) == ("index", 3, ("a", "b", "c"))
    assert "hold 0, 1, 2, 255, and there are 3 classes" in why


def test_ids_alone_are_left_open_with_what_would_do(tmp_path):
    with pytest.raises(
        InputError,
        match=r"open what the masks mean: .* 0, 1, 2, 255\. .*--masks index --classes 3\. .*--masks instance",
    ):
        recognised(tmp_path, grey(0, 1, 2, 255))


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        ((1, 2), {"kind": "index", "classes": ("a", "b"), "void": ("0",)}),
        ((0, 1, 255), {"kind": "index", "classes": ("a", "b")}),
        ((0, 1, 2, 3), {"kind": "index", "classes": ("a", "b", "c", "d")}),
    ],
)
def test_the_remedies_for_what_is_open_work(tmp_path, values, settings):
    pairs = pairs_of(tmp_path, grey(*values), grey(*values[:-1]))
    with pytest.raises(InputError) as raised:
        recognise(pairs, MaskSettings())
    flags = f"--masks index --classes {len(settings['classes'])}" + " --void 0" * ("void" in settings)
    assert f"{flags}. " in str(raised.value)
    masks, _, _ = recognise(pairs, MaskSettings(**settings))
    assert set(np.unique(masks.label(grey(*values)))) <= {*range(len(settings["classes"])), 255}


def test_void_is_left_out_of_what_tells_the_kind(tmp_path):
    masks, _, _ = recognised(tmp_path, grey(0, 128, 255), void=("128",))
    assert (masks.kind, masks.void) == ("binary", (128,))


def test_class_ids_in_pieces_are_no_objects(tmp_path):
    ids = [np.kron(np.arange(64).reshape(8, 8) % k, np.ones((4, 4))).astype(np.uint8) for k in (5, 9, 20, 3, 7, 64)]
    with pytest.raises(InputError, match="It is open what the masks mean"):
        recognised(tmp_path, *ids)


def test_whole_numbers_kept_as_float_are_read(tmp_path):
    assert recognised(tmp_path / "a", grey(0, 1).astype(np.float32), suffix=".tif")[0].kind == "binary"
    with pytest.raises(InputError, match="holds float32 pixels, and masks hold whole numbers"):
        recognised(tmp_path / "b", grey(0, 1).astype(np.float32) / 3, suffix=".tif")


def test_a_palette_tells_colours_and_ids_and_its_void(tmp_path):
    colours = np.array(CAMVID.colours, np.uint8)[grey(0, 1, 2)]
    masks, classes, _ = recognised(tmp_path / "a", colours, palette=CAMVID)
    assert (masks.kind, classes, masks.void) == ("palette", ("sky", "road"), ((0, 0, 0),))
    masks, classes, why = recognised(tmp_path / "b", grey(0, 1, 2), palette=CAMVID)
    assert (masks.kind, classes, masks.void) == ("index", ("sky", "road"), (2,))
    assert "number the lines of label_colors.txt" in why


@pytest.mark.parametrize("setting", [{"tolerance": 5}, {"kind": "index", "inverted": True}])
def test_what_ids_cannot_have_is_refused_and_not_dropped(tmp_path, setting):
    with pytest.raises(InputError, match="0 where values are ids; received 5 for index|inverted; received index"):
        recognised(tmp_path, grey(0, 1, 2), palette=CAMVID, **setting)


def test_a_palette_of_grey_colours_is_one(tmp_path):
    greys = Palette(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)))
    masks, classes, _ = recognised(tmp_path, grey(0, 255), palette=greys)
    assert (masks.kind, classes) == ("palette", ("membrane", "cell"))
    assert masks.label(grey(0, 255, shape=(1, 2))).tolist() == [[0, 1]]


@pytest.mark.parametrize("void", ["road", "1", "128,64,128", "#804080"])
def test_void_is_said_by_name_number_or_colour(tmp_path, void):
    colours = np.array(CAMVID.colours, np.uint8)[grey(0, 1, 2)]
    masks, classes, _ = recognised(tmp_path, colours, palette=CAMVID, void=(void,))
    assert (classes, masks.void) == (("sky", "void"), ((128, 64, 128),))


def test_void_by_name_takes_a_class_out_of_an_index(tmp_path):
    masks, classes, _ = recognised(tmp_path, grey(0, 1, 2), classes=("sky", "dirt", "road"), void=("dirt",))
    assert (masks.num_classes, masks.void, classes) == (2, (1,), ("sky", "road"))
    assert masks.label(grey(0, 1, 2, shape=(1, 3))).tolist() == [[0, 255, 1]]


def test_a_colour_table_counts_by_its_indices(tmp_path):
    picture = Image.fromarray(grey(0, 1, 2))
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    pairs = pairs_of(tmp_path, grey(0))
    picture.save(pairs[0].mask)
    masks, _, why = recognise(pairs, MaskSettings(classes=("a", "b", "c")))
    assert masks.kind == "index"
    assert "into a colour table" in why


@pytest.mark.parametrize(
    ("mask", "settings", "message"),
    [
        (np.array([[[9, 8, 7]]], np.uint8), {}, "nothing says which colour is which class"),
        (np.array([[[9, 8, 7]]], np.uint8), {"kind": "palette"}, "need a file label_colors.txt"),
        (grey(0, 1), {"kind": "index"}, "Class ids need the number of classes"),
        (
            np.tile([0] * 20 + [60] + [255] * 20, (4, 1)).astype(np.uint8),
            {},
            "take the nearer one: --masks binary --mask-tolerance 128",
        ),
        (
            grey(0, 1),
            {"void": ("sea",)},
            r"a value or the name of a class \(background, foreground\) here; received 'sea'",
        ),
        (
            grey(0, 1),
            {"classes": ("a", "b", "c"), "kind": "binary"},
            "binary and instance have 2 classes; received binary with 3",
        ),
    ],
)
def test_what_is_open_or_contradictory_is_said(tmp_path, mask, settings, message):
    with pytest.raises(InputError, match=message):
        recognised(tmp_path, mask, **settings)


def test_names_that_are_not_the_palettes_are_refused(tmp_path):
    colours = np.array(CAMVID.colours, np.uint8)[grey(0, 1, 2)]
    with pytest.raises(InputError, match="The palette has the classes sky, road; received a, b, c"):
        recognised(tmp_path, colours, palette=CAMVID, classes=("a", "b", "c"))
    with pytest.raises(InputError, match="Void is a class of the palette"):
        recognised(tmp_path, colours, palette=CAMVID, void=("300,0,0",))


def test_jpeg_masks_are_refused_unless_asked_for(tmp_path):
    mask = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((20, 20), np.uint8))
    with pytest.raises(InputError, match="is a JPEG file, and JPEG changes values at every edge"):
        recognised(tmp_path / "a", mask, suffix=".jpg")
    masks, _, _ = recognised(tmp_path / "b", mask, suffix=".jpg", tolerance=128)
    assert masks.kind == "binary"


@pytest.mark.parametrize(
    "mask",
    [np.arange(256, dtype=np.uint8), np.uint8([0, 60, 130, 210, 255]), np.uint16([0, 900, 40_000, 60_000, 65535])],
)
def test_thin_structures_with_soft_edges_are_offered_the_nearer_value(tmp_path, mask):
    pairs = pairs_of(tmp_path, np.tile(mask, (4, 2)))
    with pytest.raises(InputError, match="--masks binary --mask-tolerance 128") as raised:
        recognise(pairs, MaskSettings())
    assert "--classes" not in str(raised.value)
    assert recognise(pairs, MaskSettings(tolerance=128)).masks.kind == "binary"


def test_names_of_classes():
    assert class_names(None) is None
    assert class_names(2) == class_names("2") == ("background", "foreground")
    assert class_names("sky, road") == class_names(["sky", "road"]) == ("sky", "road")
