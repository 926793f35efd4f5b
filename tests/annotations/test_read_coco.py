import json
from collections import Counter

import numpy as np
import pytest
from kinds_of_annotations import coco

from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.read_coco import read_coco
from unet_tf.data.structure import Damage


def read(tmp_path, change=lambda content: None):
    file, skipped = coco(tmp_path), Counter()
    content = json.loads(file.read_text())
    change(content)
    return read_coco(file, json.loads(json.dumps(content)), skipped), skipped


def test_polygons_of_an_annotation_are_one_object_even_where_they_overlap(tmp_path):
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    other = [2, 2, 6, 2, 6, 6, 2, 6]
    (found,), _ = read(tmp_path, lambda content: content["annotations"][0].update(segmentation=[square, other]))
    first, second, vessel = found.shapes
    assert first.group == second.group == 0 and vessel.group is None
    assert areas(rasterise(found.shapes[:2], 20, 24), 2).tolist() == [16, 16]
    assert (found.picture, found.size, found.shown) == ("a.png", (20, 24), True)


def test_pictures_of_no_annotation_and_ids_that_are_texts(tmp_path):
    def change(content):
        content["images"].append({"id": "b", "file_name": "b.png"})

    found, _ = read(tmp_path, change)
    assert [(one.picture, len(one.shapes), one.size) for one in found] == [("a.png", 2, (20, 24)), ("b.png", 0, None)]


def test_what_via_writes_as_coco_is_read(tmp_path):
    """A polygon without a list around it, and ids that are text in one place alone; sides as pandas writes them."""

    def change(content):
        content["images"][0] |= {"id": 0, "height": 20.0, "width": 24.0}
        for one in content["annotations"]:
            one |= {"image_id": "0", "category_id": str(one["category_id"]), "segmentation": one["segmentation"][0]}

    (expected,), _ = read(tmp_path)
    (found,), _ = read(tmp_path, change)
    assert found.size == expected.size == (20, 24)
    assert [one.group for one in found.shapes] == [None, None]
    for one, other in zip(found.shapes, expected.shapes, strict=True):
        assert one.name == other.name and (one.rings[0] == other.rings[0]).all()


@pytest.mark.parametrize("sides", [([20, 24], [20, 24]), ([20, 24], [24, 20]), ([20, 0], [20, 0])])
def test_pictures_without_a_size_have_that_of_their_run_lengths(tmp_path, sides):
    def change(content):
        for name in ("height", "width"):
            del content["images"][0][name]
        for one, side in zip(content["annotations"], sides, strict=False):
            one["segmentation"] = {"size": side, "counts": [20, 460]}

    if sides[0] == sides[1] == [20, 24]:
        (found,), _ = read(tmp_path, change)
        assert found.size == (20, 24)
        return
    with pytest.raises(Damage, match=r"picture's size, \(20, 24\); annotation 1 has \(24, 20\)|must be height, width"):
        read(tmp_path, change)


@pytest.mark.parametrize(
    ("attributes", "runs", "crowd"),
    [({"occluded": False}, True, False), ({"occluded": False}, False, True), ({}, True, True), (None, True, True)],
)
def test_a_mask_of_cvat_is_one_object(attributes, runs, crowd, tmp_path):
    """Its export marks all of them as crowds."""

    def change(content):
        content["annotations"][0] |= {"iscrowd": 1, "attributes": attributes}
        if runs:
            content["annotations"][0]["segmentation"] = {"size": [20, 24], "counts": [20, 20, 440]}

    (found,), skipped = read(tmp_path, change)
    assert [one.crowd for one in found.shapes] == [crowd, False]
    assert list(skipped.values()) == [1] * (not crowd)


def test_boxes_and_short_outlines_are_counted(tmp_path):
    def change(content):
        content["annotations"][0]["segmentation"] = []
        content["annotations"][1]["segmentation"] = [[1, 2, 3, 4]]

    (found,), skipped = read(tmp_path, change)
    assert not found.shapes and skipped == {
        "annotations without a segmentation, such as boxes": 1,
        "outlines of fewer than three points": 1,
    }


CHANGES = {
    "unknown image": lambda c: c["annotations"][0].update(image_id=8),
    "unknown category": lambda c: c["annotations"][0].update(category_id=8),
    "image twice": lambda c: c["images"].append(c["images"][0]),
    "no categories": lambda c: c.pop("categories"),
    "name of another type": lambda c: c["categories"][0].update(name=3),
    "id of another type": lambda c: c["images"][0].update(id=[1]),
    "odd polygon": lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]]),
    "deep polygon": lambda c: c["annotations"][0].update(segmentation=[[[1, 2], [3, 4]]]),
    "text": lambda c: c["annotations"][0].update(segmentation="abc"),
    "runs of another size": lambda c: c["annotations"][0].update(segmentation={"size": [2, 2], "counts": [4]}),
    "runs too short": lambda c: c["annotations"][0].update(segmentation={"size": [20, 24], "counts": [4]}),
    "runs of texts": lambda c: c["annotations"][0].update(segmentation={"size": [20, 24], "counts": ["480"]}),
    "no counts": lambda c: c["annotations"][0].update(segmentation={"size": [20, 24]}),
    "no size": lambda c: c["annotations"][0].update(segmentation={"counts": [480]}),
    "size of texts": lambda c: c["annotations"][0].update(segmentation={"size": ["20", 24], "counts": [480]}),
    "no file name": lambda c: c["images"][0].pop("file_name"),
    "an annotation that is none": lambda c: c["annotations"].append(None),
    "image twice, as text": lambda c: c["images"].append(c["images"][0] | {"id": str(c["images"][0]["id"])}),
    "flat polygon of an odd number": lambda c: c["annotations"][0].update(segmentation=[1, 2, 3, 4, 5, 6, 7]),
    "half a pixel": lambda c: c["images"][0].update(height=20.5),
    "width alone": lambda c: c["images"][0].pop("height"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_damaged(name, tmp_path):
    with pytest.raises((Damage, ValueError)):
        read(tmp_path, CHANGES[name])


def test_a_hundred_thousand_objects_are_read_one_by_one(tmp_path, monkeypatch):
    from unet_tf.annotations import read_coco as module

    calls, rings = 0, module.ring

    def counted(found):
        nonlocal calls
        calls += 1
        return rings(found)

    monkeypatch.setattr(module, "ring", counted)
    one = {"image_id": 7, "category_id": 3, "segmentation": [[1, 1, 2, 1, 2, 2]]}
    (found,), _ = read(tmp_path, lambda content: content.update(annotations=[one] * 100_000))
    assert len(found.shapes) == calls == 100_000
    assert np.array_equal(found.shapes[-1].rings[0], [[1, 1], [2, 1], [2, 2]])


def test_an_id_is_of_one_category(tmp_path):
    def change(content):
        content["categories"].append(content["categories"][0] | {"name": name})

    name = json.loads(coco(tmp_path).read_text())["categories"][0]["name"]
    read(tmp_path, change)
    name = "another"
    with pytest.raises(Damage, match=r"the ids of categories must differ; \d+ is '.*' and 'another'"):
        read(tmp_path, change)
