"""COCO files give the pixels back by pycocotools, and can be put together."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from rasterise import PICTURES, picture, write

from unet_tf.annotations.write_coco import coco_writer, merge_coco
from unet_tf.errors import InputError


def check(path, pages):
    """The pixels of each page come back, and areas and boxes are those of pycocotools."""
    ids = write(coco_writer, path, pages)
    coco = COCO(path)
    for page, expected in enumerate(ids, start=1):
        found = np.zeros(expected.shape, np.int64)
        for number, one in enumerate(coco.loadAnns(coco.getAnnIds(imgIds=page)), start=1):
            code = coco.annToRLE(one)
            mask = coco_mask.decode(code)
            assert one["area"] == coco_mask.area(code) == mask.sum()
            assert one["bbox"] == coco_mask.toBbox(code).tolist()
            assert (
                coco.loadCats(one["category_id"])[0]["name"] == ("cell", "mitosis: α")[pages[page - 1][mask > 0][0] - 1]
            )
            assert not found[mask > 0].any()
            found[mask > 0] = number
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rows", PICTURES.values(), ids=PICTURES)
def test_the_pixels_come_back(rows, tmp_path):
    check(tmp_path / "a.coco.json", [np.minimum(picture(rows), 2)])


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
@settings(max_examples=50)
def test_the_pixels_of_any_objects_come_back(tmp_path_factory, label):
    check(tmp_path_factory.mktemp("any") / "a.coco.json", [label])


def test_pages_of_a_stack_are_images(tmp_path):
    check(tmp_path / "a.coco.json", [picture(["101", "111"]), picture(["000", "000"]), picture(["210", "122"])])
    found = json.loads((tmp_path / "a.coco.json").read_text())
    of = {"file_name": "a.png", "width": 3, "height": 2}
    assert found["images"] == [{"id": 1, "page": 0} | of, {"id": 2, "page": 1} | of, {"id": 3, "page": 2} | of]


def test_annotations_are_as_written_by_hand(tmp_path):
    write(coco_writer, tmp_path / "a.coco.json", [picture(["1110", "1012", "1110"])])
    found = json.loads((tmp_path / "a.coco.json").read_text())
    assert found["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "mitosis: α"}]
    assert found["images"] == [{"id": 1, "file_name": "a.png", "width": 4, "height": 3}]
    whole = {"image_id": 1, "iscrowd": 0, "score": 0.875}
    ring, pixel = {"size": [3, 4], "counts": [0, 4, 1, 4, 3]}, [[3, 1, 4, 1, 4, 2, 3, 2]]
    assert found["annotations"] == [
        whole | {"id": 1, "category_id": 1, "segmentation": ring, "area": 8, "bbox": [0, 0, 3, 3]},
        whole | {"id": 2, "category_id": 2, "segmentation": pixel, "area": 1, "bbox": [3, 1, 1, 1]},
    ]


def test_files_are_put_together(tmp_path):
    for name, pages in {
        "a": [picture(["1"])],
        "b": [picture(["101"]), picture(["020"])],
        "c": [picture(["0"])],
    }.items():
        write(coco_writer, tmp_path / f"{name}.coco.json", pages)
    assert merge_coco(tmp_path, tmp_path / "out" / "annotations.json") == 4
    coco = COCO(tmp_path / "out" / "annotations.json")
    assert sorted(coco.imgs) == [1, 2, 3, 4]
    assert [(one["id"], one["image_id"], one["category_id"]) for one in coco.anns.values()] == [
        (1, 1, 1), (2, 2, 1), (3, 2, 1), (4, 3, 2)
    ]  # fmt: skip
    assert [(one["name"], one["id"]) for one in coco.cats.values()] == [("cell", 1), ("mitosis: α", 2)]
    for one in coco.anns.values():
        assert coco.annToMask(one).sum() == 1


def test_what_is_not_to_be_put_together_is_said(tmp_path):
    with pytest.raises(InputError, match=r"must hold files \*.coco.json"):
        merge_coco(tmp_path, tmp_path / "out.json")
    for text in ("", "[]", "{}", '{"images": []}'):
        (tmp_path / "a.coco.json").write_text(text)
        with pytest.raises(InputError, match=r"a.coco.json must be a COCO file"):
            merge_coco(tmp_path, tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.coco.json"]


def test_files_are_put_together_one_after_the_other(tmp_path):
    """Ten times as many take no more memory."""
    write(coco_writer, tmp_path / "whole", [np.tile([[1, 0], [0, 0]], (16, 16))])
    peaks = []
    for number in (2, 20):
        for name in range(number):
            shutil.copy(tmp_path / "whole", tmp_path / f"{name}.coco.json")
        tracemalloc.start()
        merge_coco(tmp_path, tmp_path / "all.json")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_what_is_put_together_is_called_like_no_part_of_its_folder(tmp_path):
    for name in "ab":
        write(coco_writer, tmp_path / f"{name}.coco.json", [picture(["101"])])
    with pytest.raises(InputError, match=r"all\.coco\.json for all of them, .* Call it annotations\.json"):
        merge_coco(tmp_path, tmp_path / "all.coco.json")
    for _ in range(2):
        assert merge_coco(tmp_path, tmp_path / "annotations.json") == 4
    assert merge_coco([tmp_path / "a.coco.json"], tmp_path / "all.coco.json") == 2  # as is said


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"annotations": [{"image_id": 7, "category_id": 1}]}, "7"),
        ({"annotations": [{"image_id": 1, "category_id": 9}]}, "9"),
        ({"annotations": [{"category_id": 1}]}, "'image_id'"),
        ({"categories": [{"id": 1}]}, "'name'"),
        ({"images": [{}]}, "'id'"),
    ],
)
def test_a_damaged_file_among_others_is_named(change, lacks, tmp_path):
    for name in "ab":
        write(coco_writer, tmp_path / f"{name}.coco.json", [picture(["101"])])
    damaged = tmp_path / "b.coco.json"
    damaged.write_text(json.dumps(json.loads(damaged.read_text()) | change))
    with pytest.raises(InputError, match=rf"b\.coco\.json must be a COCO file .*is missing: {lacks}\. Predict"):
        merge_coco(tmp_path, tmp_path / "all.json")
    assert not (tmp_path / "all.json").exists()
