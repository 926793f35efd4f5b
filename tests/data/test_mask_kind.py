import numpy as np
import pytest
from PIL import Image

from unet_tf.data import mask_looks
from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import MaskSettings, class_names, recognise
from unet_tf.data.mask_looks import look_at_masks
from unet_tf.data.palette import Palette
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.utils.signals import Stopped, stoppable, tell

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
    masks, classes, why, _ = recognised(tmp_path, grey(0, high), grey(0))
    assert (masks.kind, classes) == ("binary", ("background", "foreground"))
    assert why == f"the 2 masks looked at hold 0, {high} and nothing else"


def test_numbered_objects_are_instances(tmp_path):
    masks, classes, why, _ = recognised(tmp_path, objects(4), objects(20), objects(0))
    assert (masks.kind, classes) == ("instance", ("background", "cell"))
    assert why == "the 3 masks looked at number connected objects from 1, up to 20 in one"


def tissue(count):
    """Objects that leave no background."""
    return np.arange(1, count + 1, dtype=np.uint16)[None]


@pytest.mark.parametrize("kind", ["auto", "instance"])
@pytest.mark.parametrize(
    ("drawn", "scale", "border"),
    [(objects, 1, 0), (objects, 2, 0), (objects, 9, 1), (tissue, 9, 0)],  # 3 x 2 px: no inside; 6 x 4: less than rim
)
def test_a_rim_that_is_left_open_leaves_objects_their_inside_and_needs_background(tmp_path, kind, drawn, scale, border):
    masks = (np.kron(drawn(count), np.ones((scale, scale), np.uint16)) for count in (20, 12))
    found = recognised(tmp_path, *masks, kind=kind, border=None)
    assert (found.masks.kind, found.masks.border, len(found.classes)) == ("instance", border, 2 + (border > 0))


@pytest.mark.parametrize("most", [4, 19])
def test_few_numbered_pieces_may_be_classes_and_are_left_open(tmp_path, most):
    with pytest.raises(InputError, match=rf"--masks index --classes {most + 1}\. .*--masks instance"):
        recognised(tmp_path, objects(2), objects(most), objects(3))


def test_ids_are_an_index_once_the_classes_are_said(tmp_path):
    masks, classes, why, _ = recognised(tmp_path, grey(0, 1, 2, 255), classes=("a", "b", "c"))
    assert (masks.kind, masks.num_classes, classes) == ("index", 3, ("a", "b", "c"))
    assert "hold 0, 1, 2, 255, and there are 3 classes" in why


def test_ids_alone_are_left_open_with_what_would_do(tmp_path):
    with pytest.raises(
        InputError,
        match=r"open what the masks mean: .* 0, 1, 2, 255\. .*--masks index --classes 3, where 255 is void\. ",
    ):
        recognised(tmp_path, grey(0, 1, 2, 255))


def test_of_ids_without_0_the_lowest_is_said_to_be_called_background(tmp_path):
    said = r"--masks index --classes 2\. 1 is called background then; names, in the order 1, 2, are better\. "
    with pytest.raises(InputError, match=said):  # of pet, background and edge
        recognised(tmp_path, grey(1, 2, 3), void=("3",))
    with pytest.raises(InputError, match=r"--masks index --classes 3\. If objects"):
        recognised(tmp_path / "other", grey(0, 1, 2))


def test_void_is_left_out_of_what_tells_the_kind(tmp_path):
    masks, _, _, _ = recognised(tmp_path, grey(0, 128, 255), void=("128",))
    assert (masks.kind, masks.void) == ("binary", (128,))


def test_class_ids_in_pieces_are_no_objects(tmp_path):
    ids = [np.kron(np.arange(64).reshape(8, 8) % k, np.ones((4, 4))).astype(np.uint8) for k in (5, 9, 20, 3, 7, 64)]
    with pytest.raises(InputError, match="It is open what the masks mean"):
        recognised(tmp_path, *ids)


def test_whole_numbers_kept_as_float_are_read(tmp_path):
    assert recognised(tmp_path / "a", grey(0, 1).astype(np.float32), suffix=".tif")[0].kind == "binary"
    with pytest.raises(InputError, match="holds float32 pixels, .* and masks hold whole numbers"):
        recognised(tmp_path / "b", grey(0, 1).astype(np.float32) / 3, suffix=".tif")


def test_a_palette_tells_colours_and_ids_and_its_void(tmp_path):
    colours = np.array(CAMVID.colours, np.uint8)[grey(0, 1, 2)]
    masks, classes, _, _ = recognised(tmp_path / "a", colours, palette=CAMVID)
    assert (masks.kind, classes, masks.void) == ("palette", ("sky", "road"), ((0, 0, 0),))
    masks, classes, why, _ = recognised(tmp_path / "b", grey(0, 1, 2), palette=CAMVID)
    assert (masks.kind, classes, masks.void) == ("index", ("sky", "road"), (2,))
    assert "number the lines of label_colors.txt" in why


@pytest.mark.parametrize("setting", [{"tolerance": 5}, {"kind": "index", "inverted": True}])
def test_what_ids_cannot_have_is_refused_and_not_dropped(tmp_path, setting):
    with pytest.raises(InputError, match="0 where values are ids; received 5 for index|inverted; received index"):
        recognised(tmp_path, grey(0, 1, 2), palette=CAMVID, **setting)


def test_a_palette_of_grey_colours_is_one(tmp_path):
    greys = Palette(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)))
    masks, classes, _, _ = recognised(tmp_path, grey(0, 255), palette=greys)
    assert (masks.kind, classes) == ("palette", ("membrane", "cell"))
    assert masks.label(grey(0, 255, shape=(1, 2))).tolist() == [[0, 1]]


STREET = Palette(("sky", "road", "car", "Void"), ((128, 128, 128), (128, 64, 128), (64, 0, 128), (0, 0, 0)))


@pytest.mark.parametrize("void", ["road", "1", "128,64,128", "#804080"])
def test_void_is_said_by_name_number_or_colour_beside_the_class_that_is_called_so(tmp_path, void):
    colours = np.array(STREET.colours, np.uint8)[grey(0, 1, 2, 3)]
    masks, classes, _, _ = recognised(tmp_path, colours, palette=STREET, void=(void,))
    assert (classes, masks.void) == (("sky", "car"), ((128, 64, 128), (0, 0, 0)))


@pytest.mark.parametrize("void", [(), ("Void",), ("3",), ("0,0,0",), ("Void", "#000000")])
def test_void_that_is_said_twice_is_one_colour(tmp_path, void):
    colours = np.array(STREET.colours, np.uint8)[grey(0, 1, 2, 3)]
    masks, classes, _, _ = recognised(tmp_path, colours, palette=STREET, void=void)
    assert (classes, masks.void) == (("sky", "road", "car"), ((0, 0, 0),))


@pytest.mark.parametrize(
    ("void", "classes", "values", "left_out"),
    [
        (("255",), ("sky", "road", "car"), (0, 1, 2), (255, 3)),
        (("3",), ("sky", "road", "car"), (0, 1, 2), (3,)),
        (("1",), ("sky", "car"), (0, 2), (1, 3)),
        (("road", "Void"), ("sky", "car"), (0, 2), (1, 3)),
    ],
)
def test_void_of_ids_that_number_a_list_is_a_line_or_a_value_beside_the_class_that_is_called_so(
    tmp_path, void, classes, values, left_out
):
    found = recognised(tmp_path, grey(0, 1, 2, 3), palette=STREET, void=void)
    assert (found.classes, found.masks.values, found.masks.void) == (classes, values, left_out)
    assert found.masks.label(grey(2, shape=(1, 1))).item() == classes.index("car")


@pytest.mark.parametrize(
    ("ids", "void", "values"),
    [((0, 1, 2, 3, 4), "0", (1, 2, 3)), ((0, 1, 7, 11, 12), "1", (0, 7, 11)), ((0, 1, 2, 3, 4), "4", (0, 1, 2))],
)
def test_void_of_ids_beyond_a_list_is_an_id(tmp_path, ids, void, values):
    found = recognised(tmp_path, grey(0), grey(*ids), palette=STREET, void=(void,), kind="index")
    assert (found.classes, found.masks.values[:3]) == (("sky", "road", "car"), values)
    assert int(void) in found.masks.void


@pytest.mark.parametrize("void", [(), ("255",)])
def test_a_net_that_has_learnt_a_class_called_void_keeps_it(tmp_path, void):
    found = recognised(tmp_path, grey(0, 1, 2, 3), palette=STREET, void=void, only=True)
    assert (found.classes, found.masks.void) == (STREET.names, tuple(map(int, void)))


def test_void_by_name_takes_a_class_out_of_an_index(tmp_path):
    masks, classes, _, _ = recognised(tmp_path, grey(0, 1, 2), classes=("sky", "dirt", "road"), void=("dirt",))
    assert (masks.num_classes, masks.void, classes) == (2, (1,), ("sky", "road"))
    assert masks.label(grey(0, 1, 2, shape=(1, 3))).tolist() == [[0, 255, 1]]


@pytest.mark.parametrize(
    ("kind", "classes", "void"),
    [
        ("auto", ("sky", "void"), ()),
        ("binary", ("a", "b", "void"), ()),
        ("instance", ("a", "cell", "Void"), ()),
        ("auto", ("sky", "void", "road"), ()),
        ("index", ("VOID", "sky", "road"), ("void",)),
    ],
)
def test_void_has_a_value_and_is_no_class(tmp_path, kind, classes, void):
    (name,) = [one for one in classes if one.lower() == "void"]
    with pytest.raises(InputError, match=f"called void is ignored, and of .* Leave {name} out, .*--void VALUE"):
        recognised(tmp_path, grey(0, 255), kind=kind, classes=classes, void=void)


def test_a_class_of_ids_that_is_said_to_be_void_may_be_called_so(tmp_path):
    found = recognised(tmp_path, grey(0, 1, 2), classes=("sky", "road", "void"), void=("void",))
    assert (found.masks.values, found.masks.void, found.classes) == ((0, 1), (2,), ("sky", "road"))


@pytest.mark.parametrize(
    ("ids", "void", "values"),
    [((0, 1, 2), "1", (0, 2)), ((0, 1, 2), "0", (1, 2)), ((0, 7, 11), "11", (0, 7)), ((0, 1, 255), "2", (0, 1))],
)
def test_classes_without_void_are_those_of_the_other_values(tmp_path, ids, void, values):
    masks, _, _, _ = recognised(tmp_path, grey(*ids), kind="index", classes=("sky", "road"), void=(void,))
    assert (masks.values, masks.void) == (values, (int(void),))


def test_a_colour_table_counts_by_its_indices(tmp_path):
    picture = Image.fromarray(grey(0, 1, 2))
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    pairs = pairs_of(tmp_path, grey(0))
    picture.save(pairs[0].mask)
    masks, _, why, _ = recognise(pairs, MaskSettings(classes=("a", "b", "c")))
    assert masks.kind == "index"
    assert "into a colour table" in why


@pytest.mark.parametrize(
    ("mask", "settings", "message"),
    [
        (np.array([[[9, 8, 7]]], np.uint8), {}, "nothing says which colour is which class"),
        (
            np.array([[[9, 8, 7]]], np.uint8),
            {"kind": "palette"},
            "must have a file that says which",
        ),
        (
            grey(0, 1),
            {"kind": "index"},
            r"the number of classes, .* hold 0, 1\. .* --masks index --classes 2\.",
        ),
        (
            np.tile([0] * 20 + [60] + [255] * 20, (4, 1)).astype(np.uint8),
            {},
            "take the nearer one: --masks binary --mask-tolerance 128",
        ),
        (
            grey(0, 1),
            {"void": ("sea",)},
            r"a value or the name of a class \(background, foreground\); received 'sea'",
        ),
        (
            grey(0, 1),
            {"classes": ("a", "b", "c"), "kind": "binary"},
            "Masks of kind binary must have 2 classes; received 3",
        ),
    ],
)
def test_what_is_open_or_contradictory_is_said(tmp_path, mask, settings, message):
    with pytest.raises(InputError, match=message):
        recognised(tmp_path, mask, **settings)


def test_names_that_are_not_the_palettes_are_refused(tmp_path):
    colours = np.array(CAMVID.colours, np.uint8)[grey(0, 1, 2)]
    with pytest.raises(InputError, match="Classes must be those of the palette, sky, road; received a, b, c"):
        recognised(tmp_path, colours, palette=CAMVID, classes=("a", "b", "c"))
    with pytest.raises(InputError, match="Void must be a class of the palette"):
        recognised(tmp_path, colours, palette=CAMVID, void=("300,0,0",))


def test_jpeg_masks_are_refused_unless_asked_for(tmp_path):
    mask = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((20, 20), np.uint8))
    with pytest.raises(InputError, match="is a JPEG file, whose compression may change values at every edge"):
        recognised(tmp_path / "a", mask, suffix=".jpg")
    masks, _, _, _ = recognised(tmp_path / "b", mask, suffix=".jpg", tolerance=128)
    assert masks.kind == "binary"


@pytest.mark.parametrize(
    "mask", [np.arange(256, dtype=np.uint8), np.uint16([0, 65535, *range(0, 60_000, 900)]), np.uint8([0, 60, 130, 255])]
)
def test_thin_structures_with_soft_edges_are_offered_the_nearer_value(tmp_path, mask):
    pairs = pairs_of(tmp_path, np.tile(mask, (4, 2)))
    with pytest.raises(InputError, match="--masks binary --mask-tolerance 128") as raised:
        recognise(pairs, MaskSettings())
    assert ("--classes" in str(raised.value)) == (len(mask) < 16)  # few grey values may as well be classes
    assert recognise(pairs, MaskSettings(tolerance=128)).masks.kind == "binary"


EMPTY = np.zeros((6, 6), np.uint8)


@pytest.mark.parametrize(
    ("masks", "settings", "values"),
    [
        ([grey(0, 255), EMPTY, grey(255)], {}, (0, 255)),
        ([grey(0, 1), grey(1)], {}, (0, 1)),
        ([grey(1), grey(1)], {}, (0, 1)),
        ([EMPTY, EMPTY], {}, (0, 255)),
        ([grey(0, 127), EMPTY], {}, (0, 127)),
        ([grey(0, 1, 255)], {"void": ("255",)}, (0, 1)),
        ([grey(0, 255)], {"inverted": True}, (255, 0)),
        ([grey(0, 1), grey(1)], {"inverted": True}, (1, 0)),
        ([np.uint16([[0, 65535]]), np.uint16([[0, 0]])], {}, (0, 65535)),
        ([np.uint16([[0, 255]]), np.uint16([[0, 255]])], {}, (0, 255)),
        ([np.uint16([[0, 4095]])], {}, (0, 4095)),
        ([grey(0, 1, 2, 200, 255), grey(0, 1)], {"tolerance": 128, "kind": "binary"}, (0, 255)),
        ([grey(0, 0, 0, 3, 120, 127, 127, 127, 130)], {"tolerance": 128, "kind": "binary"}, (0, 127)),
        ([grey(1, 2)], {"kind": "binary"}, (1, 2)),
    ],
)
def test_what_stands_for_the_upper_class_is_one_value_for_the_folder(tmp_path, masks, settings, values):
    found = recognised(tmp_path, *masks, suffix=".png", **settings).masks
    assert (found.kind, found.values, found.inverted) == ("binary", values, "inverted" in settings)


@pytest.mark.parametrize("kind", ["auto", "binary"])
def test_files_with_1_among_files_with_255_are_named(tmp_path, kind):
    with pytest.raises(InputError, match=r"1 in .*1\.png") as raised:
        recognised(tmp_path, grey(0, 255), grey(0, 1), grey(0, 255), EMPTY, kind=kind)
    assert "masks/0.png" not in str(raised.value).partition("255 in")[0]


def test_masks_are_asked_until_one_tells_and_no_further(tmp_path, monkeypatch):
    """The 32 that are asked first are empty."""
    pairs = pairs_of(tmp_path, *[EMPTY] * 100)
    Image.fromarray(grey(0, 1)).save(pairs[40].mask)
    read = []
    original = mask_looks.read_mask
    monkeypatch.setattr(mask_looks, "read_mask", lambda path, *a, **k: read.append(path) or original(path, *a, **k))
    assert recognise(pairs, MaskSettings()).masks.values == (0, 1)
    assert len(read) == len(set(read)) == 64


def test_empty_masks_leave_open_whether_others_hold_ids_or_colours(tmp_path):
    """The 32 that are asked first are empty, and black is a colour of the list."""
    names, colours = ("background", "crack", "void"), ((0, 0, 0), (255, 0, 0), (255, 255, 255))
    for number, empty, count in (0, EMPTY, 2), (1, EMPTY, 3), (2, grey(0, 255), 3):
        lines = Palette(names[:count], colours[:count])
        (tmp_path / str(number)).mkdir()
        pairs = pairs_of(tmp_path / str(number), *[empty] * 100)
        for mask, kind in ((empty, "palette"), (grey(0, 1), "index"), (np.uint8(lines.colours)[grey(0, 1)], "palette")):
            Image.fromarray(mask).save(pairs[40].mask)
            assert recognise(pairs, MaskSettings(), lines).masks.kind == kind


def test_the_pixels_of_no_more_masks_are_kept_than_are_asked_first(tmp_path):
    pairs = pairs_of(tmp_path, *[EMPTY] * 10, *[grey(0, 255)] * 90)
    kept = [[sum(look.mask is not None for look in looks), len(looks)] for looks, _ in look_at_masks(pairs, False)]
    assert [number for _, number in kept] == [32, 64, 100]
    assert kept[0][0] < 32 and [number for number, _ in kept[1:]] == [32, 32]  # empty ones make room for others


def test_objects_are_told_by_all_masks_that_were_looked_at(tmp_path):
    """Those that are asked first hold too few, and the later ones are in the memory by their values alone."""
    masks = [objects(25 if number == 4 else 1 + number % 9) for number in range(41)]
    pairs = sorted(pairs_of(tmp_path, *masks), key=lambda pair: int(pair.name))
    (first, _), (looks, complete) = ((list(looks), complete) for looks, complete in look_at_masks(pairs, False))
    assert max(max(look.ids) for look in first) < 10 and complete
    assert [look.mask is None for look in looks] == [False] * 32 + [True] * 9
    assert recognise(pairs, MaskSettings()).masks.kind == "instance"


def test_each_mask_is_read_once(tmp_path, monkeypatch):
    pairs = pairs_of(tmp_path, *[grey(0, 255)] * 40)
    read = []
    original = mask_looks.read_mask
    monkeypatch.setattr(mask_looks, "read_mask", lambda path, *a, **k: read.append(path) or original(path, *a, **k))
    recognise(pairs, MaskSettings())
    assert len(read) == len(set(read)) == 32
    with pytest.raises(Stopped), stoppable():
        tell()
        recognise(pairs, MaskSettings())


@pytest.mark.parametrize(
    ("ids", "settings", "values", "void"),
    [
        ((0, 7, 11, 26), {"classes": tuple("abcd")}, (0, 7, 11, 26), ()),
        ((0, 7, 11, 26), {"classes": tuple("abcd"), "void": ("c",)}, (0, 7, 26), (11,)),
        ((0, 7, 11, 26), {"classes": tuple("abc"), "void": ("11",)}, (0, 7, 26), (11,)),
        ((0, 7, 11, 255), {"classes": tuple("abc")}, (0, 7, 11), ()),
        ((0, 7, 11, 255), {"classes": tuple("abcd")}, (0, 7, 11, 255), ()),
        ((0, 85, 170, 255), {"classes": tuple("abcd")}, (0, 85, 170, 255), ()),
        ((1, 2, 3), {"classes": tuple("abc")}, (1, 2, 3), ()),
        ((0, 1, 3), {"classes": tuple("abcd")}, (0, 1, 2, 3), ()),
        ((0, 1, 2, 255), {"classes": tuple("abc")}, (0, 1, 2), ()),
        ((300, 70, 65_000), {"classes": tuple("abc")}, (70, 300, 65_000), ()),
        ((0, 7), {"classes": tuple("ab"), "kind": "index"}, (0, 7), ()),
        ((0, 1, 2, 9), {"classes": tuple("abc")}, (0, 1, 2), ()),  # 9 is listed with its files when all are read
    ],
)
def test_ids_with_gaps_are_classes_in_order(tmp_path, ids, settings, values, void):
    mask = np.resize(np.array(ids, np.uint16 if max(ids) > 255 else np.uint8), (4, 6))
    found = recognised(tmp_path, mask, mask, **{"kind": "index", **settings}).masks
    assert (found.kind, found.values, found.void, found.num_classes) == ("index", values, void, len(values))


def test_a_grey_colour_table_counts_by_what_it_shows_or_by_its_indices(tmp_path):
    pairs = pairs_of(tmp_path, EMPTY)
    picture = Image.fromarray(grey(0, 1, 2))
    picture.putpalette([0, 0, 0, 128, 128, 128, 255, 255, 255])
    picture.save(pairs[0].mask)
    assert recognise(pairs, MaskSettings(void=("128",))).masks.values == (0, 255)
    assert recognise(pairs, MaskSettings(kind="index", classes=tuple("abc"))).masks.values == (0, 1, 2)


def test_errors_of_reading_masks_know_their_file(tmp_path):
    pairs = pairs_of(tmp_path, grey(0, 1))
    pairs[0].mask.write_bytes(b"")
    with pytest.raises(InputError) as raised:
        recognise(pairs, MaskSettings())
    assert raised.value.file == pairs[0].mask


def test_names_of_classes():
    assert class_names(None) is None
    assert class_names(2) == class_names("2") == ("background", "foreground")
    assert class_names("sky, road") == class_names(["sky", "road"]) == ("sky", "road")
