import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kinds_of_annotations import encode_brush

from unet_tf.annotations.raster import spans_of
from unet_tf.annotations.runs import coco_counts, counts_of_spans, label_studio_alpha, spans_of_counts
from unet_tf.data.structure import Damage

masks = arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1))


@settings(max_examples=100)
@given(masks)
def test_coco_s_library_packs_what_is_read(mask):
    from pycocotools import mask as library

    packed = library.encode(np.asfortranarray(mask))["counts"]
    for text in (packed, packed.decode()):
        assert (spans_of_counts(coco_counts(text), *mask.shape, by_column=True) == spans_of(mask)).all()


@settings(max_examples=100)
@given(masks)
def test_runs_in_rows_are_those_down_columns(mask):
    changes = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0))
    assert counts_of_spans(spans_of(mask), *mask.shape) == np.diff(changes, prepend=0, append=mask.size).tolist()


def test_numbers_of_several_letters():
    from pycocotools import mask as library

    mask = np.zeros((2000, 1500), np.uint8)
    mask[100:1900, 3:1400] = 1
    mask[1000, 700] = 0
    packed = library.encode(np.asfortranarray(mask))["counts"]
    assert (spans_of_counts(coco_counts(packed), 2000, 1500, by_column=True) == spans_of(mask)).all()


def test_runs_along_rows_and_columns():
    counts = np.array([1, 2, 3])
    assert spans_of_counts(counts, 2, 3, by_column=False).tolist() == [[0, 1, 3]]
    assert spans_of_counts(counts, 2, 3, by_column=True).tolist() == [[0, 1, 2], [1, 0, 1]]
    assert spans_of_counts(np.array([0, 6]), 2, 3, by_column=False).tolist() == [[0, 0, 3], [1, 0, 3]]
    assert spans_of_counts(np.array([6]), 2, 3, by_column=True).shape == (0, 3)
    assert spans_of_counts(np.array([1, 2]), 2, 3, by_column=False, whole=False).tolist() == [[0, 1, 3]]


@pytest.mark.parametrize(
    "counts", [[1, 2], [7], [], [-1, 7], [1.5, 4.5], [2**62, 2**62, 2**62], [[1, 5]], ["6"], [10**30]], ids=str
)
def test_counts_that_do_not_fill_the_field_are_damaged(counts):
    with pytest.raises(Damage, match="run lengths"):
        spans_of_counts(np.array(counts), 2, 3, by_column=True)


def test_a_field_that_no_picture_has_is_not_unpacked():
    with pytest.raises(Damage, match="must not span more than"):
        spans_of_counts(np.array([0, 1 << 59, 1 << 59]), 1 << 30, 1 << 30, by_column=True)


@pytest.mark.parametrize("text", ["P", "0\x00", "~", "PPPPPPPPPPPP0", "ä", "\u4e00"])
def test_damaged_texts_are_damaged(text):
    with pytest.raises(Damage):
        coco_counts(text)


@settings(max_examples=60)
@given(masks)
def test_a_brush_is_read_as_it_was_packed(mask):
    assert (label_studio_alpha(encode_brush(mask * np.uint8(255)), *mask.shape) == mask * 255).all()


def test_a_brush_as_label_studio_s_converter_packs_it():
    """Three blocks, made by hand: 2 values 9, one 7 by itself, and five 0, with lengths of 3 bits."""
    bits = f"{8:032b}{7:05b}" + f"{2:04b}" * 4 + f"1{0:02b}{1:03b}{9:08b}" + f"0{1:02b}{0:03b}{7:08b}"
    bits += f"1{2:02b}{4:03b}{0:08b}"
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert label_studio_alpha(data, 1, 2).tolist() == [[0, 0]]
    assert label_studio_alpha(data, 2, 1).tolist() == [[0], [0]]


@pytest.mark.parametrize("data", [[], [1, 2], [256] * 20, [-1] * 20, ["a"] * 20, [0.5] * 20, [0] * 20, [255] * 30])
def test_damaged_brushes_are_damaged(data):
    with pytest.raises(Damage):
        label_studio_alpha(data, 2, 3)


def test_every_cut_of_a_brush_is_damaged():
    data = encode_brush(np.eye(9, dtype=np.uint8) * 255)
    for end in range(len(data) - 1):
        with pytest.raises(Damage):
            label_studio_alpha(data[:end], 9, 9)
