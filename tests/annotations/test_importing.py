import base64
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from kinds_of_annotations import HEIGHT, KINDS, SHAPES, VESSEL, WIDTH, labelme, picture, qupath, truth, write_image

import unet_tf
from unet_tf import InputError, import_annotations
from unet_tf.data.palette import read_palette
from unet_tf.data.pictures import read_image, read_mask
from unet_tf.utils import signals

EMBEDDED = base64.b64encode(cv2.imencode(".png", picture())[1].tobytes()).decode()


def ids(path):
    return read_mask(path, ids=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_program_s_file_becomes_the_same_mask(kind, tmp_path):
    KINDS[kind](tmp_path / "source")
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    assert done.program == kind.split()[0]
    assert (ids(tmp_path / "data/masks/a.png") == truth()).all()
    (image,) = (tmp_path / "data/images").iterdir()
    assert (read_image(image)[..., 0] == picture()).all()
    assert read_palette(tmp_path / "data/label_colors.txt").names == ("background", "cell", "vessel")
    findings = unet_tf.check(tmp_path / "data")
    assert findings.classes == ("background", "cell", "vessel")
    assert findings.splits["train"].class_pixels.tolist() == np.bincount(truth().ravel()).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_objects_of_every_program(kind, tmp_path):
    KINDS[kind](tmp_path / "source")
    done = import_annotations(tmp_path / "source", tmp_path / "data", instances=True)
    mask = cv2.imread(str(tmp_path / "data/masks/a.png"), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint16 and (mask == truth()).all()
    assert done.settings == {"masks": "instance"} and not (tmp_path / "data/label_colors.txt").exists()


def test_a_file_is_a_source_too_and_pictures_may_lie_elsewhere(tmp_path):
    file = labelme(tmp_path / "source")
    (tmp_path / "pictures/deep").mkdir(parents=True)
    shutil.move(tmp_path / "source/a.png", tmp_path / "pictures/deep/a.png")
    with pytest.raises(InputError, match="there must be one in .*; there is none") as caught:
        import_annotations(file, tmp_path / "data")
    assert caught.value.file == file and not (tmp_path / "data").exists()
    import_annotations(file, tmp_path / "data", images=tmp_path / "pictures")
    assert (ids(tmp_path / "data/masks/a.png") == truth()).all()
    assert unet_tf.check(tmp_path / "data").splits["train"].pairs == 1


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_pictures_that_are_missing_are_said_in_one_sentence_and_counted(kind, tmp_path):
    file = KINDS[kind](tmp_path / "source")
    (tmp_path / "source/a.png").unlink()
    names = [f"p{number}.png" for number in range(8)]
    if kind == "coco":
        images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        file.write_text(json.dumps(json.loads(file.read_text()) | {"images": images}))
    else:
        for name in names:
            change(tmp_path / "source", imagePath=name).rename(file.with_name(f"{name}.json"))
            (tmp_path / "source/a.png").unlink()
    with pytest.raises(
        InputError,
        match=r"is about the picture 'p0\.png', of which there must be one in .*; there is none\. Lay it there, or say "
        r"with --images where the pictures are\. So it is with p1\.png, p2\.png, p3\.png, p4\.png and 3 more\.$",
    ) as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert str(caught.value).count("there is none") == 1


def test_files_are_named_where_the_pictures_that_are_missing_are_called_alike(tmp_path):
    for name in ("s0", "s1", "s2"):
        change(tmp_path / "source", imagePath="image.png").rename(tmp_path / f"source/{name}.json")
    (tmp_path / "source/a.png").unlink()
    with pytest.raises(
        InputError, match=r"s0\.json is about the picture 'image\.png', .* is with s1\.json, s2\.json\.$"
    ):
        import_annotations(tmp_path / "source", tmp_path / "data")


def test_faults_of_more_than_five_kinds_are_counted(tmp_path):
    for number in range(7):
        change(tmp_path / "source", imagePath=f"p{number}.png").rename(tmp_path / f"source/p{number}.json")
        for folder in "xy":
            write_image(tmp_path / "source", f"{folder}/p{number}.png")
    with pytest.raises(InputError, match=r"there is 2: [^;]*p4\.png\. Lay .* 2 faults more\.$"):
        import_annotations(tmp_path / "source", tmp_path / "data")


def overlapping(folder, order):
    """A square of the class "large" on a smaller one, or below it."""
    shapes = {"large": [[0, 0], [8, 0], [8, 8], [0, 8]], "small": [[2, 2], [4, 2], [4, 4], [2, 4]]}
    change(folder, shapes=[{"label": name, "points": shapes[name]} for name in order])


def change(folder, **fields):
    file = labelme(folder)
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return file


@pytest.mark.parametrize(
    ("order", "overlap", "pixels"),
    [
        (("large", "small"), "file", 4),
        (("small", "large"), "file", 0),
        (("small", "large"), "small", 4),
        (("large", "small"), "small", 4),
    ],
)
def test_the_order_of_what_overlaps(order, overlap, pixels, tmp_path):
    overlapping(tmp_path / "source", order)
    done = import_annotations(tmp_path / "source", tmp_path / "data", overlap=overlap)
    mask = ids(tmp_path / "data/masks/a.png")
    assert np.bincount(mask.ravel(), minlength=3).tolist() == [480 - 64, 64 - pixels, pixels]
    assert done.classes == ("background", "large", "small")[: 3 if pixels else 2]
    assert any("No pixel is of small" in note for note in done.notes) == (not pixels)


COVERED = "Shapes that others cover whole (--overlap small draws the smaller ones last): 1."


@pytest.mark.parametrize("others", [[], [("small", 6)]])
def test_shapes_that_others_cover_whole_are_counted(others, tmp_path):
    """Whether their class has pixels elsewhere or none."""
    squares = [("small", 2), ("large", 0), *others]
    corners = [(low, low + (8 if name == "large" else 2)) for name, low in squares]
    shapes = [
        {"label": name, "points": [[low, low], [high, low], [high, high], [low, high]]}
        for (name, _), (low, high) in zip(squares, corners, strict=True)
    ]
    change(tmp_path / "source", shapes=shapes)
    assert COVERED in import_annotations(tmp_path / "source", tmp_path / "a").notes
    assert not any(
        "cover" in note for note in import_annotations(tmp_path / "source", tmp_path / "b", overlap="small").notes
    )
    change(tmp_path / "source", shapes=[one | {"label": "cell"} for one in shapes])  # their class covers them
    assert not any("cover" in note for note in import_annotations(tmp_path / "source", tmp_path / "c").notes)


def test_shapes_without_a_class_in_others_are_said_to_be_one_area(tmp_path):
    write_image(tmp_path / "source")
    rings = [[[low, low], [high, low], [high, high], [low, high]] for low, high in ((0, 9), (1, 4), (5, 7), (12, 15))]
    objects = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}
        for ring in rings
    ]
    (tmp_path / "source/a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": objects}))
    done = import_annotations(tmp_path / "source", tmp_path / "classes")
    assert done.notes == ["Shapes without a class in others without one, which are one area in masks of classes: 2."]
    assert import_annotations(tmp_path / "source", tmp_path / "objects", instances=True).notes == []


def test_regions_in_which_nothing_was_found_are_doubted(tmp_path):
    qupath(tmp_path / "source")
    file = tmp_path / "source/a.geojson"
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["properties"]["objectType"] = "detection"
    region = {"type": "Polygon", "coordinates": [[[1, 1], [23, 1], [23, 19], [1, 19], [1, 1]]]}
    region = {"type": "Feature", "properties": {"objectType": "annotation"}, "geometry": region}
    file.write_text(json.dumps(content | {"features": [*content["features"], region]}))
    done = import_annotations(tmp_path / "source", tmp_path / "one")
    assert done.notes == [
        "Left out: 1 annotations without a class or of Region* around several detections, which are regions unless "
        "--classes names object or Region*."
    ]
    assert (ids(tmp_path / "one/masks/a.png") == truth()).all()
    write_image(tmp_path / "source", "b.png", seed=1)
    file.with_name("b.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [region]}))
    notes = import_annotations(tmp_path / "source", tmp_path / "two").notes
    assert any("around one detection or none, and are taken for objects: 1." in note for note in notes)


def test_the_smaller_object_counts_by_all_of_its_parts(tmp_path):
    """Two parts of 16 and 4 px: together more than the square of 9 px that the small part meets."""
    parts = [[[0, 0], [4, 0], [4, 4], [0, 4]], [[6, 6], [8, 6], [8, 8], [6, 8]]]
    square = {"label": "b", "points": [[7, 7], [10, 7], [10, 10], [7, 10]]}
    change(tmp_path / "source", shapes=[square, *({"label": "a", "points": one, "group_id": 1} for one in parts)])
    import_annotations(tmp_path / "source", tmp_path / "data", overlap="small")
    assert np.bincount(ids(tmp_path / "data/masks/a.png").ravel()).tolist() == [480 - 28, 19, 9]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read_is_named(tmp_path):
    labelme(tmp_path / "source")
    (tmp_path / "source/a.png").chmod(0)
    with pytest.raises(InputError, match=r"a.png cannot be read"):
        import_annotations(tmp_path / "source", tmp_path / "data")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    labelme(tmp_path / "source")
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InputError, match="No space left on device"):
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_classes_are_chosen_merged_and_named(tmp_path):
    labelme(tmp_path / "source")
    done = import_annotations(tmp_path / "source", tmp_path / "a", classes="cell")
    assert (ids(tmp_path / "a/masks/a.png") == (truth() == 1)).all()
    assert "Shapes of 'vessel', which is not chosen: 1." in done.notes
    import_annotations(tmp_path / "source", tmp_path / "b", classes="tissue=cell+vessel")
    assert (ids(tmp_path / "b/masks/a.png") == (truth() > 0)).all()
    import_annotations(tmp_path / "source", tmp_path / "c", classes="cell,void=vessel")
    assert read_palette(tmp_path / "c/label_colors.txt").names == ("background", "cell", "void")
    assert unet_tf.check(tmp_path / "c").splits["train"].void == (truth() == 2).sum()
    with pytest.raises(InputError, match="nerve is not. There are cell, vessel"):
        import_annotations(tmp_path / "source", tmp_path / "d", classes="nerve")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(("empty", "masks"), [("skip", {}), ("background", {0: 480}), ("void", {255: 480})])
def test_pictures_in_which_nothing_is_annotated(empty, masks, tmp_path):
    labelme(tmp_path / "source")
    write_image(tmp_path / "source", "b.png", seed=1)
    done = import_annotations(tmp_path / "source", tmp_path / "data", empty=empty)
    assert any(note.startswith("Pictures in which nothing is annotated: 1") for note in done.notes)
    assert (tmp_path / "data/masks/b.png").exists() == (tmp_path / "data/images/b.png").exists() == bool(masks)
    if masks:
        values, counts = np.unique(ids(tmp_path / "data/masks/b.png"), return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == masks
        splits = unet_tf.check(tmp_path / "data").splits.values()
        assert sum(one.void for one in splits) == masks.get(255, 0)


@pytest.mark.parametrize("empty", ["skip", "background"])
def test_masks_of_other_pictures_are_not_taken_for_pictures_without_annotations(empty, tmp_path):
    labelme(tmp_path / "source")
    for name in ("b.png", "masks/b.png", "masks/c.png", "b_mask.png"):
        write_image(tmp_path / "source", name)
    done = import_annotations(tmp_path / "source", tmp_path / "data", empty=empty)
    assert done.notes[0].startswith(
        "Masks, by their names or that of their folder, and no pictures: 3, left out: b_mask.png, masks/b.png, "
        "masks/c.png. If they are pictures, say --images"
    )
    assert done.notes[1].startswith("Pictures in which nothing is annotated: 1, ")
    assert done.pictures == (1 if empty == "skip" else 2)


def test_masks_without_background_have_no_such_class(tmp_path):
    whole = [[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]
    change(tmp_path / "source", shapes=[{"label": "tissue", "points": whole}, {"label": "vessel", "points": VESSEL}])
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    assert done.classes == ("tissue", "vessel") == read_palette(tmp_path / "data/label_colors.txt").names
    assert unet_tf.check(tmp_path / "data").classes == ("tissue", "vessel")


def test_what_lies_outside_is_cut_and_counted(tmp_path):
    far = [[-1e6, -1e6], [4, -1e6], [4, 1e6], [-1e6, 1e6]]
    gone = [[100, 100], [110, 100], [110, 110]]
    change(tmp_path / "source", shapes=[{"label": "cell", "points": far}, {"label": "cell", "points": gone}])
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    mask = ids(tmp_path / "data/masks/a.png")
    assert mask[:, :4].all() and not mask[:, 4:].any()
    assert "Shapes that reach outside of their picture, cut there: 2." in done.notes
    assert "Shapes that hold no pixel's centre: 1." in done.notes


def test_holes_that_an_outline_leaves_where_it_crosses_itself_are_counted(tmp_path):
    first, second = [[2, 2], [6, 2], [6, 6], [2, 6], [2, 2]], [[5, 5], [10, 5], [10, 10], [5, 10], [5, 5]]
    twice = first + second  # go round one pixel both, and between them there and back
    change(tmp_path / "source", shapes=[{"label": "cell", "points": twice, "shape_type": "polygon"}])
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    assert "Holes of one pixel, as outlines leave that touch or cross themselves: 1." in done.notes
    change(tmp_path / "plain", shapes=[{"label": "cell", "points": first, "shape_type": "polygon"}])
    assert not [n for n in import_annotations(tmp_path / "plain", tmp_path / "other").notes if "Holes" in n]


def test_nothing_covered_is_an_error(tmp_path):
    change(tmp_path / "source", shapes=[{"label": "cell", "points": [[100, 100], [110, 100], [110, 110]]}])
    with pytest.raises(InputError, match=r"no shape that counts covers one\. Shapes that hold no pixel's centre: 1\."):
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def exif(path, stored, turn, size=(HEIGHT, WIDTH)):
    """A picture file whose EXIF turns it."""
    from PIL import Image

    tags = Image.Exif()
    tags[274] = turn
    Image.fromarray(stored).save(path, exif=tags, quality=95)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("says", ["as turned", "as stored", "nothing"])
def test_pictures_that_exif_turns(says, turn, suffix, tmp_path):
    from unet_tf.data.structure import turned

    stored = picture()
    file = labelme(tmp_path / "source")
    (tmp_path / "source/a.png").unlink()
    exif(tmp_path / f"source/a{suffix}", stored, turn)
    content = json.loads(file.read_text()) | {"imagePath": f"a{suffix}"}
    size = {"as turned": turned(stored, turn).shape, "as stored": stored.shape, "nothing": (None, None)}[says]
    content["imageHeight"], content["imageWidth"] = size
    file.write_text(json.dumps(content))
    import_annotations(tmp_path / "source", tmp_path / "data")
    mask = ids(tmp_path / "data/masks/a.png")
    assert mask.shape == read_image(tmp_path / f"data/images/a{suffix}").shape[:2] == turned(stored, turn).shape
    as_stored = says == "as stored" and turn > 4  # else the size leaves it open, and labelme shows pictures turned
    expected = turned(truth(), turn) if as_stored else np.zeros((HEIGHT, WIDTH), np.uint8)
    if not as_stored:
        frame = np.zeros(mask.shape, np.uint8)
        height, width = min(mask.shape[0], HEIGHT), min(mask.shape[1], WIDTH)
        frame[:height, :width] = truth()[:height, :width]
        expected = frame
    assert (mask == expected).all()


def test_programs_that_ignore_exif_are_told_by_size_or_by_what_they_are(tmp_path):
    from unet_tf.data.structure import turned

    KINDS["qupath"](tmp_path / "source")
    (tmp_path / "source/a.png").unlink()
    exif(tmp_path / "source/a.jpg", picture(), 6)
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    assert (ids(tmp_path / "data/masks/a.png") == turned(truth(), 6)).all()
    assert "Pictures that EXIF turns, annotated as stored: 1." in done.notes


def test_annotations_of_a_picture_of_another_size_are_refused(tmp_path):
    file = change(tmp_path / "source", imageHeight=21)
    with pytest.raises(InputError, match="says 21x24 px of 'a.png', which has 20x24") as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert caught.value.file == file


def test_a_stack_is_refused(tmp_path):
    from unet_tf.data.pictures import write_stack

    change(tmp_path / "source", imagePath="a.tif")
    (tmp_path / "source/a.png").unlink()
    write_stack(tmp_path / "source/a.tif", [picture(), picture(1)])
    with pytest.raises(InputError, match=r"a.tif has 2 pages"):
        import_annotations(tmp_path / "source", tmp_path / "data")


def test_names_that_lead_out_of_the_source_write_nothing_there_and_read_nothing(tmp_path):
    write_image(tmp_path, "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "..\\secret.png", "", "a\0.png"):
        change(tmp_path / "source", imagePath=name)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputError, match="there is none"):
            import_annotations(tmp_path / "source", tmp_path / "deep/data")
        shutil.rmtree(tmp_path / "deep", ignore_errors=True)
        assert sorted(tmp_path.rglob("*")) == before


def test_the_picture_in_a_labelme_file_serves_where_it_is_missing(tmp_path):
    import base64

    for name in ("../../evil.png", "..", "/etc/evil.png", "evil.jpg", "\ud800.png"):
        data = base64.b64encode(cv2.imencode(".png", picture())[1].tobytes()).decode()
        change(tmp_path / "source", imagePath=name, imageData=data)
        (tmp_path / "source/a.png").unlink()
        import_annotations(tmp_path / "source", tmp_path / "out/data", overwrite=True)
        (image,) = (tmp_path / "out/data/images").iterdir()
        assert image.name == {"..": "a.png", "\ud800.png": "?.png"}.get(name, "evil.png")
        assert (read_image(image)[..., 0] == picture()).all()
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"data"}
    change(tmp_path / "source", imagePath="x.png", imageData="AAAA")
    (tmp_path / "source/a.png").unlink()
    with pytest.raises(InputError, match="must hold a PNG, JPEG, BMP or TIFF picture"):
        import_annotations(tmp_path / "source", tmp_path / "other")


@pytest.mark.parametrize(
    ("beside", "taken"),
    [
        (["p2/a.json"], {"p1/a.png": 0, "p2/a.png": 1}),
        (["p1/b.png", "p1/b.json"], {"a.png": 0, "b.png": 1}),
        (["p1/b.png", "p2/b.json"], {"p2/a.png": 1, "p1/b.png": 1}),
        ([], {"a.png": 1}),
    ],
)
def test_the_picture_in_a_labelme_file_is_nearer_than_one_of_its_name_elsewhere(beside, taken, tmp_path):
    """Where pictures lie beside such files; a folder of files alone is about the pictures in another one."""
    source = tmp_path / "source"
    file = change(source / "p1", imageData=EMBEDDED)
    (source / "p1/a.png").unlink()
    write_image(source, "p2/a.png", seed=1)
    for name in beside:
        if name.endswith("json"):
            (source / name).write_text(file.read_text().replace("a.png", f"{Path(name).stem}.png"))
        else:
            shutil.copy(source / "p2/a.png", source / name)
    import_annotations(source, tmp_path / "data")
    images = tmp_path / "data/images"
    assert {path.relative_to(images).as_posix() for path in images.rglob("*.png")} == taken.keys()
    assert all((read_image(images / name)[..., 0] == picture(seed)).all() for name, seed in taken.items())


def test_the_picture_where_a_labelme_file_says_comes_before_the_one_in_it(tmp_path):
    source = tmp_path / "source"
    change(source, imagePath="p1\\a.png", imageData=EMBEDDED)
    (source / "a.png").unlink()
    for name in ("p1/a.png", "b.png"):
        write_image(source, name, seed=1)
    (source / "b.json").write_text((source / "a.json").read_text().replace("a.png", "b.png"))
    import_annotations(source, tmp_path / "data")
    assert (read_image(tmp_path / "data/images/p1/a.png")[..., 0] == picture(1)).all()


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for number, folder in enumerate(("p1", "p2")):
        write_image(tmp_path / "source", f"{folder}/a.png", seed=number)
        labelme(tmp_path / f"source/{folder}")
        write_image(tmp_path / "source", f"{folder}/a.png", seed=number)
    import_annotations(tmp_path / "source", tmp_path / "data")
    for number, folder in enumerate(("p1", "p2")):
        assert (read_image(tmp_path / f"data/images/{folder}/a.png")[..., 0] == picture(number)).all()
        assert (ids(tmp_path / f"data/masks/{folder}/a.png") == truth()).all()
    assert unet_tf.check(tmp_path / "data").splits["train"].pairs >= 1


def test_two_annotations_of_one_picture_and_two_pictures_of_one_stem_are_refused(tmp_path):
    labelme(tmp_path / "source")
    shutil.copy(tmp_path / "source/a.json", tmp_path / "source/b.json")
    with pytest.raises(InputError, match="annotated once"):
        import_annotations(tmp_path / "source", tmp_path / "data")
    (tmp_path / "source/b.json").unlink()
    write_image(tmp_path / "source", "a.bmp")
    with pytest.raises(InputError, match="name of its own"):
        import_annotations(tmp_path / "source", tmp_path / "data", empty="background")


def test_an_out_that_holds_something_stays(tmp_path):
    labelme(tmp_path / "source")
    (tmp_path / "data").mkdir()
    import_annotations(tmp_path / "source", tmp_path / "data")
    with pytest.raises(InputError, match="is not empty"):
        import_annotations(tmp_path / "source", tmp_path / "data")
    (tmp_path / "data/masks/a.png").unlink()
    import_annotations(tmp_path / "source", tmp_path / "data", overwrite=True)
    assert (tmp_path / "data/masks/a.png").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(InputError, match="is not empty"):
        import_annotations(tmp_path / "source", tmp_path / "mine", overwrite=True)
    for out in (tmp_path, tmp_path / "source"):
        with pytest.raises(InputError, match="must not hold what is imported"):
            import_annotations(tmp_path / "source", out, overwrite=True)
    for target in ("data", "nowhere"):  # the link would be replaced, and not what it leads to
        (tmp_path / f"to_{target}").symlink_to(target)
        with pytest.raises(
            InputError, match=f"to_{target} must be no link; it leads to {tmp_path / target}. Give that"
        ):
            import_annotations(tmp_path / "source", tmp_path / f"to_{target}", overwrite=True)
    assert (tmp_path / "mine/thesis.txt").exists() and (tmp_path / "source/a.json").exists()


def test_an_earlier_import_in_the_source_is_no_part_of_it(tmp_path):
    labelme(tmp_path)
    for overwrite in (False, True):
        done = import_annotations(tmp_path, tmp_path / "data", overwrite=overwrite)
        assert done.pictures == 1 and not done.notes
    assert import_annotations(tmp_path, tmp_path / "other").pictures == 1


def test_a_signal_leaves_nothing(tmp_path):
    labelme(tmp_path / "source")
    with pytest.raises(signals.Stopped), signals.stoppable():
        import_annotations(tmp_path / "source", tmp_path / "data", on_picture=lambda done, total: signals.tell())
    assert not (tmp_path / "data").exists() and len(list(tmp_path.iterdir())) == 1


def test_a_damaged_picture_is_named_as_it_is_in_the_source(tmp_path):
    labelme(tmp_path / "source")
    image = tmp_path / "source/a.png"
    image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(InputError) as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert caught.value.file == image and str(image) in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_crowds_are_of_the_class_and_void_in_masks_of_objects(tmp_path):
    file = KINDS["coco"](tmp_path / "source")
    content = json.loads(file.read_text())
    content["annotations"][1]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    import_annotations(file, tmp_path / "a")
    assert (ids(tmp_path / "a/masks/a.png") == truth()).all()
    done = import_annotations(file, tmp_path / "b", instances=True)
    assert (ids(tmp_path / "b/masks/a.png") == np.array([0, 1, 65535])[truth()]).all()
    assert done.flags == [("masks", "instance"), ("void", "65535")]
    assert unet_tf.check(tmp_path / "b", **done.settings).splits["train"].void == (truth() == 2).sum()


def test_objects_that_are_all_marked_as_crowds_are_said_with_what_helps(tmp_path):
    file = KINDS["coco"](tmp_path / "source")
    file.write_text(file.read_text().replace('"iscrowd": 0', '"iscrowd": 1'))
    with pytest.raises(
        InputError,
        match=r"one\. Where a crowd \(iscrowd 1\) is one object, set iscrowd to 0; or leave --instances out\. "
        r"Regions of several objects \(crowds\), which are void in masks of objects: 2\.$",
    ):
        import_annotations(file, tmp_path / "data", instances=True)
    assert import_annotations(file, tmp_path / "data").notes == []


def test_parts_of_an_object_have_one_id(tmp_path):
    shapes = [{"label": "cell", "points": points, "group_id": 5} for points in SHAPES.values()]
    change(tmp_path / "source", shapes=[*shapes, {"label": "cell", "points": [[0, 16], [4, 16], [4, 20], [0, 20]]}])
    import_annotations(tmp_path / "source", tmp_path / "data", instances=True)
    mask = ids(tmp_path / "data/masks/a.png")
    assert (mask[:14] == (truth() > 0)[:14]).all() and (mask[16:, :4] == 2).all()


def test_more_objects_than_16_bits_number(tmp_path):
    side = 257
    image = np.zeros((side, side), np.uint8)
    (tmp_path / "source").mkdir()
    cv2.imwrite(str(tmp_path / "source/a.png"), image)
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    corners = np.stack([columns, rows], -1).reshape(-1, 1, 2) + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    annotations = [
        {"image_id": 1, "category_id": 1, "segmentation": [points]} for points in corners.reshape(-1, 8).tolist()
    ]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "source/a.json").write_text(json.dumps(content | {"annotations": annotations}))
    import_annotations(tmp_path / "source", tmp_path / "data", instances=True)
    mask = ids(tmp_path / "data/masks/a.tif")
    assert mask.dtype == np.uint32 and len(np.unique(mask)) == side**2 and 65535 not in mask


@pytest.mark.parametrize("names", [["1", "2"], ["a, b", "#c"], ["Tumor: CD3+", "'q'"], ["日本", "x y"]])
def test_any_name_of_a_class_comes_back(names, tmp_path):
    shapes = [{"label": name, "points": points} for name, points in zip(names, SHAPES.values(), strict=True)]
    change(tmp_path / "source", shapes=shapes)
    import_annotations(tmp_path / "source", tmp_path / "data")
    there = unet_tf.check(tmp_path / "data").classes[1:]
    expected = {"1": "class1", "2": "class2", "'q'": "q"}
    assert sorted(there) == sorted(expected.get(name, name) for name in names)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_links_out_of_the_source_are_not_followed_to_annotations(tmp_path):
    labelme(tmp_path / "other")
    labelme(tmp_path / "source")
    (tmp_path / "source/link").symlink_to(tmp_path / "other", target_is_directory=True)
    done = import_annotations(tmp_path / "source/a.json", tmp_path / "data", images=tmp_path / "other")
    assert done.pictures == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_links_to_folders_that_may_hold_annotations_are_said(tmp_path):
    source = tmp_path / "source"
    labelme(source / "own")
    write_image(tmp_path, "pictures/b.png")
    (source / "pictures").symlink_to(tmp_path / "pictures", target_is_directory=True)
    (source / "again").symlink_to(source / "own", target_is_directory=True)  # its annotations are read
    done = import_annotations(source, tmp_path / "data", empty="background")
    assert done.pictures == 2 and not any("Links" in note for note in done.notes)
    labelme(tmp_path / "pictures")
    (tmp_path / "pictures/a.png").unlink()
    (tmp_path / "pictures/a.json").rename(tmp_path / "pictures/b.json")
    done = import_annotations(source, tmp_path / "data", overwrite=True)
    assert done.pictures == 1 and "Links to folders are not followed to annotations: pictures." in done.notes
    for empty in ("background", "void"):
        with pytest.raises(InputError, match=r"not followed to annotations, and .*source/pictures may hold some"):
            import_annotations(source, tmp_path / "data", empty=empty, overwrite=True)


def test_choices_that_are_none(tmp_path):
    labelme(tmp_path / "source")
    for wrong in ({"overlap": "big"}, {"empty": "no"}, {"program": "paint"}, {"images": tmp_path / "none"}):
        with pytest.raises(InputError):
            import_annotations(tmp_path / "source", tmp_path / "data", **wrong)
    with pytest.raises(InputError, match="There is no"):
        import_annotations(tmp_path / "nothing", tmp_path / "data")
    assert not Path(tmp_path / "data").exists()


@pytest.mark.parametrize("program", ["labelme", "coco", "qupath", "imagej"])
def test_what_predict_writes_comes_back_to_the_pixel(program, tmp_path):
    """The way predict, correct, train: objects with holes, parts and corners that touch, in each format."""
    from unet_tf.annotations.outlines import find_outlines
    from unet_tf.annotations.shapes import Shape
    from unet_tf.annotations.write_coco import coco_writer
    from unet_tf.annotations.write_geojson import geojson_writer
    from unet_tf.annotations.write_imagej import imagej_writer
    from unet_tf.annotations.write_labelme import labelme_writer
    from unet_tf.annotations.writing import Picture

    writers = {"labelme": (labelme_writer, "a.json"), "coco": (coco_writer, "a.coco.json"),
               "qupath": (geojson_writer, "a.geojson"), "imagej": (imagej_writer, "a.zip")}  # fmt: skip
    writer, name = writers[program]
    objects = np.random.default_rng(3).integers(0, 6, (HEIGHT, WIDTH), np.uint8)  # all in pieces
    objects[4:12, 4:12], objects[6:9, 6:9] = 6, 7
    classes = np.array([0, 1, 2, 1, 2, 1, 2, 1], np.uint8)
    image = write_image(tmp_path / "pictures")
    colours = {"cell": (230, 159, 0), "vessel": (86, 180, 233)}
    names = ("", *colours)
    (tmp_path / "outlines").mkdir()
    with writer(tmp_path / "outlines" / name, Picture(image, HEIGHT, WIDTH, 1, colours)) as add:
        add([Shape(names[classes[n]], rings, 0.9) for n, rings in find_outlines(objects).items()])
    done = import_annotations(tmp_path / "outlines", tmp_path / "a", images=tmp_path / "pictures")
    assert done.program == program and done.classes == ("background", "cell", "vessel")
    assert (ids(tmp_path / "a/masks/a.png") == classes[objects]).all()
    import_annotations(tmp_path / "outlines", tmp_path / "b", images=tmp_path / "pictures", instances=True)
    assert (ids(tmp_path / "b/masks/a.png") == objects).all()


def test_an_object_with_a_hole_and_an_edge_through_centres_is_the_same_in_each_format(tmp_path):
    """The centres on the slope lie right of it: 0 + 1 + .. + 19 pixels, of which the hole has 25."""
    from unet_tf.annotations.shapes import Shape
    from unet_tf.annotations.writing import Picture
    from unet_tf.prediction.polygons import WRITERS

    triangle = np.array([[0, 0], [20, 20], [0, 20]], float)
    hole = np.array([[2, 10], [2, 15], [7, 15], [7, 10]], float)
    image = write_image(tmp_path / "pictures")
    for kind in ("coco", "geojson", "labelme"):
        (tmp_path / kind).mkdir()
        suffix, writer = WRITERS[kind]
        with writer(tmp_path / kind / f"a{suffix}", Picture(image, HEIGHT, WIDTH, 1, {"cell": (1, 2, 3)})) as add:
            add([Shape("cell", (triangle, hole))])
        import_annotations(tmp_path / kind, tmp_path / f"{kind} in", images=tmp_path / "pictures")
        assert np.bincount(ids(tmp_path / f"{kind} in/masks/a.png").ravel()).tolist() == [480 - 165, 165]


def of_two_dyes(source, picture):
    """One picture of two files, annotated as labelme says it: or by the name of the file alone."""
    file = change(source, imagePath=picture)
    if not picture.endswith(".png"):
        file.unlink()
        qupath(source).rename(source / f"{picture}.geojson")
    (source / "a.png").unlink()
    for dye, seed in (("_dapi", 0), ("_gfp", 1)):
        write_image(source, f"p/a{dye}.png", seed)
    return source


@pytest.mark.parametrize("named", ["a_dapi.png", "../elsewhere/a_gfp.png", "a", "a_gfp", "a_detections"])
@pytest.mark.parametrize("instances", [False, True])
def test_pictures_of_several_files_are_copied_whole(named, instances, tmp_path):
    source = of_two_dyes(tmp_path / "source", named)
    for name in ("p/b_dapi.png", "p/c.png"):  # no whole pictures, and nothing is annotated in them
        write_image(source, name)
    done = import_annotations(
        source, tmp_path / "data", channel_suffix="_dapi, _gfp", instances=instances, empty="background"
    )
    assert sorted(path.name for path in (tmp_path / "data").rglob("*.png")) == ["a.png", "a_dapi.png", "a_gfp.png"]
    assert (read_image(tmp_path / "data/images/a_gfp.png")[..., 0] == picture(1)).all()
    assert (ids(tmp_path / "data/masks/a.png") == truth()).all()
    assert "Files that are no whole picture (--channel-suffix): 2, left out: b_dapi.png, c.png." in done.notes
    assert done.flags[0] == ("channel-suffix", "_dapi,_gfp")
    findings = unet_tf.check(tmp_path / "data", **done.settings)
    assert findings.splits["train"].pairs == 1
    (problem,) = findings.problems
    assert problem.startswith("Training needs 2 pairs, one of them for validation; found 1. --val-share 0 trains on")


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ("a_gfp b_gfp", "_dapi,_gfp"),
        ("a_gfp b_gfp a_rfp b_rfp", "_dapi,_gfp,_rfp"),
        ("a_gfp", ""),  # b has none
        ("a_1 b_1", ""),
        ("c", ""),
    ],
)
def test_pictures_that_may_be_channels_of_those_annotated_are_said(others, said, tmp_path):
    source = tmp_path / "source"
    for name in ("a", "b"):
        change(source / name, imagePath=f"{name}_dapi.png")
        (source / name / "a.png").unlink()
    for number, name in enumerate(("a_dapi", "b_dapi", *others.split())):
        write_image(source, f"pictures/{name}.png", number)
    done = import_annotations(source, tmp_path / "data")
    (note,) = (one for one in done.notes if "nothing is annotated" in one)
    hint = f" If they are further channels of the others, say --channel-suffix {said}."
    assert note.endswith(hint) if said else "channel" not in note


def test_pictures_of_several_files_in_which_nothing_is_annotated_are_copied_whole_too(tmp_path):
    source = of_two_dyes(tmp_path / "source", "a_dapi.png")
    for dye in ("_gfp", "_dapi"):
        write_image(source, f"p/b{dye}.png")
    done = import_annotations(source, tmp_path / "data", channel_suffix=("_dapi", "_gfp"), empty="void")
    assert done.pictures == 2 and len([*(tmp_path / "data/images").iterdir()]) == 4
    assert (ids(tmp_path / "data/masks/b.png") != 0).all()


def test_a_picture_that_lacks_a_channel_is_named(tmp_path):
    file = change(of_two_dyes(tmp_path / "source", "a_dapi.png"), imagePath="a_dapi.png", imageData=EMBEDDED)
    (tmp_path / "source/p/a_gfp.png").unlink()
    with pytest.raises(InputError, match=r"beside .*a_dapi\.png there is no a_gfp\.png"):
        import_annotations(file, tmp_path / "data", channel_suffix="_dapi,_gfp")
    with pytest.raises(InputError, match="there is none"):
        import_annotations(change(tmp_path / "source", imagePath="x.png", imageData=EMBEDDED), tmp_path / "data",
                           channel_suffix="_dapi,_gfp")  # fmt: skip


def test_predictions_of_pictures_of_several_files_are_imported_with_all_of_them_or_not(tmp_path):
    file = change(of_two_dyes(tmp_path / "source", "a_dapi.png"), imagePath="a_dapi.png", imageData=EMBEDDED)
    (tmp_path / "source/predict.json").write_text('{"suffixes": ["_dapi", "_gfp"]}')
    with pytest.raises(InputError, match="are of several files each .*Say --channel-suffix _dapi,_gfp"):
        import_annotations(file, tmp_path / "data")
    (tmp_path / "source/a.png").unlink()
    assert import_annotations(tmp_path / "source", tmp_path / "data", channel_suffix="_dapi,_gfp").pictures == 1


@pytest.mark.parametrize("suffixes", ["_dapi", "_a,b_a", "_a,_a", "_a,", ("_a", ""), ["_a", "_b", "_a"]])
def test_endings_that_tell_no_files_apart_are_refused(suffixes, tmp_path):
    with pytest.raises(InputError, match="2 or more different endings, none of which ends in another; received '_"):
        import_annotations(labelme(tmp_path / "source"), tmp_path / "data", channel_suffix=suffixes)


@pytest.mark.parametrize(
    "name", ["runs/best/best.keras", "test/images/a.png", "images/mine.png", "notes.txt", ".git/HEAD"]
)
def test_what_an_import_did_not_write_is_not_replaced_with_it(name, tmp_path):
    labelme(tmp_path / "source")
    record = tmp_path / "data/import.json"
    import_annotations(tmp_path / "source", tmp_path / "data")
    assert json.loads(record.read_text())["files"] == ["images/a.png", "label_colors.txt", "masks/a.png"]
    for litter in (".DS_Store", "images/Thumbs.db", "masks/._a.png"):
        (tmp_path / "data" / litter).touch()
    mine = tmp_path / "data" / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match=f"holds 1 file that its import.json does not list: {name}. Move it away"):
        import_annotations(tmp_path / "source", tmp_path / "data", overwrite=True)
    assert mine.read_text() == "mine"
    mine.unlink()
    import_annotations(tmp_path / "source", tmp_path / "data", overwrite=True)
    assert (ids(tmp_path / "data/masks/a.png") == truth()).all()


@pytest.mark.parametrize("record", ["{}", "[]", '{"files": 3}', "{", ""])
def test_an_import_whose_record_is_damaged_is_not_replaced(record, tmp_path):
    labelme(tmp_path / "source")
    import_annotations(tmp_path / "source", tmp_path / "data")
    (tmp_path / "data/import.json").write_text(record)
    with pytest.raises(InputError, match=r"holds 3 files that its import\.json does not list: images/a\.png, "):
        import_annotations(tmp_path / "source", tmp_path / "data", overwrite=True)
    assert (ids(tmp_path / "data/masks/a.png") == truth()).all()


@pytest.mark.parametrize("text", ["0 0 0 1 nan 1 0", "0,0,0,1,1,1,0", "cat"])
def test_a_file_that_is_not_understood_leaves_no_picture_without_annotations(text, tmp_path):
    source = tmp_path / "source"
    KINDS["yolo"](source)
    (labels,) = source.rglob("a.txt")
    (image,) = (path for path in source.rglob("a.*") if path.suffix in (".png", ".jpg"))
    shutil.copy(image, image.with_stem("b"))
    labels.with_stem("b").write_text(text)
    done = import_annotations(source, tmp_path / "data")
    assert done.pictures == 1 and any("Not understood, and not used: 1 file, b.txt" in note for note in done.notes)
    for empty in ("background", "void"):
        with pytest.raises(InputError, match=rf"to be {empty} all over .*b\.txt is called like one, and not"):
            import_annotations(source, tmp_path / "data", empty=empty, overwrite=True)
    labels.with_stem("b").write_text("\n")  # nothing is annotated
    assert import_annotations(source, tmp_path / "data", empty="background", overwrite=True).pictures == 2
    labels.with_stem("b").write_text("\n \n" + labels.read_text())
    assert import_annotations(source, tmp_path / "data", empty="background", overwrite=True).shapes == 2 * done.shapes


def test_a_file_of_another_program_is_understood(tmp_path):
    source = tmp_path / "source"
    KINDS["yolo"](source)
    (image,) = (path for path in source.rglob("a.*") if path.suffix in (".png", ".jpg"))
    shutil.copy(image, image.with_stem("b"))
    (image.parent / "b.json").write_text(json.dumps({"version": "5", "shapes": [], "imagePath": "b.png"}))
    assert import_annotations(source, tmp_path / "data", program="yolo", empty="background").pictures == 2


@pytest.mark.parametrize("name", ["b.json", "b.png.json", "B.json"])
def test_names_of_files_that_are_not_understood_are_compared_as_those_of_pictures(name, tmp_path):
    labelme(tmp_path)
    write_image(tmp_path, "b.png")
    (tmp_path / name).write_text("null")
    with pytest.raises(InputError, match=f"{name} is called like one, and not understood"):
        import_annotations(tmp_path, tmp_path / "data", empty="background")


def test_names_that_are_no_utf_8_are_overwritten(tmp_path):
    labelme(tmp_path / "source")
    shutil.copy(tmp_path / "source/a.png", tmp_path / "source" / os.fsdecode(b"caf\xe9.png"))
    for overwrite in (False, True):
        done = import_annotations(tmp_path / "source", tmp_path / "data", empty="background", overwrite=overwrite)
        assert done.pictures == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.split()[0] not in ("imagej", "voc", "map")])
def test_texts_may_be_in_any_encoding_of_unicode(kind, encoding, tmp_path):
    source = tmp_path / "source"
    KINDS[kind](source)
    for path in source.rglob("*"):
        is_xml = path.suffix == ".xml"  # which says its encoding by a mark, and is read in two
        if path.is_file() and path.suffix != ".png" and not (is_xml and encoding in ("utf-16-be", "utf-32")):
            text = path.read_text(encoding="utf-8").replace('encoding="utf-8"', f'encoding="{encoding}"')
            path.write_bytes(text.encode(encoding))
    import_annotations(source, tmp_path / "data")
    assert (ids(tmp_path / "data/masks/a.png") == truth()).all()


def test_classes_in_several_spellings_are_said_with_what_makes_one_of_them(tmp_path):
    file = labelme(tmp_path / "source")
    shapes = json.loads(file.read_text())["shapes"]
    names = ("Background", "background", "Red_cell", "red cell", "vessel")
    change(tmp_path / "source", shapes=[one | {"label": name} for one in shapes for name in names])
    done = import_annotations(tmp_path / "source", tmp_path / "a")
    said = "red cell=Red_cell+red cell,vessel"
    note = "Classes that differ in their spelling alone: Red_cell, red cell. Where they mean one, say so: --classes "
    assert f"{note}'{said}'." in done.notes
    for settings in ({"classes": said}, {"classes": "vessel"}, {"instances": True}):
        done = import_annotations(tmp_path / "source", tmp_path / "a", overwrite=True, **settings)
        assert not any("spelling" in one for one in done.notes)


@pytest.mark.parametrize("other", ["CD4+ t cell", "other, unclear", "a=b"])
def test_classes_with_signs_of_the_option_are_said_without_a_command(tmp_path, other):
    file = labelme(tmp_path / "source")
    shapes = json.loads(file.read_text())["shapes"]
    names = ("red cell", "red_cell", other)
    change(tmp_path / "source", shapes=[one | {"label": name} for one in shapes for name in names])
    done = import_annotations(tmp_path / "source", tmp_path / "a")
    assert "Classes that differ in their spelling alone: red cell, red_cell." in done.notes


def test_a_field_of_a_class_is_of_maps(tmp_path):
    labelme(tmp_path / "source")
    with pytest.raises(InputError, match="is of GeoJSON and of vectors over a map; these are annotations of labelme"):
        import_annotations(tmp_path / "source", tmp_path / "data", class_field="kind")


def geojson(folder, *properties):
    write_image(folder)
    outlines = [[*points, points[0]] for points in SHAPES.values()]
    features = [
        {"type": "Feature", "properties": one, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for one, ring in zip(properties, outlines, strict=True)
    ]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


def test_geojson_that_names_no_class_says_its_fields_and_takes_one(tmp_path):
    source = geojson(tmp_path / "source", {"kind": "cell", "area": 3}, {"kind": "vessel", "area": 4.0})
    done = import_annotations(source, tmp_path / "one")
    assert done.classes == ("background", "object")
    assert done.notes == [
        "Features that name no class, which are called object: in 1 file. They have area, kind; if one of these names "
        "the class, say --class-field."
    ]
    done = import_annotations(source, tmp_path / "two", class_field="kind")
    assert done.classes == ("background", "cell", "vessel") and done.notes == []
    assert (ids(tmp_path / "two/masks/a.png") == truth()).all()
    assert import_annotations(source, tmp_path / "three", class_field="area").classes == ("background", "3", "4")
    with pytest.raises(InputError, match=r'no field "sort" in .*a\.geojson; there is: kind, area'):
        import_annotations(source, tmp_path / "four", class_field="sort")
    geojson(source, {"kind": ["cell"]}, {"kind": "vessel"})
    with pytest.raises(InputError, match=r"'kind' of feature 0 must name one class; .* Name another field"):
        import_annotations(source, tmp_path / "four", class_field="kind")


def test_a_file_that_is_taken_for_that_of_the_only_picture_is_said(tmp_path):
    source = geojson(tmp_path / "source", {"class": "cell"}, {"class": "vessel"})
    (source / "a.png").rename(source / "slide1.png")
    done = import_annotations(source, tmp_path / "data")
    said = "a.geojson is not called like slide1.png, and is taken for its annotations, as both are alone."
    assert said in done.notes and done.pictures == 1


def test_objects_of_qupath_without_a_class_have_no_field_to_name_it(tmp_path):
    own = {"objectType": "annotation", "name": "3", "isLocked": False, "measurements": {}}
    assert import_annotations(geojson(tmp_path / "a", own, own), tmp_path / "b").notes == []


def test_geojson_in_degrees_is_said_to_be_a_map(tmp_path):
    source = geojson(tmp_path / "source", {"class": "roof"}, {"class": "roof"})
    file = source / "a.geojson"
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["geometry"]["coordinates"] = [[[13.1, 52.1], [13.2, 52.1], [13.2, 52.2], [13.1, 52.1]]]
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"counts covers one\. If they are in degrees or metres, say --from map"):
        import_annotations(source, tmp_path / "data")


def test_names_of_classes_are_compared_in_one_unicode_form(tmp_path):
    file = labelme(tmp_path / "source")
    file.write_text(file.read_text().replace('"cell"', '"Ze\\u0301ro"').replace('"vessel"', '"Z\\u00e9ro"'))
    assert import_annotations(tmp_path / "source", tmp_path / "data").classes == ("background", "Z\u00e9ro")
