import json
from collections import Counter
from pathlib import Path

import pytest
from kinds_of_annotations import write_image

from unet_tf import InputError
from unet_tf.annotations import finding
from unet_tf.annotations.annotated import Annotated
from unet_tf.annotations.finding import PictureIndex, frame, predicted_by
from unet_tf.utils.text import folded


def find(root, picture, file="notes.json", stem=False, alone=False):
    found = PictureIndex(root).find(Annotated(root / file, picture, (), stem=stem), alone)
    return found.relative_to(root).as_posix()


@pytest.fixture
def root(tmp_path):
    for name in ("a.png", "x/b.png", "y/b.png", "deep/x/c.png", "slide.ome.png", "SegmentationClass/a.png", "é.png"):
        write_image(tmp_path, name)
    return tmp_path


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("a.png", "a.png"),
        ("A.PNG", "a.png"),
        ("x/b.png", "x/b.png"),
        ("..\\data\\y\\b.png", "y/b.png"),
        ("/somewhere/else/x/c.png", "deep/x/c.png"),
        ("e\u0301.png", "é.png"),
    ],
)
def test_a_name_with_any_folders(picture, expected, root):
    assert find(root, picture) == expected


def test_of_equal_names_the_one_beside_the_annotations(root):
    assert find(root, "b.png", "y/notes.json") == "y/b.png"
    with pytest.raises(InputError, match="there is 2: "):
        find(root, "b.png")
    with pytest.raises(InputError, match="there is none"):
        find(root, "../a.jpg")


def test_a_name_without_the_suffix_of_a_picture_is_of_the_picture_that_has_one(root):
    """As CVAT names the frames of a video whose files it exports as frame_000000.PNG."""
    for name in ("frame_000000.PNG", "v/frame_000001.png", "w/frame_000001.png", "a.png.tif"):
        write_image(root, name)
    for name, picture in (
        ("frame_000000", "frame_000000.PNG"), ("w/frame_000001", "w/frame_000001.png"), ("x/b", "x/b.png"),
        ("frame_000000.png", "frame_000000.PNG"), ("a.png", "a.png"),
    ):  # fmt: skip
        assert find(root, name) == picture
    for name, said in (("frame_000001", "there is 2"), ("frame_000000.jpg", "there is none")):
        with pytest.raises(InputError, match=said):
            find(root, name)


def test_stems_with_and_without_suffixes_of_the_picture(root):
    for stem in ("slide.ome", "slide.ome.png", "slide.ome.anything"):
        assert find(root, stem, stem=True) == "slide.ome.png"
    assert find(root, "a.svs", stem=True) == "a.png"


@pytest.mark.parametrize(
    "suffix",
    ".oir .zvi .dv .ics .ids .btf .tf2 .tf8 .isyntax .lim .raw .r3d .svslide .vmu .vsi .scn .bif .mrxs".split(),
)
def test_the_suffix_of_a_microscope_s_file_may_stand_before_that_of_its_annotations(suffix, tmp_path):
    for name in ("cells.png", "other.png"):
        write_image(tmp_path, name)
    for stem in (f"cells{suffix}", f"cells{suffix}_RoiSet"):
        assert find(tmp_path, stem, stem=True) == "cells.png"


def test_what_stands_behind_a_dot_is_a_suffix_where_it_is_known(tmp_path):
    for name in ("img_0.png", "img_1.5.png", "img.png"):
        write_image(tmp_path, name)
    assert find(tmp_path, "img_1.5", stem=True) == "img_1.5.png"
    for stem in ("img_0.5", "img.left"):
        with pytest.raises(InputError, match="there is none"):
            find(tmp_path, stem, stem=True)


@pytest.mark.parametrize("told", [False, True])
def test_finding_one_of_many_pictures_of_one_name_looks_at_each_once(told, tmp_path, monkeypatch):
    """Where annotations say the folder, nothing is looked up, and else each folder of both sides once."""
    number, count = 60, Counter()
    for n in range(number):
        for folder in ("images", "notes"):
            (tmp_path / f"case{n}" / folder).mkdir(parents=True)
        (tmp_path / f"case{n}/images/a.png").write_bytes(b"x")
    index = PictureIndex(tmp_path)
    resolve = Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda *a, **k: count.update(["resolve"]) or resolve(*a, **k))
    monkeypatch.setattr(finding, "folded", lambda name: count.update(["folded"]) or folded(name))
    for n in range(number):
        picture = f"case{n}/images/a.png" if told else "a.png"
        one = Annotated(tmp_path / f"case{n}/notes/a.json", picture, ())
        assert index.find(one, False) == tmp_path / f"case{n}/images/a.png"
    depth = len(tmp_path.parts) + 2  # folders above each picture
    assert count["resolve"] == (0 if told else 2 * number)
    assert count["folded"] == number * (depth + 1 + 2 * told)


def test_the_picture_beside_the_annotations_is_nearer_than_one_above(tmp_path):
    for name in ("a.png", "x/a.png"):
        write_image(tmp_path, name)
    assert find(tmp_path, "a.png", "x/notes.json") == "x/a.png"


def test_what_predict_puts_behind_the_name_is_no_part_of_it(root):
    write_image(root, "c_detections.png")
    for stem, picture in (
        ("a_detections", "a.png"), ("slide.ome_wgs84", "slide.ome.png"), ("A_WGS84", "a.png"), ("c_detections", None)
    ):  # fmt: skip
        assert find(root, stem, stem=True) == (picture or "c_detections.png")
    for name, stem in (("a_overlay", True), ("a_detections.png", False), ("_detections", True)):
        with pytest.raises(InputError, match="there is none"):
            find(root, name, stem=stem)


def test_originals_beside_pictures_make_nothing_ambiguous(tmp_path):
    for name in ("a.nd2", "a.tif", "a.vrt", "b.svs", "x/c.tif", "y/c.tif", "y/c.czi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for stem in ("a", "a_RoiSet", "a.tif"):
        assert find(tmp_path, stem, stem=True) == "a.tif"
    assert find(tmp_path, "a.nd2") == "a.nd2" and find(tmp_path, "b", stem=True) == "b.svs"
    assert find(tmp_path, "c", "x/c.roi", stem=True) == "x/c.tif"
    index = PictureIndex(tmp_path)
    assert index.left({tmp_path / "a.tif"})[0] == [tmp_path / "x/c.tif", tmp_path / "y/c.tif"]
    assert index.unread({tmp_path / "a.tif"}) == [tmp_path / "b.svs"]
    assert index.unread({tmp_path / "b.svs"}) == []


def test_names_that_keep_the_suffix_of_an_original_are_of_what_can_be_read(tmp_path):
    """As QuPath exports them of p.nd2; of BigTIFF, which can be read, they are."""
    for name in ("a.nd2", "a.tif", "b.svs", "c.btf", "c.tif"):
        (tmp_path / name).touch()
    for stem, picture in (("a.nd2", "a.tif"), ("b.svs", "b.svs"), ("c", "c.tif"), ("c.btf", "c.btf")):
        assert find(tmp_path, stem, stem=True) == picture
    index = PictureIndex(tmp_path)
    assert index.left({tmp_path / "a.tif"})[0] == [tmp_path / "c.tif"]


def test_one_picture_with_its_original_and_one_file_belong_together(tmp_path):
    for name in ("a.tif", "original.nd2"):
        (tmp_path / name).touch()
    assert find(tmp_path, "", stem=True) == "a.tif"


def test_names_are_read_as_parts_of_addresses_where_no_picture_bears_them(tmp_path):
    """As Label Studio writes them in its export of YOLO."""
    for name in ("Capture décran.png", "b%20c.png", "b c.png"):
        write_image(tmp_path, name)
    assert find(tmp_path, "Capture%20d%C3%A9cran", stem=True) == "Capture décran.png"
    assert find(tmp_path, "Capture%20d%C3%A9cran.png") == "Capture décran.png"
    assert find(tmp_path, "b%20c", stem=True) == "b%20c.png" and find(tmp_path, "b%20c.png") == "b%20c.png"
    with pytest.raises(InputError, match="there is none"):
        find(tmp_path, "b c%2F")


def test_the_name_before_an_upload_counts_where_no_picture_bears_that_behind_it(tmp_path):
    for name in ("0a1b2c3d-cell.png", "9f8e7d6c-cell.png", "cell.png", "dish.png"):
        write_image(tmp_path, name)

    def found(original, letters):
        picture = f"/data/upload/1/{letters}-{original}"
        return PictureIndex(tmp_path).find(Annotated(tmp_path / "p.json", picture, (), original=original), False).name

    assert found("cell.png", "0a1b2c3d") == "0a1b2c3d-cell.png" and found("cell.png", "12345678") == "cell.png"
    assert found("dish.png", "0a1b2c3d") == "dish.png"
    with pytest.raises(InputError, match=r"about the picture '/data/upload/1/0a1b2c3d-cup\.png', .* there is none"):
        found("cup.png", "0a1b2c3d")


def test_a_name_that_an_upload_changed_is_of_the_picture_that_it_was_made_of(tmp_path):
    """Label Studio keeps files as Django does: without signs, and `_` for each blank."""
    for name in (
        "my cells (1).png", "10%, 20x.TIF", "größe.png", "re\u0301.png", "s a.png", "s_(a).png", "r a.png", "r_a.png",
        "x/t 1.png", "y/t 1.png",
    ):  # fmt: skip
        write_image(tmp_path, name)
    index = PictureIndex(tmp_path)

    def found(original, picture="/data/upload/1/1a2b3c4d-"):
        path = index.find(Annotated(tmp_path / "p.json", picture + original, (), original=original), False)
        return path.relative_to(tmp_path).as_posix()

    for original, name in (
        ("my_cells_1.png", "my cells (1).png"), ("10_20x.TIF", "10%, 20x.TIF"), ("größe.png", "größe.png"),
        ("re.png", "re\u0301.png"),
    ):  # fmt: skip
        assert found(original) == name
    with pytest.raises(InputError, match=r"there is 2: .*/s a\.png, .*/s_\(a\)\.png\. Lay"):
        found("s_a.png")
    with pytest.raises(InputError, match=r"there is 2: .*/r a\.png, .*/r_a\.png\. Lay"):
        found("r_a.png")
    with pytest.raises(InputError, match=r"there is 2: .*/x/t 1\.png, .*/y/t 1\.png\. Lay"):
        found("t_1.png")
    with pytest.raises(InputError, match="there is none"):
        found("my_cells_1.png", "sets/")  # which was not uploaded


def test_regions_are_of_the_picture_that_is_called_like_their_file_and_else_of_that_without_the_end(tmp_path):
    for name in ("a.png", "b.png", "b_rois.png"):
        write_image(tmp_path, name)
    index = PictureIndex(tmp_path)
    for name in "ab":
        one = Annotated(tmp_path / f"{name}_rois.zip", f"{name}_rois", (), stem=True, original=name)
        assert index.find(one, False).name == {"a": "a.png", "b": "b_rois.png"}[name]


def test_one_picture_and_one_file_belong_together(tmp_path):
    write_image(tmp_path, "a.png")
    index = PictureIndex(tmp_path)
    said = "annotations.geojson is not called like a.png, and is taken for its annotations, as both are alone."
    for name, notes in (("a", []), ("annotations", [said])):
        assert index.find(Annotated(tmp_path / f"{name}.geojson", name, (), stem=True), True).name == "a.png"
        assert index.notes == notes
    placed = Annotated(tmp_path / "roofs.gpkg", "roofs", (), stem=True, on=lambda picture, field: ())
    index = PictureIndex(tmp_path)
    assert index.find(placed, True).name == "a.png" and index.notes == []
    assert find(tmp_path, "", stem=True) == "a.png"  # RoiSet.zip
    with pytest.raises(InputError):
        find(tmp_path, "annotations", stem=True)
    with pytest.raises(InputError):
        find(tmp_path, "b.png", alone=True)


def test_a_file_without_a_name_is_of_the_one_picture_in_its_folder(tmp_path):
    for name in ("p1/a.tif", "p1/a.nd2", "p2/b.tif", "p3/c.nd2", "p4/d.tif", "p4/e.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder, picture in (("p1", "a.tif"), ("p2", "b.tif")):
        assert find(tmp_path, "", f"{folder}/RoiSet.zip", stem=True) == f"{folder}/{picture}"
    assert find(tmp_path, "", "p3/RoiSet.zip", stem=True) == "p3/c.nd2"
    for folder in ("p4", "p5"):
        with pytest.raises(InputError, match=r"about the picture '\(of no name\)'"):
            find(tmp_path, "", f"{folder}/RoiSet.zip", stem=True)
    (tmp_path / "p4/d.tif").rename(tmp_path / "p4/c.tif")
    assert find(tmp_path, "", "p3/RoiSet.zip", stem=True) == "p4/c.tif"  # of which that one is the original


def test_the_size_that_annotations_state_tells_whether_the_picture_was_turned():
    def told(size, shown, turn=6):
        return frame(Annotated(Path("a.json"), "a.png", (), size, shown=shown), (20, 24), turn)

    assert told((20, 24), False) == ((20, 24), True)
    assert told((24, 20), True) == ((24, 20), False)
    assert told(None, True) == ((20, 24), True) and told(None, False) == ((24, 20), False)
    assert told((20, 24), False, turn=3) == ((20, 24), False)  # turned by half: the size leaves it open
    for wrong in ((21, 24), (24, 20)):
        with pytest.raises(InputError, match="a picture of the same size"):
            told(wrong, True, turn=1)


def test_masks_that_were_predicted_are_no_pictures(tmp_path):
    for name in ("masks/a.png", "scans/b.png", "scans/b.jpg"):
        write_image(tmp_path, name)
    for folder, picture in (("masks", "elsewhere/a.png"), ("scans", tmp_path / "scans" / "b.jpg")):
        (tmp_path / folder / "predict.json").write_text("{}")
        (tmp_path / folder / "manifest-1-of-2.csv").write_text(f"picture,status\n{picture},done\n")
    assert [*PictureIndex(tmp_path).files] == [tmp_path / "scans" / "b.jpg"]
    with pytest.raises(InputError, match=r"about the picture '\.\./new/a\.png', .* there is none.*--images"):
        find(tmp_path / "masks", "../new/a.png")


@pytest.mark.parametrize(
    ("settings", "picture", "made", "kept"),
    [
        ("", "a.jpg", "a.png a.npy a_overlay.png a_instances.tif", "a.jpg new.png"),
        ('{"format": "png", "overlay": false, "probabilities": false}', "a.jpg", "a.png", "a.jpg a.npy a_overlay.png"),
        ('{"format": "tif"}', "a.png", "a.tif a_overlay.png", "a.png a.jpg"),
        ('{"suffixes": ["_dapi", "_gfp"]}', "s_dapi.png", "s.png S_overlay.png", "s_dapi.png s_gfp.png t.png"),
        ('{"suffixes": 1}', "é.jpg", "e\u0301.png", "é.jpg"),
        ("[]", "C:\\scans\\a.jpg", "a.png", "a.jpg"),
    ],
)
def test_pictures_stay_pictures_where_the_folder_was_moved_or_more_were_added(
    settings, picture, made, kept, tmp_path
):  # fmt: skip
    for name in (made + " " + kept).split():
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "predict.json").write_text(settings)
    listed = picture if ":" in picture else f"/where/it/was/{picture}"
    (tmp_path / "manifest.csv").write_text(f"picture,status\n{listed},done\n", encoding="utf-8")
    assert {path.name for path in PictureIndex(tmp_path).files} == {*kept.split()}


@pytest.mark.parametrize(
    ("noted", "net"),
    [({"a": "/runs/x"}, "/runs/x"), ({"a": "/runs/x", "b": "/runs/x"}, "/runs/x"), ({"a": "/runs/x", "b": "/y"}, ""),
     ({"a": "/runs/x", "b": None}, ""), ({"a": ["x"]}, ""), ({"a": None}, "")],
)  # fmt: skip
def test_the_net_of_predictions_is_known_where_all_are_of_one(noted, net, tmp_path):
    annotated = []
    for name, value in noted.items():
        (tmp_path / name).mkdir()
        if value is not None:
            (tmp_path / name / "predict.json").write_text(json.dumps({"net": value}))
        annotated.append(Annotated(tmp_path / name / "a.json", "a.png", ()))
    assert predicted_by(annotated) == net


def test_masks_are_no_pictures_that_lack_annotations(tmp_path):
    for name in (
        "a.png", "a_mask.png", "b_mask.png", "c.png", "old/Masks/train/a.png", "labels/images/d.png", "labels/e.png",
        "annotations/f.png", "annotations/g.png", "x/labels.png",
    ):  # fmt: skip
        write_image(tmp_path, name)
    others, masks = PictureIndex(tmp_path).left({tmp_path / "a.png", tmp_path / "annotations/f.png", None})
    assert [path.relative_to(tmp_path).as_posix() for path in masks] == [
        "a_mask.png", "labels/e.png", "old/Masks/train/a.png"
    ]  # fmt: skip
    assert [path.relative_to(tmp_path).as_posix() for path in others] == [
        "annotations/g.png", "b_mask.png", "c.png", "labels/images/d.png", "x/labels.png"
    ]  # fmt: skip
    assert PictureIndex(tmp_path / "labels").left(set())[1] == []
