"""Regions of interest give the pixels back by roifile, polygons and composites."""

import sys
import zipfile

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterise import CLASSES, PICTURES, numbered, picture, write

from unet_tf.annotations.outlines import signed_area
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.write_imagej import imagej_writer
from unet_tf.annotations.writing import Picture
from unet_tf.errors import InputError


def rings_of(roi):
    """The rings of a region: roifile closes those of a composite, and ImageJ those of a polygon."""
    rings = roi.coordinates(multi=True)
    return [ring[:-1] if roi.composite else ring for ring in rings]


def check(path, label):
    (ids,) = write(imagej_writer, path, [label])
    rois = roifile.roiread(path) if ids.any() else []
    outlines = {number: rings_of(roi) for number, roi in enumerate(rois, start=1)}
    np.testing.assert_array_equal(numbered(outlines, ids.shape), ids)
    for number, roi in enumerate(rois, start=1):
        group = int(label[ids == number][0])
        assert roi.name == f"{number:04d}-{CLASSES[group]}"
        assert (roi.group, roi.properties) == (group, {"class": CLASSES[group], "mean_probability": 0.875})
        assert roi.composite == (len(outlines[number]) > 1)
        rows, columns = np.nonzero(ids == number)
        assert (roi.top, roi.left) == (rows.min(), columns.min())
    return rois


@pytest.mark.parametrize("rows", PICTURES.values(), ids=PICTURES)
def test_the_pixels_come_back(rows, tmp_path):
    check(tmp_path / "a_RoiSet.zip", np.minimum(picture(rows), 2))


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
@settings(max_examples=50)
def test_the_pixels_of_any_objects_come_back(tmp_path_factory, label):
    check(tmp_path_factory.mktemp("any") / "a_RoiSet.zip", label)


def test_regions_are_as_imagej_draws_them(tmp_path):
    ring, pixel = check(tmp_path / "a.zip", picture(["1110", "1012", "1110"]))
    assert (pixel.roitype, pixel.subpixelresolution) == (roifile.ROI_TYPE.POLYGON, False)
    assert pixel.coordinates().tolist() == [[3, 1], [4, 1], [4, 2], [3, 2]]
    assert (ring.left, ring.top, ring.right, ring.bottom) == (0, 0, 3, 3)
    assert ring.stroke_color == bytes((255, 230, 159, 0))
    path = [0, 0, 0, 1, 3, 0, 1, 3, 3, 1, 0, 3, 4, 0, 1, 2, 1, 2, 2, 1, 2, 1, 1, 1, 1, 4]
    assert ring.multi_coordinates.tolist() == path
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["0001-cell.roi", "0002-mitosis_ α.roi"]


def test_pages_of_a_stack_are_positions(tmp_path):
    write(imagej_writer, tmp_path / "a.zip", [picture(rows) for rows in (["101"], ["000"], ["020"])])
    assert [(roi.position, roi.name) for roi in roifile.roiread(tmp_path / "a.zip")] == [
        (1, "0001-0001-cell"), (1, "0001-0002-cell"), (3, "0003-0001-mitosis: α")
    ]  # fmt: skip


def test_points_between_pixels_are_kept(tmp_path):
    label = picture(["000", "010", "000"])
    probabilities = np.eye(3)[label] * np.float32(1 / 3) + 0.1
    write(imagej_writer, tmp_path / "a.zip", [label], probabilities=probabilities)
    (roi,) = roifile.roiread(tmp_path / "a.zip")
    assert roi.coordinates().tolist() == [[1.0, 1.5], [1.5, 1.0], [2.0, 1.5], [1.5, 2.0]]


@pytest.mark.parametrize("at", [40_000, 70_000])
def test_objects_far_from_the_corner_are_where_they_are(tmp_path, at):
    square = np.array([[0, 0], [3, 0], [3, 2], [0, 2]], float) + at
    with imagej_writer(tmp_path / "a.zip", Picture(tmp_path / "a.png", 10**5, 10**5, 1, {})) as add:
        add([Shape("cell", (square,)), Shape("cell", (square, square + 1))])
    one, two = roifile.roiread(tmp_path / "a.zip")
    np.testing.assert_array_equal(one.coordinates(), square)
    np.testing.assert_array_equal(rings_of(two), [square, square + 1])


@pytest.mark.parametrize(
    ("name", "said", "file"),
    [
        ("../../x", "../../x", ".._.._x"),
        ("a\\b:c", "a\\b:c", "a_b_c"),
        ("two\nlines", "two_lines", "two_lines"),
        ("cell 🦠", "cell _", "cell _"),
    ],
)
def test_names_reach_no_folder_and_end_no_line(tmp_path, name, said, file):
    with imagej_writer(tmp_path / "a.zip", Picture(tmp_path / "a.png", 1, 1, 1, {name: (1, 2, 3)})) as add:
        add([Shape(name, (np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float),), 0.5)] * 2)
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == [f"000{number}-{file}.roi" for number in (1, 2)]
    for number, roi in enumerate(roifile.roiread(tmp_path / "a.zip"), start=1):
        assert (roi.name, roi.properties) == (f"000{number}-{said}", {"class": said, "mean_probability": 0.5})


def test_more_corners_than_16_bits_count(tmp_path):
    comb = np.zeros((3, 70_000), np.int64)
    comb[2], comb[1, ::2] = 1, 1
    write(imagej_writer, tmp_path / "a.zip", [comb])
    (roi,) = roifile.roiread(tmp_path / "a.zip")
    ring = np.array(roi.coordinates(), float)
    assert (len(ring), signed_area(ring)) == (140_002, comb.sum())


def test_the_same_objects_are_the_same_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        write(imagej_writer, tmp_path / name, [picture(["1110", "1012", "1110"])])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_without_roifile_the_line_to_install_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[annotations\]'"):
        write(imagej_writer, tmp_path / "a.zip", [picture(["1"])])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("axes", "places"),
    [
        ((("z", 4),), [(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)]),
        ((("t", 4),), [(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)]),
        ((("d0", 2), ("d1", 2)), [(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)]),
        ((("z", 4), ("c", 2)), [(0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1)]),
        ((("t", 4), ("c", 2)), [(0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 4)]),
        ((("t", 2), ("z", 2)), [(0, 1, 1), (0, 2, 1), (0, 1, 2), (0, 2, 2)]),
    ],
)
def test_pages_of_a_hyperstack_are_slices_and_frames_of_all_channels(tmp_path, axes, places):
    write(imagej_writer, tmp_path / "a.zip", [picture(["1"])] * 4, axes=axes)
    rois = roifile.roiread(tmp_path / "a.zip")
    assert [(roi.position, roi.z_position, roi.t_position) for roi in rois] == places
    assert {roi.c_position for roi in rois} == {0}
