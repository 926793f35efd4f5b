import json
from collections import Counter

import numpy as np
import pytest
from kinds_of_annotations import HEIGHT, WIDTH, label_studio

from unet_tf.annotations.raster import areas, paint, rasterise
from unet_tf.annotations.read_label_studio import read_label_studio
from unet_tf.data.structure import Damage

SIZE = {"original_width": WIDTH, "original_height": HEIGHT}


def read(tmp_path, results=None, change=lambda task: None):
    file, skipped = label_studio(tmp_path, results), Counter()
    content = json.loads(file.read_text())
    change(content[0])
    return read_label_studio(file, content, skipped)[0], skipped


def result(kind, value, **fields):
    return {"id": kind, "type": f"{kind}labels", "value": {f"{kind}labels": ["a"]} | value} | SIZE | fields


def test_rectangles_turn_about_their_first_corner_and_ellipses_about_their_centre(tmp_path):
    square = {"x": 50, "y": 50, "width": 25, "height": 10}
    found, _ = read(
        tmp_path,
        [
            result("rectangle", square),
            result("rectangle", square | {"rotation": 90}, id="r"),
            result("ellipse", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10, "rotation": 0}),
        ],
    )
    assert found.shapes[0].rings[0].tolist() == [[12, 10], [18, 10], [18, 12], [12, 12]]
    assert np.allclose(found.shapes[1].rings[0], [[12, 10], [12, 16], [10, 16], [10, 10]])
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    paint(mask, rasterise(found.shapes[2:], HEIGHT, WIDTH), np.ones(1))
    rows, columns = np.indices(mask.shape) + 0.5
    assert (mask == (((columns - 12) / 6) ** 2 + ((rows - 10) / 2) ** 2 < 1)).all()


def test_a_region_and_its_label_may_be_two_results(tmp_path):
    value = {"points": [[0, 0], [50, 0], [50, 50]]}
    parts = [
        {"id": "x", "type": "polygon", "value": value} | SIZE,
        {"id": "x", "type": "labels", "value": value | {"labels": ["cell"]}} | SIZE,
        {"id": "y", "type": "polygon", "value": value} | SIZE,
    ]
    found, skipped = read(tmp_path, parts)
    assert [shape.name for shape in found.shapes] == ["cell", "object"] and not skipped


def test_the_annotation_that_is_ground_truth_counts(tmp_path):
    def change(task):
        (first,) = task["annotations"]
        task["annotations"] = [
            first | {"was_cancelled": True},
            first | {"result": []},
            first | {"ground_truth": True},
        ]

    found, skipped = read(tmp_path, change=change)
    assert len(found.shapes) == 2 and skipped == {"further annotations of a task by others": 1}


def test_tasks_without_annotations_have_no_shapes(tmp_path):
    found, skipped = read(tmp_path, change=lambda task: task.update(annotations=[], predictions=[{"result": []}]))
    assert not found.shapes and found.size is None and skipped == {"tasks with predictions alone": 1}


@pytest.mark.parametrize(
    ("data", "name", "original"),
    [
        ("/data/upload/3/0a1b2c3d-a%20b.png", "/data/upload/3/0a1b2c3d-a b.png", "a b.png"),
        ("/data/local-files/?d=sets/cells/a.png", "sets/cells/a.png", "a.png"),
        ("https://host.org/x/a.jpg?key=1", "/x/a.jpg", "a.jpg"),
        ("s3://bucket/x/a.tif", "/x/a.tif", "a.tif"),
        ("s3://bucket/x/a.tif?versionId=3", "/x/a.tif", "a.tif"),
        ("HTTP://cdn.org/x/a.png?k=1", "/x/a.png", "a.png"),
        ("s3://bucket/x/slide #3.png", "/x/slide #3.png", "slide #3.png"),
        ("azure-blob://box/10% a?b+c.png", "/10% a?b+c.png", "10% a?b+c.png"),
        ("x/a.png", "x/a.png", "a.png"),
        ("20240101-a.png", "20240101-a.png", "20240101-a.png"),
        ("/data/local-files/?d=sets/20240101-a.png", "sets/20240101-a.png", "20240101-a.png"),
        ("s3://bucket/0a1b2c3d-1111-4222.png", "/0a1b2c3d-1111-4222.png", "0a1b2c3d-1111-4222.png"),
        ("https://host.org/upload/12/0a1b2c3d-20240101-a.png", "/upload/12/0a1b2c3d-20240101-a.png", "20240101-a.png"),
        ("upload/3/0a1b2c3d-a.png", "upload/3/0a1b2c3d-a.png", "a.png"),
    ],
)
def test_names_of_pictures_wherever_they_lay(data, name, original, tmp_path):
    found, _ = read(tmp_path, change=lambda task: task.update(data={"text": "hello", "image": data}))
    assert (found.picture, found.original) == (name, original)


@pytest.mark.parametrize(
    ("data", "uploaded", "name", "original"),
    [
        ({"image": "0a1b2c3d-a.png"}, "0a1b2c3d-a.png", "0a1b2c3d-a.png", "a.png"),
        ({"image": "https://cdn.org/x/0a1b2c3d-a.png"}, "0a1b2c3d-a.png", "/x/0a1b2c3d-a.png", "a.png"),
        ({"text": "hello"}, "0a1b2c3d-a.png", "0a1b2c3d-a.png", "a.png"),
        ({"image": "20240101-a.png"}, "0a1b2c3d-tasks.json", "20240101-a.png", "20240101-a.png"),
    ],
)
def test_what_was_uploaded_is_known_by_the_field_too(data, uploaded, name, original, tmp_path):
    found, _ = read(tmp_path, change=lambda task: task.update(data=data, file_upload=uploaded))
    assert (found.picture, found.original) == (name, original)


CHANGES = {
    "a picture that is none": lambda task: task.update(data={"image": "a.pdf"}),
    "turned in the program": lambda task: task["annotations"][0]["result"][0].update(image_rotation=90),
    "two sizes": lambda task: task["annotations"][0]["result"][0].update(original_width=7),
    "no size": lambda task: task["annotations"][0]["result"][0].pop("original_width"),
    "no points": lambda task: task["annotations"][0]["result"][0].update(value={"polygonlabels": ["a"]}),
    "labels that are a text": lambda task: task["annotations"][0]["result"][0]["value"].update(polygonlabels="a"),
    "results that are none": lambda task: task["annotations"][0].update(result=[3]),
    "no result": lambda task: task["annotations"][0].pop("result"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_damaged(name, tmp_path):
    with pytest.raises(Damage):
        read(tmp_path, change=CHANGES[name])


def test_key_points_are_counted(tmp_path):
    found, skipped = read(tmp_path, [result("keypoint", {"x": 1, "y": 2})])
    assert not found.shapes and skipped == {"results of type keypoint, which are no areas": 1}
    assert areas(rasterise(found.shapes, 4, 4), 0).tolist() == []


BOX = {"x": 0, "y": 0, "width": 50, "height": 50}


@pytest.mark.parametrize(
    ("data", "tags", "found"),
    [
        ({"before": "/data/upload/1/0123abcd-a.png", "after": "b.png"}, ["after"], [("b.png", 1)]),
        ({"before": "a.png", "after": "b.png"}, ["after", "before", "after"], [("b.png", 2), ("a.png", 1)]),
        ({"image": "a.png", "thumbnail": "https://h/a_small.jpg", "text": "none"}, ["image"], [("a.png", 1)]),
        ({"image": "/upload/1/0123abcd-a.png", "filename": "a.png"}, ["img"], [("/upload/1/0123abcd-a.png", 1)]),
        ({"image": "a.png"}, ["img", "img"], [("a.png", 2)]),
        ({"x": "/upload/1/0123abcd-a.png", "y": "/upload/1/3210abcd-a.png"}, ["y"], [("/upload/1/3210abcd-a.png", 1)]),
        ({"image": "a.png"}, [None], [("a.png", 1)]),
        ({"before": "a.png", "after": "b.png"}, [], [("a.png", 0)]),
        ({"before": "a.png", "after": "b.png"}, ["img"], "a.png.*b.png.*tags 'img'"),
        ({"before": "a.png", "after": "b.png"}, [None], "a.png.*b.png.*tags ''"),
        ({"image": "a.png"}, ["left", "right"], "a.png.*tags 'left', 'right'"),
    ],
)
def test_results_are_of_the_picture_whose_field_their_tag_names(data, tags, found, tmp_path):
    results = [result("rectangle", BOX, id=str(n), **{"to_name": tag} if tag else {}) for n, tag in enumerate(tags)]
    results.append({"id": "c", "type": "choices", "to_name": "notes", "value": {"choices": ["good"]}})  # no area
    file, skipped = label_studio(tmp_path, results), Counter()
    content = json.loads(file.read_text())
    content[0]["data"] = data
    if isinstance(found, str):
        with pytest.raises(Damage, match=f"must say of which picture they are.*{found}"):
            read_label_studio(file, content, skipped)
        return
    assert sorted((one.picture, len(one.shapes)) for one in read_label_studio(file, content, skipped)) == sorted(found)


def test_bitmasks_are_counted(tmp_path):
    found, skipped = read(tmp_path, [result("bitmask", {"imageDataURL": "data:"})])
    assert not found.shapes and skipped == {"results of type bitmask, which are not read": 1}
