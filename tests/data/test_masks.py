from dataclasses import asdict

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unet_tf.data.mask_values import value_counts
from unet_tf.data.masks import MaskFormat
from unet_tf.data.unknown_values import UnknownValues
from unet_tf.errors import InputError
from unet_tf.labels import VOID, label_from_one_hot, one_hot

BINARY = MaskFormat("binary")
COLOURS = ((0, 0, 255), (9, 9, 9), (250, 128, 0))
PALETTE = MaskFormat("palette", 3, COLOURS, void=((0, 0, 0),))
SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=12)


@st.composite
def formats(draw):
    """A format of each kind but "instance", with void where it has a value for it."""
    kind = draw(st.sampled_from(["binary", "index", "palette"]))
    if kind == "binary":
        inverted, high = draw(st.booleans()), draw(st.sampled_from([0, 1, 127, 255, 65535]))
        void = st.sampled_from([(), (128,), (7, 200), *([] if high else [(255,), (1,), (9, 255)])])
        values = () if not high else (high, 0) if inverted else (0, high)
        return MaskFormat(kind, inverted=inverted, void=draw(void), values=values)
    number = draw(st.integers(2, 40))
    if kind == "index":
        void = tuple(draw(st.sets(st.integers(0, 50), max_size=3)))
        ids = st.integers(51, 65535)
        return MaskFormat(kind, number, void=void, values=draw(st.sampled_from([
            (), tuple(draw(st.lists(ids, min_size=number, max_size=number, unique=True))),
        ])))  # fmt: skip
    colours = draw(
        st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=number + 1, max_size=number + 1, unique=True)
    )
    return MaskFormat(kind, number, tuple(colours[1:]), void=(colours[0],))


@given(formats(), st.data())
@settings(max_examples=150)
def test_a_label_drawn_as_a_mask_reads_back(masks, data):
    has_void = bool(masks.void) or (masks.kind == "index" and 255 not in masks.values)
    ids = st.sampled_from([*range(masks.num_classes), *([VOID] if has_void else [])])
    label = data.draw(arrays(np.uint8, SHAPES, elements=ids))
    np.testing.assert_array_equal(masks.label(masks.mask(label)), label)


@pytest.mark.parametrize("void", [(9,), (2, 1), (3, 1)])
@given(label=arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 0, 1, VOID])))
def test_objects_drawn_as_instances_read_back(void, label):
    masks = MaskFormat("instance", void=void)
    drawn = masks.mask(label)
    assert drawn.dtype == np.uint16
    np.testing.assert_array_equal(masks.label(drawn), label)


@given(st.integers(2, 12), st.data())
def test_one_hot_and_back(number, data):
    label = data.draw(arrays(np.uint8, SHAPES, elements=st.sampled_from([*range(number), VOID])))
    channels = one_hot(label, number)
    assert channels.shape == (*label.shape, number)
    assert set(np.unique(channels)) <= {0, 1}
    np.testing.assert_array_equal(label_from_one_hot(channels * 255), label)


@given(arrays(np.int32, SHAPES, elements=st.integers(0, 3)))
def test_values_are_counted(picture):
    values, counts = np.unique(picture, return_counts=True)
    assert value_counts(picture) == dict(zip(values.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("masks", "mask", "label"),
    [
        (BINARY, np.array([[0, 255], [255, 0]], np.uint8), [[0, 1], [1, 0]]),
        (BINARY, np.array([[0, 1], [1, 0]], np.uint8), [[0, 1], [1, 0]]),
        (BINARY, np.array([[0, 65535]], np.uint16), [[0, 1]]),
        (BINARY, np.array([[False, True]]), [[0, 1]]),
        (BINARY, np.array([[0.0, 1.0]], np.float32), [[0, 1]]),
        (BINARY, np.full((2, 2), 255, np.uint8), [[1, 1], [1, 1]]),
        (BINARY, np.zeros((1, 2, 3), np.uint8), [[0, 0]]),
        (MaskFormat(values=(0, 255), tolerance=128), np.array([[0, 1, 2, 200]], np.uint8), [[0, 0, 0, 1]]),
        (MaskFormat(values=(0, 1)), np.array([[1, 1]], np.uint16), [[1, 1]]),
        (MaskFormat(values=(0, 127)), np.array([[0, 127]], np.uint8), [[0, 1]]),
        (MaskFormat(values=(65535, 0), inverted=True), np.array([[0, 65535]], np.uint16), [[1, 0]]),
        (
            MaskFormat("index", 4, values=(0, 7, 11, 26)),
            np.array([[26, 11, 7, 0, 255]], np.uint8),
            [[3, 2, 1, 0, VOID]],
        ),
        (MaskFormat("index", 4, values=(0, 85, 170, 255)), np.array([[255, 170, 0]], np.uint8), [[3, 2, 0]]),
        (MaskFormat("binary", inverted=True), np.array([[0, 255]], np.uint8), [[1, 0]]),
        (MaskFormat("binary", void=(128,)), np.array([[0, 128, 255]], np.uint8), [[0, VOID, 1]]),
        (MaskFormat("binary", void=(255,)), np.array([[0, 1, 255]], np.uint8), [[0, 1, VOID]]),
        (MaskFormat("index", 3), np.array([[0, 1, 2, 255]], np.uint8), [[0, 1, 2, VOID]]),
        (MaskFormat("index", 3), np.array([[2, 0]], np.int64), [[2, 0]]),
        (MaskFormat("index", 2, void=(0,)), np.array([[0, 1, 2]], np.uint16), [[VOID, 0, 1]]),
        (MaskFormat("index", 2, void=(11,)), np.array([[0, 1, 11]], np.uint8), [[0, 1, VOID]]),
        (PALETTE, np.array([[(9, 9, 9), (0, 0, 255), (0, 0, 0)]], np.uint8), [[1, 0, VOID]]),
        (PALETTE, np.array([[9, 0]], np.uint8), [[1, VOID]]),
        (MaskFormat("instance"), np.array([[0, 7, 7, 0]], np.uint16), [[0, 1, 1, 0]]),
        (MaskFormat("instance", void=(7,)), np.array([[0, 7, 5]], np.uint16), [[0, VOID, 1]]),
    ],
)
def test_each_convention_becomes_label_ids(masks, mask, label):
    found = masks.label(mask)
    assert found.dtype == np.uint8
    assert found.tolist() == label


def test_reading_a_mask_is_the_same_inside_a_dataset():
    mask = np.array(COLOURS, np.uint8)[np.random.default_rng(0).integers(0, 3, (8, 6))]
    dataset = tf.data.Dataset.from_tensors(mask).map(lambda m: tf.numpy_function(PALETTE.label, [m], tf.uint8))
    np.testing.assert_array_equal(next(iter(dataset)), PALETTE.label(mask))


@pytest.mark.parametrize(
    ("masks", "mask", "message"),
    [
        (
            BINARY,
            [[0, 17], [17, 254]],
            r"m\.png must hold 0, 255 and void alone; .* 17 \(17 from class 0\), 254 \(1 from class 1\) in 3 of 4 .*"
            "the farthest is 17 away: --mask-tolerance 17",
        ),
        (BINARY, [[0, 1, 255]], r"also holds 1 \(1 from class 0\) in 1 of 3 .*Say what they are \(--classes, --void"),
        (
            MaskFormat("binary", 2, values=(0, 255)),
            [[0, 1, 2]],
            r"are ids, .* To ignore them: --void 1 --void 2\.$",
        ),
        (MaskFormat("binary", 2, values=(0, 255)), [[0, 1, 2, 255]], r"2 away: --mask-tolerance 2\.$"),  # noise
        (BINARY, [[0, 255, 65535]], r"also holds 255 \(1 from class 0\) in 1 of 3 pixels"),
        (BINARY, [[[0, 0, 255]]], "is colour-coded, and binary masks must be grey. List the colours in a file"),
        (MaskFormat("instance"), [[[0, 0, 255]]], r"masks must be grey. Write each id as one number.*R \+ 256 G"),
        (BINARY, [[0.5, 1.0]], "holds float64 pixels, such as 0.5, and masks hold whole numbers from 0"),
        (BINARY, [[-1, 0]], "holds int64 pixels, such as -1, .*--void 255"),
        (MaskFormat("index", 3), [[0, 3]], r"must hold 0, 1, 2 and void alone; it also holds 3 \(1 from class 2\)"),
        (MaskFormat("index", 3), [[0, 70_000]], r"also holds 70000"),
        (MaskFormat("index", 3), [[0, 1 << 62]], r"also holds 4611686018427387904"),
        (BINARY, np.zeros((0, 5)), r"with a pixel at least; m\.png is \(0, 5\)"),
        (PALETTE, [[[[0]]]], r"m\.png is \(1, 1, 1, 1\)"),
        (
            PALETTE,
            [[[1, 2, 3]]],
            r"must hold the 3 colours of its palette .*\(1, 2, 3\) \(4 from void\) in 1 of 1",
        ),
    ],
)
def test_unknown_values_are_never_guessed(masks, mask, message):
    array = np.array(mask)
    array = array.astype(np.uint8) if masks.kind == "palette" else array
    with pytest.raises(InputError, match=message):
        masks.label(array, "m.png")


def test_within_the_tolerance_the_nearest_class_is_taken_and_beyond_it_none():
    soft = np.array([[0, 100, 127, 128, 200, 255]], np.uint8)
    assert MaskFormat("binary", tolerance=128).label(soft).tolist() == [[0, 0, 0, 1, 1, 1]]
    with pytest.raises(InputError, match="127 .* from class 0"):
        MaskFormat("binary", tolerance=100).label(soft)
    deep = np.array([[0, 200, 255, 32_767, 32_768, 65535]], np.uint16)
    assert MaskFormat("binary", tolerance=128).label(deep).tolist() == [[0, 0, 0, 0, 1, 1]]
    near = MaskFormat("palette", 3, COLOURS, tolerance=5)
    mask = np.array([[(3, 0, 251), (12, 9, 13)]], np.uint8)
    assert near.label(mask).tolist() == [[0, 1]]
    with pytest.raises(UnknownValues, match=r"\(13, 9, 13\) \(6 from class 1\)") as raised:
        near.label(np.array([[(13, 9, 13), (3, 0, 251), (3, 0, 251)]], np.uint8))
    assert raised.value.strangers == [((3, 0, 251), 2, 0, 5.0), ((13, 9, 13), 1, 1, pytest.approx(32**0.5))]


def test_what_stands_for_a_class_is_not_decided_mask_by_mask():
    masks = MaskFormat(values=(0, 255))
    with pytest.raises(UnknownValues, match=r"also holds 1 \(1 from class 0\) in 4 of 4"):
        masks.label(np.ones((2, 2), np.uint8))
    with pytest.raises(UnknownValues, match=r"also holds 255 \(1 from class 0\)"):
        MaskFormat(values=(0, 65535)).label(np.array([[0, 255]], np.uint16))
    assert not MaskFormat(values=(0, 65535), tolerance=128).label(np.array([[0, 200, 255]], np.uint16)).any()


def test_a_format_of_version_0_1_is_restored_and_reads_as_it_did():
    stored = {"kind": "binary", "num_classes": 2, "colours": [], "void": [], "inverted": False, "tolerance": 0.0}
    masks = MaskFormat.restore(stored)
    assert masks == MaskFormat()
    assert masks.label(np.array([[0, 1]])).tolist() == masks.label(np.array([[0, 255]])).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "rgb"}, "The kind of a mask must be one of binary, palette, index, instance; received 'rgb'"),
        ({"kind": "index", "num_classes": 300}, "must be 2 to 254 classes; received 300"),
        ({"kind": "binary", "num_classes": 3}, "Masks of kind binary must have 2 classes; received 3"),
        (
            {"kind": "palette", "num_classes": 3, "colours": COLOURS[:2]},
            "must have one colour a class, .*; received 2 for 3 classes of kind palette",
        ),
        ({"kind": "index", "inverted": True}, "Only binary masks can be inverted; received index"),
        ({"kind": "index", "void": ((0, 0, 0),)}, "Void must be a colour in a palette and a value elsewhere"),
        ({"kind": "index", "void": (7, 1 << 16)}, "Values and void must be 0 to 65535; received 7, 65536"),
        ({"void": (-1,)}, "Values and void must be 0 to 65535; received -1"),
        (
            {"values": (0, 1, 2)},
            "must have one value a class, .*; received 3 for 2 classes of kind binary",
        ),
        ({"kind": "instance", "values": (0, 1)}, "other kinds none; received 2 for 2 classes of kind instance"),
        ({"values": (255,)}, "Binary and index masks must have one value a class, other kinds none; received 1 for 2"),
        ({"values": (255, 0)}, "The lower value must be class 0, or class 1 of inverted masks; received 255, 0"),
        ({"values": (0, 255), "void": (255,)}, "must have a value of its own; received 255, 0, 255"),
        ({"void": (0,)}, "must have a value of its own; received 0, 0, 255"),
        ({"void": (1, 255), "inverted": True}, "must have a value of its own; received 1, 255, 1, 0"),
        (
            {"kind": "index", "tolerance": 3},
            "must be 0 or more, and 0 where values are ids; received 3 for index",
        ),
    ],
)
def test_formats_that_contradict_themselves_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        MaskFormat(**settings)


def test_void_without_a_value_and_ids_of_no_class_cannot_be_drawn():
    with pytest.raises(InputError, match="binary masks have none here"):
        BINARY.mask(np.array([[0, VOID]], np.uint8))
    with pytest.raises(InputError, match="Label ids must be 0 to 2, or 255; received 7"):
        PALETTE.mask(np.array([[7]], np.uint8))


def test_a_void_value_beyond_8_bits_is_drawn():
    masks = MaskFormat("index", 3, void=(300,))
    assert masks.mask(np.array([[1, VOID]], np.uint8)).tolist() == [[1, 300]]
    assert masks.label(np.array([[1, 300]], np.uint16)).tolist() == [[1, VOID]]


def test_one_hot_refuses_what_it_cannot_say():
    with pytest.raises(InputError, match="ids must be 0 to 2, or 255; received 3"):
        one_hot(np.array([[0, 3]]), 3)
    with pytest.raises(InputError, match="1 of 2 are set in several channels"):
        label_from_one_hot(np.array([[[1, 1], [0, 1]]]))
    with pytest.raises(InputError, match="There must be 254 classes at most; received 256"):
        one_hot(np.array([[0, VOID]]), 256)  # in whose last channel void would be a class
    for shape in ((4, 4, 1), (4, 4), (4,), (4, 4, 0), (4, 4, 255)):  # none says what is background; void is no class
        with pytest.raises(InputError, match=rf"must be \(H, W, num_classes\), 2 to 254.*received \({shape[0]},"):
            label_from_one_hot(np.ones(shape, np.uint8))


def test_instance_masks_with_a_border_have_a_class_more_and_are_drawn_whole():
    masks = MaskFormat("instance", 3, void=(9,), border=1, neck=0.75, smallest=2)
    mask = np.zeros((7, 12), np.uint16)
    mask[1:6, 1:5], mask[1:6, 5:9], mask[0, 11] = 4, 2, 9
    label = masks.label(mask)
    assert label[3].tolist() == [0, 2, 1, 1, 2, 2, 1, 1, 2, 0, 0, 0]
    assert label[0, 11] == VOID
    expected = np.where(mask == 4, 1, mask)
    np.testing.assert_array_equal(masks.mask(label), expected)
    assert MaskFormat.restore(asdict(masks)) == masks


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "instance", "border": 1}, "must have 3 classes; received 2"),
        ({"kind": "instance", "num_classes": 3}, "must have 2 classes; received 3"),
        ({"kind": "binary", "border": 2}, r"Only masks of object ids \(--masks instance\) have a border of 2 px"),
        ({"kind": "index", "num_classes": 3, "border": 1}, "received index"),
        ({"kind": "binary", "neck": float("nan")}, "0 or more"),
        ({"kind": "index", "smallest": 0}, "smallest object 1 or more"),
        ({"kind": "instance", "neck": float("nan")}, "0 or more"),
        ({"kind": "instance", "neck": float("inf")}, "0 or more"),
        ({"kind": "instance", "smallest": 0}, "smallest object 1 or more"),
        ({"kind": "instance", "num_classes": 2, "border": -1}, "0 to 100 pixels"),
        ({"kind": "instance", "num_classes": 3, "border": 101}, "0 to 100 pixels"),
    ],
)
def test_borders_and_necks_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        MaskFormat(**settings)
