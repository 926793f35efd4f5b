import numpy as np
import pytest
from PIL import Image

from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import MaskSettings, recognise
from unet_tf.data.mask_looks import MaskLook, look_at_masks
from unet_tf.data.mask_tables import bits_conflict, table_conflict
from unet_tf.data.palette import Palette
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError

LABEL = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((4, 4), np.uint8))
VALUES = np.array([[0, 1], [2, 255]], np.uint8)
BLACK, RED, GREEN = (0, 0, 0), (255, 0, 0), (0, 255, 0)
NAMES = ("rest", "a", "b")


def folder(tmp_path, *masks, suffix=".png"):
    """A folder of masks, each given by its values and, unless it has none, its colour table."""
    for number, (values, table) in enumerate(masks):
        write_picture(tmp_path / "images" / f"{number}.png", np.zeros(values.shape, np.uint8))
        picture = Image.fromarray(values)
        if table:
            picture.putpalette(sum(table, ()))
        (tmp_path / "masks").mkdir(exist_ok=True)
        picture.save(tmp_path / "masks" / f"{number}{suffix}")
    return find_named(tmp_path).splits[""]


def grey(*values):
    return [(value,) * 3 for value in values]


def conflict(pairs, void=()):
    ((looks, complete),) = look_at_masks(pairs, False)
    assert complete
    return table_conflict(looks, void)


def moved(order):
    """The label and its three colours, numbered in another order."""
    return np.argsort(order).astype(np.uint8)[LABEL], [(BLACK, RED, GREEN)[number] for number in order]


CONFLICTS = {
    "another order": [moved([0, 1, 2]), moved([0, 2, 1])],
    "greys by what a file holds": [(LABEL, grey(0, 128, 255)), (LABEL // 2, grey(128, 255))],
    "one class fewer": [moved([0, 1, 2]), (LABEL // 2, [BLACK, GREEN])],
    "greys": [(LABEL, grey(0, 127, 255)), (LABEL, grey(0, 255, 127))],
    "greys beside a file without a table": [((2 - LABEL).astype(np.uint8), grey(2, 1, 0)), (LABEL, None)],
    "white beside void": [(LABEL // 2, grey(0, 255)), (np.kron(VALUES, np.ones((4, 4), np.uint8)), None)],
}
AGREEING = {
    "one table": [moved([0, 1, 2])] * 2,
    "entries that nothing holds": [(LABEL, [BLACK, RED, GREEN, RED]), (LABEL, [BLACK, RED, GREEN, GREEN])],
    "a class fewer": [moved([0, 1, 2]), (LABEL * (LABEL < 2), [BLACK, RED])],
    "no table beside one": [moved([0, 1, 2]), (LABEL, None)],
    "greys of the ids beside a table": [moved([0, 1, 2]), (LABEL, grey(0, 1, 2))],
    "tables that are black": [(LABEL, [BLACK] * 3), (LABEL * 2, [BLACK] * 5), moved([0, 1, 2])],
    "greys by an order that no other file holds": [(LABEL, grey(0, 100, 200)), (LABEL, None)],
    "white in the table that has void": [
        (np.uint8(ids)[LABEL], grey(0, 255, 128, *range(3, 256))) for ids in ([0, 1, 1], [0, 255, 0], [0, 1, 2])
    ],
    "a colour of two ids that never meet": [
        (np.uint8([0, 1, 2])[LABEL], [BLACK, RED, GREEN, RED]),
        (np.uint8([0, 2, 3])[LABEL], [BLACK, RED, GREEN, RED]),
    ],
    "void in any colour": [
        (np.uint8([0, 1, 255])[LABEL], [BLACK, RED, *grey(*range(253)), GREEN]),
        (np.uint8([0, 1, 255])[LABEL], [BLACK, RED, *grey(*range(253)), (9, 9, 9)]),
    ],
}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("case", CONFLICTS)
def test_tables_that_contradict_each_other_are_told(tmp_path, case, suffix):
    pairs = folder(tmp_path, *CONFLICTS[case], suffix=suffix)
    assert conflict(pairs)
    for kind in ("auto", "index"):
        found = recognise(pairs, MaskSettings(kind, NAMES))
        assert (found.masks.kind, found.masks.values) == ("index", (0, 1, 2))
        assert "The ids of masks tell the class, and their colours another: by " in found.doubt
    for kind in ("auto", "index"):
        with pytest.raises(InputError, match=r"ids of one class seem to differ: .*say so: --masks index --classes 3\."):
            recognise(pairs, MaskSettings(kind))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("case", AGREEING)
def test_tables_that_agree_are_of_ids_as_before(tmp_path, case, suffix):
    pairs = folder(tmp_path, *AGREEING[case], suffix=suffix)
    assert not conflict(pairs)
    found = recognise(pairs, MaskSettings(classes=NAMES))
    assert (found.masks.kind, found.doubt) == ("index", "")


def test_the_files_and_colours_are_named(tmp_path):
    words = conflict(folder(tmp_path, *CONFLICTS["another order"]))
    assert words == (
        f"by the colour tables 1 is (255, 0, 0) in {tmp_path}/masks/0.png and (0, 255, 0) in {tmp_path}/masks/1.png"
    )


def test_void_that_is_said_may_have_several_colours(tmp_path):
    pairs = folder(tmp_path, (LABEL, [BLACK, RED, GREEN]), (LABEL, [BLACK, RED, (9, 9, 9)]))
    assert conflict(pairs) and not conflict(pairs, [2])
    for said in ((("rest", "a"), ("2",)), (NAMES, ("b",))):
        assert recognise(pairs, MaskSettings("auto", *said)).masks.void == (2,)


def test_of_two_classes_one_that_agrees_tells_both(tmp_path):
    pairs = folder(tmp_path, (LABEL // 2, [BLACK, RED]), (LABEL // 2, [BLACK, GREEN]))
    found = recognise(pairs, MaskSettings(classes=NAMES[:2]))
    assert (found.masks.values, found.doubt) == ((0, 1), "")
    for colours in ([BLACK, RED], grey(20, 200)):
        pairs = folder(tmp_path, (LABEL // 2, colours), (LABEL // 2, colours[::-1]))
        found = recognise(pairs, MaskSettings(classes=NAMES[:2]))
        assert f"by the colour tables 0 is {colours[0]} in" in found.doubt


def test_colours_that_are_listed_tell_the_class_whatever_the_order(tmp_path):
    pairs = folder(tmp_path, *CONFLICTS["another order"])
    assert recognise(pairs, MaskSettings(), Palette(NAMES, (BLACK, RED, GREEN))).masks.kind == "palette"
    found = recognise(pairs, MaskSettings("index"), Palette(NAMES, (BLACK, RED, GREEN)))
    assert "If the colours tell the class: Say --masks palette" in found.doubt


def test_masks_of_objects_may_have_a_table_each(tmp_path):
    pairs = folder(tmp_path, *CONFLICTS["another order"])
    assert recognise(pairs, MaskSettings("instance")).masks.kind == "instance"


def of_bits(folder, *masks, suffix=".png"):
    """A folder of masks, the first of them, of 0 and 255, with 1 bit."""
    for number, mask in enumerate(masks):
        write_picture(folder / "images" / f"{number}.png", np.zeros((2, 3), np.uint8))
        (folder / "masks").mkdir(exist_ok=True)
        picture = Image.fromarray(np.resize(np.uint8(mask), (2, 3)))
        (picture if number else picture.convert("1")).save(folder / "masks" / f"{number}{suffix}")
    return find_named(folder).splits[""]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("ids", [(0, 1, 2, 255), (0, 1, 255)])
def test_an_id_of_one_bit_that_shows_the_void_of_other_files_is_told(tmp_path, suffix, ids):
    pairs = of_bits(tmp_path, (0, 255), ids, suffix=suffix)
    found = recognise(pairs, MaskSettings(classes=NAMES[: len(ids) - 1]))
    assert (found.masks.kind, found.masks.values) == ("index", ids[:-1])
    assert found.doubt == (
        "The ids of masks tell the class, and their greys another: by its few bits 1 is the grey 255 in "
        f"{tmp_path}/masks/0{suffix}, and files of more bits hold 255. If the greys tell the class: Save all masks "
        "with 8 bits."
    )


@pytest.mark.parametrize(
    ("masks", "kind"),
    [
        ([(0, 255), (0, 1, 2)], "index"),  # none holds 255
        ([(0, 0), (0, 1, 2, 255)], "index"),
        ([(0, 255), (0, 255)], "binary"),
    ],
)
def test_bits_that_may_be_as_they_are_stored_are_not_doubted(tmp_path, masks, kind):
    found = recognise(of_bits(tmp_path, *masks), MaskSettings(classes=NAMES if kind == "index" else None))
    assert (found.masks.kind, found.doubt) == (kind, "")


@pytest.mark.parametrize(
    ("greys", "words"),
    [
        ((0, 85, 170, 255), "by its few bits 1 is the grey 85 in a"),
        ((0, 85, 255), "by its few bits 1 is the grey 85 in a"),
        ((0, 51), ""),  # 4 bits, which no file of more could hold without loss
        ((0, 85, 204), ""),
    ],
)
def test_bits_are_doubted_where_others_hold_all_that_they_show(greys, words):
    step = 17 if {51, 204} & {*greys} else 85
    few = MaskLook("a", False, dict.fromkeys(greys, 4), {grey // step: 4 for grey in greys}, {}, None)
    of_more = dict.fromkeys((0, 85, 170, 255), 9)
    assert bits_conflict([few, MaskLook("b", False, of_more, of_more, {}, None)]).startswith(words)
    assert bool(bits_conflict([few, MaskLook("b", False, of_more, of_more, {}, None)])) == bool(words)
    assert bits_conflict([few, few._replace(name="b"), few._replace(counts={0: 4, 255: 4}, ids={0: 4, 1: 4})]) == ""
