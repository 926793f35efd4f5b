from collections import Counter

import numpy as np
import pytest
from kinds_of_annotations import cvat

from unet_tf.annotations.raster import areas, paint, rasterise
from unet_tf.annotations.read_cvat import is_cvat, parse_xml, read_cvat
from unet_tf.data.structure import Damage


def read(tmp_path, inside):
    file, skipped = cvat(tmp_path, inside), Counter()
    return read_cvat(file, parse_xml(file), skipped)[0], skipped


def test_boxes_and_ellipses_turn(tmp_path):
    found, _ = read(
        tmp_path,
        '<box label="a" xtl="1" ytl="2" xbr="5" ybr="4" />'
        '<box label="a" xtl="1" ytl="2" xbr="5" ybr="4" rotation="90"/>'
        '<ellipse label="b" cx="10" cy="10" rx="6" ry="3" rotation="90"/>',
    )
    masks = np.zeros((3, 20, 24), np.uint8)
    for mask, shape in zip(masks, found.shapes, strict=True):
        paint(mask, rasterise([shape], 20, 24), np.ones(1))
    assert np.argwhere(masks[0]).min(0).tolist() == [2, 1] and masks[0].sum() == 8
    assert np.argwhere(masks[1]).min(0).tolist() == [1, 2] and masks[1].sum() == 8
    rows, columns = np.indices((20, 24)) + 0.5
    assert (masks[2] == (((columns - 10) / 3) ** 2 + ((rows - 10) / 6) ** 2 < 1)).all()


def test_shapes_lie_over_each_other_by_z_order(tmp_path):
    points = 'points="0,0;2,0;2,2"'
    found, _ = read(tmp_path, "".join(f'<polygon label="l{z}" {points} z_order="{z}"/>' for z in (2, -1, 0)))
    assert [shape.name for shape in found.shapes] == ["l-1", "l0", "l2"]


def test_masks_may_end_before_their_box_and_lie_across_the_border(tmp_path):
    found, _ = read(tmp_path, '<mask label="a" rle="1, 2" left="23" top="19" width="2" height="2"/>')
    assert found.shapes[0].spans.tolist() == [[19, 24, 25], [20, 23, 24]]
    assert areas(rasterise(found.shapes, 20, 24), 1).tolist() == [0]


def test_what_is_no_area_is_counted_and_attributes_are_none(tmp_path):
    found, skipped = read(
        tmp_path, '<tag label="a"/><polyline label="a" points="1,2;3,4"/><attribute name="x">1</attribute>'
    )
    assert not found.shapes and skipped.total() == 2


@pytest.mark.parametrize(
    "inside",
    [
        '<polygon points="1,2;3,4;5,6"/>',
        '<polygon label="a"/>',
        '<polygon label="a" points="1,2;3"/>',
        '<polygon label="a" points="a,b;c,d"/>',
        '<polygon label="a" points="nan,1;2,3;4,5"/>',
        '<polygon label="a" points="1e300,1;2,3;4,5"/>',
        '<polygon label="a" points="1,1;2,3;4,5" z_order="x"/>',
        '<box label="a" xtl="1" ytl="2" xbr="5"/>',
        '<ellipse label="a" cx="inf" cy="2" rx="5" ry="1"/>',
        '<mask label="a" rle="1,9" left="1" top="1" width="2" height="2"/>',
        '<mask label="a" rle="-1,3" left="1" top="1" width="2" height="2"/>',
        '<mask label="a" rle="x" left="1" top="1" width="2" height="2"/>',
        '<mask label="a" rle="1" left="1.5" top="1" width="2" height="2"/>',
        '<mask label="a" rle="99999999999999999999" left="1" top="1" width="2" height="2"/>',
    ],
)
def test_wrong_shapes_are_damaged(inside, tmp_path):
    with pytest.raises(Damage):
        read(tmp_path, inside)


def test_a_video_is_refused_with_what_to_export(tmp_path):
    file = cvat(tmp_path)
    file.write_text("<annotations><meta/><track id='0'/></annotations>")
    with pytest.raises(Damage, match='Export the task as "CVAT for images 1.1"'):
        read_cvat(file, parse_xml(file), Counter())
    file.write_text("<annotation><object/></annotation>")
    assert not is_cvat(parse_xml(file))
