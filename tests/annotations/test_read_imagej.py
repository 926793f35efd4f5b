import zipfile
from collections import Counter

import numpy as np
import pytest
import roifile

from unet_tf.annotations.raster import areas, paint, rasterise
from unet_tf.annotations.read_imagej import is_imagej, read_imagej
from unet_tf.data.structure import Damage

KIND = roifile.ROI_TYPE


def read(tmp_path, *rois, name="cells RoiSet.zip"):
    path, skipped = tmp_path / name, Counter()
    with zipfile.ZipFile(path, "w") as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f"{number}.roi", roi.tobytes())
        archive.writestr("readme.txt", "no region")
    return read_imagej(path, skipped)[0], skipped


def mask_of(shapes):
    mask = np.zeros((20, 24), np.uint8)
    paint(mask, rasterise(shapes, 20, 24), np.arange(1, len(shapes) + 1))
    return mask


def test_rectangles_and_ovals(tmp_path):
    found, _ = read(
        tmp_path,
        roifile.ImagejRoi(roitype=KIND.RECT, left=1, top=2, right=5, bottom=4),
        roifile.ImagejRoi(roitype=KIND.OVAL, left=8, top=4, right=20, bottom=12),
    )
    rows, columns = np.indices((20, 24)) + 0.5
    assert (mask_of(found.shapes[1:]) == (((columns - 14) / 6) ** 2 + ((rows - 8) / 4) ** 2 < 1)).all()
    assert np.argwhere(mask_of(found.shapes[:1])).tolist() == [[r, c] for r in (2, 3) for c in range(1, 5)]
    assert (found.picture, found.stem, found.shown) == ("cells", True, False)


def test_what_the_finder_of_macos_adds_to_an_archive_is_no_region(tmp_path):
    path = tmp_path / "a_RoiSet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0001.roi", roifile.ImagejRoi.frompoints(np.array([[2, 3], [10, 3], [10, 9]])).tobytes())
        archive.writestr("__MACOSX/._0001.roi", b"\0\5\x16\7")
    assert len(read_imagej(path, Counter())[0].shapes) == 1


@pytest.mark.parametrize(
    ("name", "picture", "original"),
    [
        ("a_RoiSet.zip", "a", "a"), ("RoiSet.zip", "", ""), ("RoiSet_a.zip", "a", "a"), ("a_rois.zip", "a_rois", "a"),
        ("a.tif-ROIs.zip", "a.tif-ROIs", "a.tif"), ("a roi.zip", "a roi", "a"), ("herois.zip", "herois", "herois"),
    ],
)  # fmt: skip
def test_the_picture_is_called_like_the_file(name, picture, original, tmp_path):
    found, _ = read(tmp_path, name=name)
    assert (found.picture, found.original) == (picture, original)


def test_polygons_of_whole_pixels_and_between_them(tmp_path):
    points = np.array([[2, 3], [10, 3], [10, 9]])
    found, _ = read(tmp_path, roifile.ImagejRoi.frompoints(points), roifile.ImagejRoi.frompoints(points + 0.25))
    assert found.shapes[0].rings[0].tolist() == points.tolist()
    assert found.shapes[1].rings[0].tolist() == (points + 0.25).tolist()


@pytest.mark.parametrize("kind", [KIND.POLYGON, KIND.FREEHAND, KIND.TRACED])
@pytest.mark.parametrize("shift", [0, 0.25])
def test_splines_are_read_as_straight_lines_and_counted(kind, shift, tmp_path):
    rois = [roifile.ImagejRoi.frompoints(np.array([[2, 3], [10, 3], [10, 9]]) + shift) for _ in range(3)]
    for roi in rois:
        roi.roitype = kind
    for roi in rois[1:]:
        roi.options |= roifile.ROI_OPTIONS.SPLINE_FIT
    found, skipped = read(tmp_path, *rois)
    assert len({shape.rings[0].tobytes() for shape in found.shapes}) == 1
    assert skipped == {"fitted splines, which are read as straight lines": 2}


def composite(path):
    roi = roifile.ImagejRoi(roitype=KIND.RECT, left=0, top=0, right=9, bottom=9)
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi


def test_composites_have_holes_and_curves(tmp_path):
    square = [0, 0, 0, 1, 8, 0, 1, 8, 8, 1, 0, 8, 4]
    hole = [0, 2, 2, 1, 4, 2, 1, 4, 4, 1, 2, 4, 4]
    found, _ = read(tmp_path, composite(square + hole))
    assert areas(rasterise(found.shapes, 20, 24), 1).tolist() == [64 - 4]
    k = 4 * 0.5522847  # a circle of four cubic curves about (10, 10)
    circle = [0, 14, 10, 3, 14, 10 + k, 10 + k, 14, 10, 14, 3, 10 - k, 14, 6, 10 + k, 6, 10]
    circle += [3, 6, 10 - k, 10 - k, 6, 10, 6, 3, 10 + k, 6, 14, 10 - k, 14, 10, 4]
    rows, columns = np.indices((20, 24)) + 0.5
    found, _ = read(tmp_path, composite(circle))
    assert (mask_of(found.shapes) == (np.hypot(rows - 10, columns - 10) < 4)).all()
    found, _ = read(tmp_path, composite([0, 0, 0, 2, 8, 0, 8, 8, 4]))  # half a parabola
    assert found.shapes[0].rings[0][-1].tolist() == [8, 8] and [6, 2] in found.shapes[0].rings[0].tolist()


@pytest.mark.parametrize("path", [[0, 1], [1, 2, 3, 4], [9, 1, 1], [0.5, 1, 1], [0, 1, 1, 3, 2, 2, 4], [np.nan, 1, 1],
                                  [0, np.nan, 1, 1, 2, 2, 1, 3, 3, 4]])  # fmt: skip
def test_damaged_paths_are_damaged(path, tmp_path):
    with pytest.raises(Damage, match=r"0\.roi"):
        read(tmp_path, composite(path))


def test_a_class_is_a_property_or_a_group(tmp_path):
    rois = [roifile.ImagejRoi.frompoints(np.array([[0, 0], [4, 0], [4, 4]])) for _ in range(3)]
    rois[1].group = 7
    rois[2].group, rois[2].properties = 7, {"class": "cell", "mean_probability": "0.9"}
    assert [shape.name for shape in read(tmp_path, *rois)[0].shapes] == ["object", "group7", "cell"]


def test_lines_and_points_are_counted(tmp_path):
    points = np.array([[0, 0], [4, 0], [4, 4]])
    rois = [roifile.ImagejRoi.frompoints(points) for _ in range(3)]
    for roi, kind in zip(rois, (KIND.POLYLINE, KIND.POINT, KIND.ANGLE), strict=True):
        roi.roitype = kind
    line = roifile.ImagejRoi(roitype=KIND.LINE, x1=1, y1=1, x2=5, y2=5)
    found, skipped = read(tmp_path, *rois, line)
    assert not found.shapes and skipped.total() == 4 and skipped["regions of type line, which are no areas"] == 1


def test_a_single_region(tmp_path):
    path = tmp_path / "cells.roi"
    path.write_bytes(roifile.ImagejRoi.frompoints(np.array([[0, 0], [4, 0], [4, 4]])).tobytes())
    (found,) = read_imagej(path, Counter())
    assert len(found.shapes) == 1 and found.picture == "cells"


def test_every_cut_of_a_region_is_damaged_or_fewer_words(tmp_path):
    path = tmp_path / "cells.roi"
    data = roifile.ImagejRoi.frompoints(np.array([[0, 0], [4, 0], [4, 4]])).tobytes()
    for end in range(4, 76):  # the points end at 76
        path.write_bytes(data[:end])
        with pytest.raises(Damage):
            read_imagej(path, Counter())


@pytest.mark.parametrize("name", ["a.zip", "a.roi"])
def test_what_is_called_so_and_is_none_is_damaged(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\3\4nothing")
    with pytest.raises(Damage, match="neither a region of ImageJ nor an archive"):
        is_imagej(tmp_path / name)
    (tmp_path / "a.txt").write_text("text")
    assert not is_imagej(tmp_path / "a.txt")


@pytest.mark.parametrize("subtype", ["TEXT", "IMAGE", "ARROW"])
def test_text_is_no_area_whatever_its_outline(subtype, tmp_path):
    box = {"left": 1, "top": 2, "right": 5, "bottom": 4, "subtype": roifile.ROI_SUBTYPE[subtype]}
    found, skipped = read(tmp_path, *(roifile.ImagejRoi(roitype=kind, **box) for kind in (KIND.RECT, KIND.POLYGON)))
    assert not found.shapes and skipped == {f"regions of type {subtype.lower()}, which are no areas": 2}


@pytest.mark.parametrize("axis", ["position", "z_position", "t_position"])
def test_regions_of_several_planes_do_not_lie_over_each_other(axis, tmp_path):
    box = {"roitype": KIND.RECT, "left": 1, "top": 2, "right": 5, "bottom": 4}
    rois = [roifile.ImagejRoi(**box, **{axis: plane}) for plane in (2, 2, 0)]  # 0: on all of them
    assert len(read(tmp_path, *rois)[0].shapes) == 3
    with pytest.raises(Damage, match=f"must lie in one plane; of these {axis} is 2, 3. .* Remove Positions"):
        read(tmp_path, *rois, roifile.ImagejRoi(**box, **{axis: 3}))
    lines = roifile.ImagejRoi(roitype=KIND.LINE, **{axis: 3})
    assert len(read(tmp_path, *rois, lines)[0].shapes) == 3
    every = roifile.ImagejRoi(**box, z_position=2, t_position=0 if axis == "t_position" else 2)
    assert len(read(tmp_path, *(rois if axis == "z_position" else rois[2:]), every)[0].shapes) > 1  # at all times
