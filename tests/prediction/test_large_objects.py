"""Objects beyond memory are those of the whole array, whatever the chunks."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterise import mask

from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.prediction.large_objects import check_outputs, number_objects
from unet_tf.prediction.objects import find_objects
from unet_tf.utils.signals import Stopped, stoppable

zarr = pytest.importorskip("zarr")


def outputs(path):
    """The ids, and the rows of the table."""
    with path.with_name(f"{path.stem}_objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return zarr.open_array(f"{path.with_name(f'{path.stem}_instances.zarr')}/0", mode="r")[...], rows


def check(path, label, min_area=1):
    count = number_objects(path, min_area)
    ids, rows = outputs(path)
    before = 0
    for plane, (one, got) in enumerate(
        zip(label.reshape(-1, *label.shape[-2:]), ids.reshape(-1, *label.shape[-2:]), strict=True)
    ):
        expected, found = find_objects(one, None, min_area)
        np.testing.assert_array_equal(got, np.where(expected > 0, expected.astype(int) + before, 0))
        for row, thing in zip(rows[before : before + len(found)], found, strict=True):
            assert (int(row["page"]), int(row["id"])) == (plane, before + thing.number)
            assert (row["class"], int(row["area"])) == (f"class {thing.label}", thing.area)
            box = [int(row[name]) for name in ("top", "left", "bottom", "right")]
            assert box == [thing.top, thing.left, thing.bottom, thing.right]
            centre = float(row["centroid_row"]), float(row["centroid_column"])
            np.testing.assert_allclose(centre, (thing.row, thing.column), atol=0.0051)
        before += len(found)
    assert count == before == len(rows)


SIDES = st.integers(1, 12)


@given(
    arrays.arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.integers(0, 2)),
    st.tuples(SIDES, SIDES),
    st.integers(1, 4),
)
@settings(max_examples=60)
def test_any_chunks_give_the_objects_of_the_whole(tmp_path_factory, label, chunk, min_area):
    check(mask(tmp_path_factory.mktemp("any") / "m.zarr", label, chunk), label, min_area)


@pytest.mark.parametrize("chunk", [(7, 9), (64, 64), (1, 64), (64, 1), (5, 64)])
def test_a_spiral_over_all_chunks_is_one_object(tmp_path, chunk):
    label = np.zeros((21, 30), np.uint8)
    for margin in range(0, 10, 4):
        label[margin : 21 - margin, margin : 30 - margin] = 1
        label[margin + 1 : 20 - margin, margin + 1 : 29 - margin] = 0
    label[[1, 2, 3, 5, 6, 7], [1, 2, 3, 5, 6, 7]] = 1  # rings joined at corners alone
    path = mask(tmp_path / "m.zarr", label, chunk)
    check(path, label)
    assert outputs(path)[0].max() == 1


def test_planes_are_numbered_one_after_another(tmp_path):
    label = np.random.default_rng(0).integers(0, 3, (2, 3, 9, 8), dtype=np.uint8)
    path = mask(tmp_path / "m.zarr", label, (4, 3))
    check(path, label)
    assert zarr.open_group(str(path.with_name("m_instances.zarr")), mode="r")["0"].chunks == (1, 1, 4, 3)


def test_a_mask_that_is_not_complete_is_refused(tmp_path):
    path = mask(tmp_path / "m.zarr", np.zeros((8, 8), np.uint8), (4, 4), fill=False)
    zarr.open_array(f"{path}/0", mode="r+")[:4, :4] = 1
    with pytest.raises(InputError, match="must be complete; 3 of 4 chunks are left"):
        number_objects(path)
    (path / "0" / "c" / "0" / "0").write_bytes(b"")  # as a machine that stops may leave it
    with pytest.raises(InputError, match="must be complete; 4 of 4 chunks are left"):
        number_objects(path)
    for other in (tmp_path / "none.zarr", tmp_path):
        with pytest.raises(InputError, match="must be a mask that predict wrote"):
            number_objects(other)
    with pytest.raises(InputError, match="1 pixel or more; received 0"):
        number_objects(mask(path, np.ones((8, 8), np.uint8), (4, 4)), 0)
    assert [one.name for one in tmp_path.iterdir()] == ["m.zarr"]


def test_a_chunk_that_cannot_be_decoded_is_named(tmp_path):
    path = mask(tmp_path / "m.zarr", np.ones((3, 8, 8), np.uint8), (4, 4))
    file = path / "0" / "c" / "2" / "1" / "0"
    assert file.is_file()
    file.write_bytes(b"\0" * 20)
    with pytest.raises(InputError, match=rf"{file} cannot be read: .*\. Remove it, and predict what is left\."):
        number_objects(path)
    assert [one.name for one in tmp_path.iterdir()] == ["m.zarr"]


@pytest.mark.parametrize("name", ["m_instances.zarr", "m_objects.csv"])
def test_what_is_not_ours_is_not_replaced(tmp_path, name):
    path = mask(tmp_path / "m.zarr", np.ones((8, 8), np.uint8), (4, 4))
    if name.endswith("csv"):
        (tmp_path / name).write_text("mine")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name} exists, and holds no objects of unet_tf"):
        number_objects(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["m.zarr", name])


def test_called_again_it_replaces_its_own(tmp_path):
    label = np.array([[1, 0, 1, 1]], np.uint8)
    path = mask(tmp_path / "m.zarr", label, (1, 2))
    check(path, label)
    check(path, label, 2)


@pytest.mark.parametrize("at", [1, 5])
def test_stopped_it_leaves_nothing(tmp_path, at):
    path = mask(tmp_path / "m.zarr", np.ones((8, 8), np.uint8), (4, 4))

    def stop(done, total):
        assert total == 8
        if done == at:
            raise Stopped

    with pytest.raises(Stopped), stoppable():
        number_objects(path, on_chunk=stop)
    assert [one.name for one in tmp_path.iterdir()] == ["m.zarr"]


@pytest.mark.parametrize("neck", [0.0, 1.5])
def test_a_class_of_borders_is_part_of_its_objects_and_that_those_that_touch_are_one_is_said(tmp_path, caplog, neck):
    label = np.zeros((6, 9), np.uint8)
    label[1:5, 1:4], label[1:5, 4:8] = 2, 2  # two rims that touch, and what lies inside
    label[2:4, 2], label[2:4, 5:7] = 1, 1
    path = mask(tmp_path / "m.zarr", label, (4, 4))
    array = zarr.open_array(f"{path}/0", mode="r+")
    array.attrs["unet_tf"] = {"cut": {"border": 1, "neck": neck}}
    assert number_objects(path) == 1
    ids, rows = outputs(path)
    np.testing.assert_array_equal(ids, label > 0)
    assert [row["class"] for row in rows] == ["class 1"]
    assert "objects that touch are one object: only" in caplog.text


def test_those_smaller_than_the_smallest_of_the_run_are_left_out_and_that_holes_stay_is_said(tmp_path, caplog):
    label = np.zeros((9, 12), np.uint8)
    label[0, :3] = label[2, 3:7] = label[4:8, 2:9] = 1  # of 3 pixels, of 4, and a ring; chunks cut them all
    label[5, 4] = 0
    path = mask(tmp_path / "m.zarr", label, (4, 5))
    cut = {"border": 0, "neck": 0.0, "smallest": 4, "filled": False}
    for filled in (False, True):
        zarr.open_array(f"{path}/0", mode="r+").attrs["unet_tf"] = {"cut": cut | {"filled": filled}}
        assert number_objects(path) == 2
        assert (f"In {path}, holes of objects are not filled: only" in caplog.text) == filled
        assert "one object" not in caplog.text
    expected, found = find_objects(label, masks=MaskFormat("instance", smallest=4))
    ids, rows = outputs(path)
    np.testing.assert_array_equal(ids, expected)
    assert [int(row["area"]) for row in rows] == [one.area for one in found] == [4, 27]
    assert number_objects(path, 5) == 1
    assert zarr.open_array(f"{tmp_path}/m_instances.zarr/0", mode="r").attrs["unet_tf"]["min_area"] == 5


@pytest.mark.parametrize("name", ["m_instances.zarr", "m_objects.csv"])
def test_what_is_not_ours_is_refused_before_there_is_a_mask(tmp_path, name):
    check_outputs(tmp_path / "m.zarr")
    (tmp_path / name).mkdir() if name.endswith("zarr") else (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"{name} exists, and holds no objects of unet_tf"):
        check_outputs(tmp_path / "m.zarr")
