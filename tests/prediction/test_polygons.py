"""Outlines beside the masks: of the same objects, in every format, whole or absent."""

import json
import shutil
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import roifile
import tifffile
import tomli_w
from PIL import Image
from pycocotools.coco import COCO
from rasterise import inside

from unet_tf import import_annotations, predict_files, unet
from unet_tf.annotations.read_vector_map import read_vector_map
from unet_tf.data.drawing import overlay
from unet_tf.data.pictures import read_mask, write_picture
from unet_tf.errors import InputError
from unet_tf.prediction.objects import find_objects
from unet_tf.prediction.polygons import MAPS, WRITERS, parse_polygons
from unet_tf.prediction.predictor import Predictor
from unet_tf.prediction.record import OLDER, SETTINGS

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"
ALL = tuple(kind for kind in WRITERS if kind not in MAPS)


@pytest.fixture(scope="module", autouse=True)
def _a_net_that_sees_the_grey_values():
    """The tiny run knows no objects: in its place, the probability of a cell is the grey value."""

    def probabilities(self, image, **settings):
        one = image[..., 0].astype(np.float32) / 255
        return np.stack([1 - one, one], axis=-1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "probabilities", probabilities)
        patch.setattr(
            Predictor, "predict", lambda *image, **settings: probabilities(*image).argmax(-1).astype(np.uint8)
        )
        yield


def noise(number, shape=(40, 48)):
    """Patches that make objects with holes and corners."""
    grey = cv2.GaussianBlur(np.random.default_rng(number).normal(size=shape), (0, 0), 1.5)
    return np.clip(118 + 50 * grey / grey.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predicted")
    write_picture(folder / "scans" / "a.png", noise(0))
    outcome = predict_files(RUN, folder / "scans", folder / "out", polygons=ALL, instances=True, min_area=3)
    assert outcome.failed == ()
    return folder / "out"


def objects_of(out, name="a"):
    """The ids, and the rows of the table of objects."""
    rows = [line.split(",") for line in (out / f"{name}_objects.csv").read_text().splitlines()[1:]]
    return tifffile.imread(out / f"{name}_instances.tif"), rows


def rings_of(geometry):
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [np.array(ring[:-1]) for part in parts for ring in part]


def check(ids, number, rings):
    np.testing.assert_array_equal(inside(rings, ids.shape), ids == number)


def test_all_formats_hold_the_objects_of_the_table(predicted):
    ids, rows = objects_of(predicted)
    assert len(rows) > 3
    areas, means = [int(row[3]) for row in rows], [float(row[10]) for row in rows]
    assert min(areas) >= 3
    assert find_objects(read_mask(predicted / "a.png") // 255)[0].max() > len(rows)  # smaller ones are left out
    for name, kind in (("a.geojson", "annotation"), ("a_detections.geojson", "detection")):
        features = json.loads((predicted / name).read_text())["features"]
        assert [one["properties"]["measurements"]["Mean probability"] for one in features] == means
        assert {one["properties"]["objectType"] for one in features} == {kind}
        for number, one in enumerate(features, start=1):
            check(ids, number, rings_of(one["geometry"]))
    coco = COCO(predicted / "a.coco.json")
    assert [one["area"] for one in coco.anns.values()] == areas
    assert [one["score"] for one in coco.anns.values()] == means
    for number, one in coco.anns.items():
        np.testing.assert_array_equal(coco.annToMask(one).astype(bool), ids == number)
    rois = roifile.roiread(predicted / "a_RoiSet.zip")
    assert [roi.properties["mean_probability"] for roi in rois] == means
    for number, roi in enumerate(rois, start=1):
        check(ids, number, [ring[:-1] if roi.composite else ring for ring in roi.coordinates(multi=True)])
    labelme = json.loads((predicted / "a.json").read_text())
    assert (predicted / labelme["imagePath"]).resolve() == (predicted.parent / "scans" / "a.png").resolve()
    union = np.logical_or.reduce([inside([np.array(one["points"])], ids.shape) for one in labelme["shapes"]])
    np.testing.assert_array_equal(union, ids > 0)


def instance_run(folder, classes=("background", "foreground"), **masks):
    """The tiny run as if it had learnt from masks of objects."""
    run = shutil.copytree(RUN, folder)
    stored = tomllib.loads((run / "config.toml").read_text())
    stored["masks"] |= {"kind": "instance"} | masks
    stored["train"]["classes"] = list(classes)
    (run / "config.toml").write_text(tomli_w.dumps(stored))
    return run


@pytest.mark.parametrize("subpixel", [False, True])
def test_outlines_and_table_have_the_ids_of_the_mask_where_some_are_void(predicted, tmp_path, subpixel):
    scans, kinds = predicted.parent / "scans", ("geojson", "labelme", "imagej")
    run = instance_run(tmp_path / "run", void=[2, 4])
    outcome = predict_files(run, scans, tmp_path / "out", polygons=kinds, instances=True, subpixel=subpixel)
    assert outcome.failed == ()
    ids, rows = objects_of(tmp_path / "out")
    np.testing.assert_array_equal(ids, read_mask(tmp_path / "out" / "a.png", ids=True))
    numbers = [int(row[1]) for row in rows]
    assert numbers[:3] == [1, 3, 5]
    features = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
    assert [int(one["properties"]["name"]) for one in features] == numbers
    for number, one in zip(numbers, features, strict=True):
        check(ids, number, rings_of(one["geometry"]))
    rois = roifile.roiread(tmp_path / "out" / "a_RoiSet.zip")
    assert [roi.name for roi in rois] == [f"{number:04d}-foreground" for number in numbers]
    groups = {one["group_id"] for one in json.loads((tmp_path / "out" / "a.json").read_text())["shapes"]} - {None}
    assert groups < {*numbers}


def test_a_class_of_borders_goes_out_neither_with_outlines_nor_in_the_overlay(tmp_path, monkeypatch):
    label = np.zeros((9, 12), np.uint8)
    label[1:8, 1:6], label[2:7, 2:5] = 2, 1  # a rim and what lies inside
    run = instance_run(tmp_path / "run", ("background", "cell", "border"), num_classes=3, border=1)
    unet(num_classes=3, base_filters=2, depth=1, padding="same").save(run / "best.keras")
    monkeypatch.setattr(Predictor, "probabilities", lambda *image, **settings: np.eye(3, dtype=np.float32)[label])
    write_picture(tmp_path / "a.png", np.full(label.shape, 100, np.uint8))
    outcome = predict_files(run, tmp_path / "a.png", tmp_path / "out", polygons="coco", overlay=True)
    assert outcome.failed == ()
    coco = json.loads((tmp_path / "out" / "a.coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "cell"}]
    assert [one["area"] for one in coco["annotations"]] == [35]
    whole = (label > 0).astype(np.uint8)
    expected = overlay(np.full((*label.shape, 1), 100, np.uint8), whole, side=12)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a_overlay.png"), expected)


@pytest.mark.parametrize("kind", ALL)
def test_a_format_needs_no_other_output_and_changes_no_mask(predicted, tmp_path, kind):
    scans = predicted.parent / "scans"
    assert predict_files(RUN, scans, tmp_path, polygons=kind, min_area=3).written == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.png", "a" + WRITERS[kind][0], "manifest.csv", "predict.json"
    }  # fmt: skip
    for path in tmp_path.glob("a*"):
        if kind != "labelme" or path.suffix == ".png":  # labelme names the picture by the way from here
            assert path.read_bytes() == (predicted / path.name).read_bytes()
    assert predict_files(RUN, scans, tmp_path, polygons=[kind], min_area=3).skipped == 1
    with pytest.raises(InputError, match="holds predictions with other settings: simplify 0.0 there, 2.0 here"):
        predict_files(RUN, scans, tmp_path, polygons=kind, min_area=3, simplify=2)


def test_pages_of_a_stack_are_in_one_file(tmp_path):
    pages = np.stack([noise(0), np.zeros((40, 48), np.uint8), noise(2)])
    tifffile.imwrite(tmp_path / "b.tif", pages, photometric="minisblack")
    outcome = predict_files(
        RUN, tmp_path / "b.tif", tmp_path / "out", polygons="geojson,detections,coco,imagej", instances=True
    )
    assert outcome.failed == ()
    ids, rows = objects_of(tmp_path / "out", "b")
    of_pages = [int(row[0]) for row in rows]
    features = json.loads((tmp_path / "out" / "b.geojson").read_text())["features"]
    assert [one["geometry"]["plane"]["z"] for one in features] == of_pages
    assert [int(one["properties"]["name"]) for one in features] == [int(row[1]) for row in rows]
    coco = COCO(tmp_path / "out" / "b.coco.json")
    assert [one["image_id"] - 1 for one in coco.anns.values()] == of_pages
    for one, row in zip(coco.anns.values(), rows, strict=True):
        np.testing.assert_array_equal(coco.annToMask(one) > 0, ids[int(row[0])] == int(row[1]))
    assert [roi.position - 1 for roi in roifile.roiread(tmp_path / "out" / "b_RoiSet.zip")] == of_pages


def test_labelme_refuses_a_stack_and_its_neighbours_are_done(tmp_path):
    write_picture(tmp_path / "in" / "c.png", noise(1))
    tifffile.imwrite(tmp_path / "in" / "b.tif", np.zeros((2, 40, 48), np.uint8), photometric="minisblack")
    outcome = predict_files(RUN, tmp_path / "in", tmp_path / "out", polygons="labelme,geojson")
    assert outcome.written == 1
    assert "b.tif has 2" in outcome.failed[0]
    assert not list((tmp_path / "out").glob("*b.*"))


@pytest.mark.parametrize(
    ("names", "polygons", "clash"),
    [
        (("a.png", "a.bmp"), "geojson", "a.png"),
        (("a.png", "a.coco.bmp"), "coco,labelme", "a.coco.json"),
        (("a.png", "a_detections.png"), "geojson,detections", "a_detections.geojson"),
    ],
)
def test_names_that_collide_are_refused_before_the_first(tmp_path, names, polygons, clash):
    for number, name in enumerate(names):
        write_picture(tmp_path / "in" / name, noise(number))
    with pytest.raises(InputError, match=f"would both write .*{clash}"):
        predict_files(RUN, tmp_path / "in", tmp_path / "out", polygons=polygons)
    assert not (tmp_path / "out").exists()


def test_a_picture_whose_outlines_would_be_the_settings_is_refused(tmp_path):
    write_picture(tmp_path / "in" / "Predict.png", noise(0))
    with pytest.raises(InputError, match="which holds the settings of the folder"):
        predict_files(RUN, tmp_path / "in", tmp_path / "out", polygons="labelme")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"polygons": "yolo"},
            "Polygons are written as geojson, detections, coco, labelme, imagej, gpkg, wgs84; received yolo.",
        ),
        ({"polygons": "coco", "simplify": -1}, "--simplify takes 0 or more pixels; received -1."),
        ({"polygons": "coco", "simplify": float("nan")}, "--simplify takes 0 or more pixels; received nan."),
        ({"polygons": "coco", "simplify": float("inf")}, "--simplify takes 0 or more pixels; received inf."),
        ({"simplify": 1}, "--simplify and --subpixel are of outlines; add --polygons and their format."),
        ({"polygons": " , ", "subpixel": True}, "--simplify and --subpixel are of outlines"),
    ],
)
def test_settings_that_cannot_be_used_are_said_before_anything_is_written(tmp_path, settings, words):
    write_picture(tmp_path / "in" / "a.png", noise(0))
    with pytest.raises(InputError, match=words):
        predict_files(RUN, tmp_path / "in", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_not_there_is_said_first(monkeypatch):
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(InputError, match="pip install"):
        parse_polygons("imagej")
    assert parse_polygons("labelme,coco,Geojson,coco") == ("geojson", "coco", "labelme")


def test_folders_of_before_there_were_outlines_and_cuts_go_on(tmp_path):
    write_picture(tmp_path / "in" / "a.png", noise(0))
    predict_files(RUN, tmp_path / "in", tmp_path / "out")
    settings = json.loads((tmp_path / "out" / SETTINGS).read_text())
    assert OLDER.keys() < settings.keys()
    older = {name: value for name, value in settings.items() if name not in OLDER}
    (tmp_path / "out" / SETTINGS).write_text(json.dumps(older))
    assert predict_files(RUN, tmp_path / "in", tmp_path / "out").skipped == 1


def test_outlines_that_the_disk_does_not_hold_are_said_and_leave_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    write_picture(tmp_path / "in" / "a.png", noise(0, (120, 120)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        outcome = predict_files(RUN, tmp_path / "in", tmp_path / "out", polygons="imagej,geojson,coco,labelme")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ["File too large" in one for one in outcome.failed] == [True]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.csv", "predict.json"]


def test_outlines_between_pixels_hold_the_same_pixels(tmp_path):
    write_picture(tmp_path / "in" / "a.png", noise(5))
    predict_files(RUN, tmp_path / "in", tmp_path / "out", polygons="geojson", instances=True, subpixel=True)
    ids, rows = objects_of(tmp_path / "out")
    features = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
    assert len(features) == len(rows) > 0
    every = []
    for number, one in enumerate(features, start=1):
        rings = rings_of(one["geometry"])
        check(ids, number, rings)
        every += rings
    points = np.concatenate(every)
    between = (points * 2 % 1 != 0).any(axis=1)
    assert between.mean() > 0.5  # neither on borders of pixels nor halfway


def test_the_more_may_move_the_fewer_points_are_left_of_as_many_objects(tmp_path):
    write_picture(tmp_path / "in" / "a.png", noise(0))
    sizes = {}
    for simplify in (0, 1, 3):
        out = tmp_path / str(simplify)
        predict_files(RUN, tmp_path / "in", out, polygons="labelme", simplify=simplify)
        shapes = json.loads((out / "a.json").read_text())["shapes"]
        sizes[simplify] = len(shapes), sum(len(one["points"]) for one in shapes)
    assert sizes[0][0] == sizes[1][0] == sizes[3][0]
    assert sizes[0][1] > sizes[1][1] > sizes[3][1]


def test_masks_are_those_without_outlines(predicted, tmp_path):
    predict_files(RUN, predicted.parent / "scans", tmp_path)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), read_mask(predicted / "a.png"))


def test_outlines_of_a_map_lie_on_the_earth_and_come_back_to_the_pixel(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    grey = noise(3)
    place = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", width=grey.shape[1], height=grey.shape[0], count=1,
                       dtype="uint8", **place) as target:  # fmt: skip
        target.write(grey, 1)
    outcome = predict_files(RUN, tmp_path / "m.tif", tmp_path / "out", polygons=MAPS, instances=True)
    assert outcome.failed == ()
    ids, rows = objects_of(tmp_path / "out", "m")
    for name in ("m.gpkg", "m_wgs84.geojson"):
        shapes = read_vector_map(tmp_path / "out" / name, tmp_path / "m.tif")
        assert len(shapes) == len(rows)
        drawn = np.zeros(ids.shape, ids.dtype)
        for number, shape in enumerate(shapes, start=1):
            drawn[inside(shape.rings, ids.shape)] = number
        np.testing.assert_array_equal(drawn, ids)
        done = import_annotations(tmp_path / "out" / name, tmp_path / f"of {name}", images=tmp_path)
        assert (done.program, done.pictures, done.shapes) == ("map", 1, len(rows))
        np.testing.assert_array_equal(read_mask(tmp_path / f"of {name}" / "masks/m.png", ids=True) > 0, ids > 0)


@pytest.mark.parametrize("subpixel", [False, True])
def test_outlines_of_pictures_that_exif_turns_come_back_in_every_format(subpixel, tmp_path):
    scans, tags = tmp_path / "scans", Image.Exif()
    scans.mkdir()
    for tags[0x0112] in range(1, 9):
        Image.fromarray(noise(tags[0x0112])).save(scans / f"{tags[0x0112]}.png", exif=tags)
    outcome = predict_files(RUN, scans, tmp_path / "out", polygons=ALL, instances=True, subpixel=subpixel)
    assert outcome.failed == ()
    for kind in ALL:
        (tmp_path / kind).mkdir()
        for number in range(1, 9):
            name = f"{number}{WRITERS[kind][0]}"
            text = (tmp_path / "out" / name).read_bytes().replace(b"../scans/", b"")
            (tmp_path / kind / name).write_bytes(text)
        import_annotations(tmp_path / kind, tmp_path / f"of {kind}", images=scans, instances=True)
        for number in range(1, 9):
            ids = tifffile.imread(tmp_path / "out" / f"{number}_instances.tif")
            np.testing.assert_array_equal(read_mask(tmp_path / f"of {kind}/masks/{number}.png", ids=True), ids)


def test_detections_come_back_to_their_picture(predicted, tmp_path):
    scans = predicted.parent / "scans"
    done = import_annotations(predicted / "a_detections.geojson", tmp_path / "data", images=scans)
    assert (done.pictures, (read_mask(tmp_path / "data/masks/a.png", ids=True) > 0).any()) == (1, True)
    for name in ("a.geojson", "a_detections.geojson"):
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / name).write_bytes((predicted / name).read_bytes())
    with pytest.raises(InputError, match="annotated once.*a_detections.geojson have one. Take one away"):
        import_annotations(tmp_path / "both", tmp_path / "other", images=scans)


def test_a_picture_that_lies_nowhere_has_no_outlines_on_the_earth(tmp_path):
    pytest.importorskip("rasterio")
    write_picture(tmp_path / "a.tif", noise(0))
    (failed,) = predict_files(RUN, tmp_path / "a.tif", tmp_path / "out", polygons="gpkg").failed
    assert "has no coordinate system" in failed
    assert [path.name for path in (tmp_path / "out").iterdir() if path.suffix not in (".json", ".csv")] == []


def scene(path, grey):
    """A picture that lies on the earth, so that it has outlines of every format."""
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    size = {"height": grey.shape[0], "width": grey.shape[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as target:
        target.write(grey, 1)
    return path


def save_anew(path, kind):
    """Write outlines as the program does in which they are corrected."""
    if kind == "imagej":
        rois = roifile.roiread(path)
        path.unlink()
        roifile.roiwrite(path, rois)
    elif kind in MAPS:
        pyogrio = pytest.importorskip("pyogrio")
        about, _, geometry, columns = pyogrio.raw.read(path)
        options = {"geometry_type": about["geometry_type"], "crs": about["crs"], "layer": path.stem}
        options |= {"append": True} if kind == "gpkg" else {"RFC7946": "YES"}
        pyogrio.raw.write(path, geometry, columns, about["fields"], **options)
    else:
        path.write_text(json.dumps(json.loads(path.read_text()), indent=2 if kind == "labelme" else None))


@pytest.mark.parametrize("objects", [True, False])
@pytest.mark.parametrize("kind", WRITERS)
def test_outlines_of_predict_are_replaced_and_those_of_another_program_are_not(tmp_path, kind, objects):
    file = scene(tmp_path / "m.tif", noise(3) if objects else np.zeros((40, 48), np.uint8))
    out, settings = tmp_path / "out", {"polygons": kind}
    assert predict_files(RUN, file, out, **settings).failed == ()
    (out / "m.png").unlink()  # as a call leaves it that is killed before the last name
    assert predict_files(RUN, file, out, **settings).written == 1
    assert predict_files(RUN, file, out, overwrite=True, **settings).written == 1
    if not objects and kind in ("imagej", "gpkg"):
        return  # nothing to correct
    path = out / f"m{WRITERS[kind][0]}"
    save_anew(path, kind)
    kept = path.read_bytes()
    (out / "m.png").unlink()
    for overwrite in (False, True):
        outcome = predict_files(RUN, file, out, overwrite=overwrite, **settings)
        assert (outcome.written, path.read_bytes()) == (0, kept)
        assert outcome.failed == (
            f"{file}: Outlines that another program wrote, corrected perhaps, are not replaced; {path} is of these. "
            "Import it (unet-tf import), move it, or choose another --out.",
        )
    path.rename(tmp_path / path.name)
    assert predict_files(RUN, file, out, **settings).written == 1


def test_outlines_in_a_new_folder_that_another_program_wrote_are_named_without_overwrite(tmp_path):
    write_picture(tmp_path / "in" / "a.png", noise(0))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.json").write_text('{\n  "version": "5.5.0"\n}')
    with pytest.raises(InputError, match=r"are not replaced; .*a\.json is of these\. Import it"):
        predict_files(RUN, tmp_path / "in", tmp_path / "out", polygons="labelme")


def test_outlines_of_a_hyperstack_lie_in_its_slices(tmp_path):
    pages = np.stack([np.stack([noise(number)] * 2) for number in range(3)])
    tifffile.imwrite(tmp_path / "s.tif", pages, imagej=True, metadata={"axes": "ZCYX"})
    outcome = predict_files(RUN, tmp_path / "s.tif", tmp_path / "out", polygons="imagej,geojson")
    assert outcome.failed == ()
    rois = roifile.roiread(tmp_path / "out" / "s_RoiSet.zip")
    assert {(roi.position, roi.z_position, roi.t_position) for roi in rois} == {(0, z, 1) for z in (1, 2, 3)}
    features = json.loads((tmp_path / "out" / "s.geojson").read_text())["features"]
    assert {one["geometry"]["plane"]["z"] for one in features} == {0, 1, 2}
