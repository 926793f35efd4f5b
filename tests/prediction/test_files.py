"""Pictures predicted into a folder, by real processes that are really killed."""

import csv
import itertools
import json
import shutil
import subprocess
import tomllib
from dataclasses import asdict

import cv2
import numpy as np
import pytest
import tifffile
import tomli_w
from forked import Forked
from PIL import Image

from unet_tf import MaskFormat, predict, predict_files
from unet_tf.data.folder import find_pictures
from unet_tf.data.pictures import count_pages, read_mask, write_picture, write_stack
from unet_tf.errors import InputError
from unet_tf.prediction import files
from unet_tf.prediction.files import Outcome
from unet_tf.prediction.objects import find_objects
from unet_tf.prediction.uncertainty import entropy


def grey(number, shape=(60, 70)):
    noise = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(noise, shape[::-1])


@pytest.fixture
def scans(tmp_path):
    """Six grey pictures."""
    for number in range(6):
        write_picture(tmp_path / "scans" / f"{number}.png", grey(number))
    return tmp_path / "scans"


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix in (".png", ".tif", ".npy")}


def test_the_net_is_noted_by_its_place_and_a_moved_one_goes_on(run, scans, tmp_path):
    nets = [shutil.copytree(run.path, tmp_path / name) for name in ("first", "moved")]
    assert predict_files(nets[0], [scans / "0.png"], tmp_path / "out").written == 1
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["net"] == str(nets[0])
    assert predict_files(nets[1], scans, tmp_path / "out").skipped == 1


def test_pictures_that_are_called_like_masks_of_others_are_said(run, scans, tmp_path, caplog):
    for number in range(2):
        shutil.copy(scans / f"{number}.png", scans / f"{number}_mask.png")
    assert predict_files(run, scans, tmp_path / "out").written == 8
    (text,) = caplog.messages
    assert text == (
        "2 of 8 pictures are called like masks of others, and predicted like them: 0_mask.png, 1_mask.png. If they are "
        "masks, give the pictures alone."
    )
    caplog.clear()
    predict_files(run, [scans / "0_mask.png", scans / "1.png"], tmp_path / "others")
    assert caplog.messages == []


def test_masks_are_what_predict_says_and_are_not_made_twice(run, scans, tmp_path):
    out, seen, pixels = tmp_path / "out", [], []
    first = predict_files(run, scans, out, on_file=lambda *at: seen.append(at), on_pixels=pixels.append)
    assert pixels == 6 * [60 * 70]
    assert first == Outcome(written=6, skipped=0, pixels=6 * 60 * 70, failed=())
    assert seen == [(i, 6) for i in range(7)]
    for number in range(6):
        np.testing.assert_array_equal(read_mask(out / f"{number}.png"), 255 * predict(run, grey(number)))
    before = times(out)
    (out / "3.png").unlink()
    write_picture(scans / "new.png", grey(9))
    again = predict_files(run, scans, out)
    assert (again.written, again.skipped) == (2, 5)
    assert {name for name, at in times(out).items() if before.get(name) != at} == {"3.png", "new.png"}
    assert predict_files(run, scans, out, overwrite=True).written == 7
    assert not before.items() & times(out).items()


def test_names_that_are_no_utf8_are_predicted_once(run, tmp_path):
    for number in range(2):
        write_picture(tmp_path / "scans" / f"caf\udce9 {number}.png", grey(number))
    for expected in (2, 0):
        assert predict_files(run, tmp_path / "scans", tmp_path / "out", overlay=True).written == expected
    assert (tmp_path / "out" / "caf\udce9 1_overlay.png").is_file()


def test_files_folders_and_patterns_are_inputs(scans, tmp_path, monkeypatch):
    found = find_pictures([scans / "5.png", str(scans / "[0-2].png"), scans])
    assert [name.rsplit("/", 1)[1] for name in found] == ["5.png", "0.png", "1.png", "2.png", "3.png", "4.png"]
    monkeypatch.chdir(scans)
    assert find_pictures(["*.png"]) == sorted(found)
    for nothing in (str(scans / "*.tif"), tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="There is no picture to predict in "):
            find_pictures([nothing])
    with pytest.raises(InputError, match=r"There is no picture to predict\."):
        find_pictures([])
    with pytest.raises(InputError, match=r"a\.zarr is a zarr array, .*--out NAME\.zarr"):
        find_pictures(["a.zarr"])


def test_what_cannot_be_predicted_is_reported_with_its_name(run, scans, tmp_path):
    write_picture(scans / "deep.png", np.zeros((20, 20), np.uint16))
    (scans / "broken.png").write_bytes(b"no picture")
    stack = np.stack([grey(0), grey(1)])
    write_stack(scans / "cut.tif", stack)
    (scans / "cut.tif").write_bytes((scans / "cut.tif").read_bytes()[:-200])
    outcome = predict_files(run, [scans, tmp_path / "none.png"], tmp_path / "out", probabilities=True)
    assert outcome.written == 6
    failed = sorted(outcome.failed, key=lambda words: words.split("/")[-1])
    reasons = "not a complete picture", "is not a complete TIFF", "holds uint16 pixels, and the net", "cannot be read"
    for words, name, reason in zip(failed, ("broken.png", "cut.tif", "deep.png", "none.png"), reasons, strict=True):
        assert f"/{name}" in words
        assert reason in words
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        rows = {row["picture"].rsplit("/", 1)[1]: row for row in csv.DictReader(file)}
    assert (rows["0.png"]["status"], rows["0.png"]["pixels"]) == ("done", "4200")
    assert (rows["deep.png"]["status"], rows["deep.png"]["reason"]) == ("failed", failed[2])
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".") or "cut" in path.name]


@pytest.mark.parametrize("changed", [{"neck": 2.0}, {"smallest": 9}, {"filled": True}])
def test_masks_whose_objects_were_cut_by_other_numbers_are_not_mixed(run, scans, tmp_path, changed):
    """The numbers of `config.toml` are there to be changed; the file of the net stays the same."""
    other, out = shutil.copytree(run.path, tmp_path / "run"), tmp_path / "out"
    stored = tomllib.loads((other / "config.toml").read_text())
    stored["masks"] |= {"kind": "instance", "values": [], "neck": 1.5}
    (other / "config.toml").write_text(tomli_w.dumps(stored))
    assert predict_files(other, scans / "0.png", out).written == 1
    assert predict_files(other, scans / "0.png", out).skipped == 1
    ((name, value),) = changed.items()
    before = {"neck": 1.5, "smallest": 1, "filled": False}[name]
    stored["masks"] |= changed
    (other / "config.toml").write_text(tomli_w.dumps(stored))
    with pytest.raises(InputError, match=f"other settings: {name} {before} there, {value} here"):
        predict_files(other, scans, out)
    assert not (out / "1.png").exists()
    assert predict_files(other, scans, out, overwrite=True).written == 6


def test_a_stack_gives_a_stack_of_all_that_is_wanted(run, tmp_path):
    stack = np.stack([grey(number) for number in range(3)])
    write_stack(tmp_path / "volume.tif", stack)
    out = tmp_path / "out"
    predict_files(run, tmp_path / "volume.tif", out, probabilities=True, overlay=True, instances=True, min_area=5)
    names = "manifest.csv predict.json volume.npy volume.tif volume_instances.tif volume_objects.csv volume_overlay.tif"
    assert sorted(path.name for path in out.iterdir()) == names.split()
    kept = np.load(out / "volume.npy")
    with (out / "volume_objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert kept.shape == (3, 60, 70, 2)
    for page in range(3):
        expected = predict(run, stack[page], probabilities=True)
        np.testing.assert_array_equal(kept[page], expected)
        label = expected.argmax(-1).astype(np.uint8)
        np.testing.assert_array_equal(read_mask(out / "volume.tif", page), 255 * label)
        ids, objects = find_objects(label, expected, min_area=5)
        np.testing.assert_array_equal(read_mask(out / "volume_instances.tif", page), ids)
        own = [row for row in rows if row["page"] == str(page)]
        assert [(row["id"], row["area"], row["class"]) for row in own] == [
            (str(one.number), str(one.area), run.classes[1]) for one in objects
        ]
    assert count_pages(out / "volume_overlay.tif") == 3


@pytest.mark.parametrize("kind", ["palette", "index"])
@pytest.mark.parametrize("format", ["png", "tif"])
def test_classes_have_a_colour_table(run, tmp_path, kind, format):
    """The pictures open with the same ids and, of a palette, the same colours, here and elsewhere."""
    colours = ((10, 20, 30), (200, 0, 100)) if kind == "palette" else ()
    masks = MaskFormat(kind, 2, colours=colours)
    other = shutil.copytree(run.path, tmp_path / "run")
    stored = tomllib.loads((other / "config.toml").read_text()) | {"masks": asdict(masks)}
    (other / "config.toml").write_text(tomli_w.dumps(stored))
    write_picture(tmp_path / "a.png", grey(3))
    write_stack(tmp_path / "s.tif", [grey(3), grey(4)])
    predict_files(other, [tmp_path / "a.png", tmp_path / "s.tif"], tmp_path / "out", format=format)
    label = predict(run, grey(3))
    for file in (tmp_path / "out" / f"a.{format}", tmp_path / "out" / "s.tif"):
        np.testing.assert_array_equal(masks.label(read_mask(file, ids=masks.ids)), label)
        with Image.open(file) as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.array(picture), label)
            rgb = np.array(picture.convert("RGB"))
        if kind == "palette":
            np.testing.assert_array_equal(rgb, np.array(colours)[label])
            np.testing.assert_array_equal(read_mask(file), np.array(colours)[label])
    assert tifffile.imread(tmp_path / "out" / "s.tif").shape == (2, 60, 70)


@pytest.mark.parametrize("format", ["png", "tif"])
def test_a_mask_whose_void_no_colour_table_holds_has_none(run, tmp_path, format):
    other, masks = shutil.copytree(run.path, tmp_path / "run"), MaskFormat("index", 2, void=(300,))
    stored = tomllib.loads((other / "config.toml").read_text()) | {"masks": asdict(masks)}
    (other / "config.toml").write_text(tomli_w.dumps(stored))
    write_picture(tmp_path / "a.png", grey(3))
    predict_files(other, tmp_path / "a.png", tmp_path / "out", format=format)
    drawn = read_mask(tmp_path / "out" / f"a.{format}")
    assert drawn.dtype == np.uint16
    np.testing.assert_array_equal(drawn, predict(run, grey(3)))


def test_the_tiff_mask_of_a_geotiff_lies_where_it_lies(run, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_400_000)}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", width=70, height=60, count=1, dtype="uint8",
                       nodata=0, **place) as target:  # fmt: skip
        target.write(grey(3), 1)
    predict_files(run, tmp_path / "a.tif", tmp_path / "out", format="tif", uncertainty=True, instances=True)
    for name in ("a.tif", "a_uncertainty.tif", "a_instances.tif"):
        with rasterio.open(tmp_path / "out" / name) as found:
            assert (found.crs, found.transform) == (place["crs"], place["transform"])
            assert found.nodata is None  # there is a class at each pixel
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a.tif"), 255 * predict(run, grey(3)))


def test_a_killed_call_goes_on(run, scans, tmp_path):
    for number in range(6, 40):
        write_picture(scans / f"{number}.png", grey(number))
    out = tmp_path / "out"
    code = f"""
import os, time, unet_tf
replace, masks = os.replace, []
def held(source, target):
    masks.extend([target] if str(target).endswith(".png") else [])
    if len(masks) == 11:
        print("here", flush=True)
        time.sleep(3600)
    replace(source, target)
os.replace = held
unet_tf.predict_files({str(run.path)!r}, {str(scans)!r}, {str(out)!r}, probabilities=True)
"""
    with Forked(code, stdout=subprocess.PIPE) as call:
        assert call.stdout.readline() == "here\n"
        call.kill()
    before = times(out)
    outcome = predict_files(run, scans, out, probabilities=True)
    assert (outcome.written, outcome.skipped) == (30, 10)
    predict_files(run, scans, tmp_path / "whole", probabilities=True)
    for name in times(tmp_path / "whole"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    masks = [name for name in before if name.endswith(".png") and not name.startswith(".")]
    assert len(masks) == 10
    assert all(times(out)[name] == before[name] for name in masks)


@pytest.mark.usefixtures("workers_forked")
def test_jobs_and_workers_share_the_pictures(run, scans, tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    predict_files(run, scans, whole)
    assert predict_files(run, scans, shared, shard="1/2").written == 3
    assert predict_files(run, scans, shared, shard="2/2").written == 3
    assert predict_files(run, scans, shared).skipped == 6
    names = {"manifest.csv", "manifest-1-of-2.csv", "manifest-2-of-2.csv", "predict.json"}
    assert {path.name for path in shared.iterdir()} - {path.name for path in scans.iterdir()} == names
    pytest.importorskip("distributed")
    (scans / "bad.png").write_bytes(b"no picture")
    workers = predict_files(run, scans, tmp_path / "workers", scheduler="local:2")
    assert (workers.written, len(workers.failed)) == (6, 1)
    for name in times(whole):
        assert (shared / name).read_bytes() == (whole / name).read_bytes()
        assert (tmp_path / "workers" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(("jobs", "sizes"), [(1, [6]), (4, [2, 2, 1, 1]), (6, [1] * 6), (7, [1] * 6 + [0])])
def test_shares_of_few_pictures_are_even_and_each_picture_is_of_one_job(run, scans, monkeypatch, tmp_path, jobs, sizes):
    monkeypatch.setattr(files, "fill", lambda call, kind, pictures, mine, *others: mine)
    shares = [predict_files(run, scans, tmp_path / "out", shard=f"{job}/{jobs}") for job in range(1, jobs + 1)]
    assert [len(share) for share in shares] == sizes
    assert sorted(itertools.chain(*shares)) == sorted(str(path) for path in scans.iterdir())


@pytest.mark.parametrize(
    ("scheduler", "count", "sizes"),
    [
        ("tcp://host:8786", 100, [1] * 100),
        ("tcp://host:8786", 1000, [4] * 250),
        ("tcp://host:8786", 99_999, [64] * 1562 + [31]),
        ("local:2", 100, [13] * 7 + [9]),
    ],
)
def test_tasks_are_small_enough_for_as_many_workers_as_may_come(monkeypatch, scheduler, count, sizes):
    monkeypatch.setattr(files, "run_tasks", lambda work, batches, scheduler: batches)
    left = [str(number) for number in range(count)]
    batches = files._results(None, left, scheduler, print)
    assert [len(batch) for batch in batches] == sizes
    assert [*itertools.chain(*batches)] == left


def test_what_would_be_lost_or_mixed_is_refused(run, scans, tmp_path):
    out = tmp_path / "out"
    predict_files(run, scans / "0.png", out)
    kept = times(out)
    refusals = (
        ({"tta": "all"}, "other settings: tta none there, all here.*--overwrite"),
        ({"instances": True}, "other settings: instances False there, True here"),
        ({"format": "jpg"}, "Masks must be written as png or tif; received 'jpg'"),
        ({"min_area": 0}, "The smallest object must have 1 pixel or more; received 0"),
        ({"min_area": 5}, "--min-area is of objects; add --instances, or --polygons and their format"),
        ({"tta": "some"}, "averaging must be one of none, rotations, all; received 'some'"),
        ({"memory": "much"}, 'such as 2GB or 500MB; received "much"'),
        ({"shard": "1/2", "overwrite": True}, "take no --scheduler and no --overwrite"),
        ({"out": tmp_path / "out.png"}, "received out.png, which looks like a file"),
        ({"out": scans / "0.png"}, r"0\.png is a file"),
        ({"out": scans}, "is an input and would be overwritten"),
    )
    for settings, message in refusals:
        with pytest.raises(InputError, match=message):
            predict_files(run, scans, **{"out": out} | settings)
    write_picture(tmp_path / "others" / "0.png", grey(0))
    with pytest.raises(InputError, match=r"scans/0\.png and .*others/0\.png would both write .*out/0\.png"):
        predict_files(run, tmp_path / "others", out)
    with pytest.raises(InputError, match=r"others/0\.png exists, and is not of such a call"):
        predict_files(run, scans, tmp_path / "others")
    with pytest.raises(InputError, match="would both write"):
        predict_files(run, [scans, tmp_path / "others"], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert times(out) == kept
    (out / "predict.json").write_text("{")
    with pytest.raises(InputError, match=r"predict\.json is damaged"):
        predict_files(run, scans, out)


def test_another_model_is_other_settings(run, scans, tmp_path):
    predict_files(run, scans, tmp_path / "out")
    file = tmp_path / "out" / "predict.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model": "0"}))
    with pytest.raises(InputError, match="other settings: model 0 there"):
        predict_files(run, scans, tmp_path / "out")


def test_masks_part_at_the_threshold_whatever_else_is_wanted(calibrated, scans, tmp_path):
    run = calibrated(1.5, 0.45)
    for number, extras in enumerate(({}, {"probabilities": True}, {"tta": "rotations"}, {"uncertainty": True})):
        for threshold in (None, 0.6):
            out = tmp_path / f"out{number}{threshold}"
            predict_files(run, scans, out, threshold=threshold, **extras)
            for name in "05":
                p = predict(run, grey(int(name)), probabilities=True, tta=extras.get("tta", "none"))[..., 1]
                found = cv2.imread(str(out / f"{name}.png"), cv2.IMREAD_UNCHANGED)
                assert ((found > 0) == (p > np.float32(threshold or 0.45))).all()


def test_another_threshold_or_temperature_is_another_prediction(calibrated, scans, tmp_path):
    out = tmp_path / "out"
    run = calibrated(1.5, 0.45)
    predict_files(run, scans, out)
    assert predict_files(run, scans, out, threshold=0.45).skipped == 6  # the run's own
    with pytest.raises(InputError, match="threshold 0.45 there, 0.6 here"):
        predict_files(run, scans, out, threshold=0.6)
    (run / "calibration.json").write_text((run / "calibration.json").read_text().replace("1.5", "1.25"))
    with pytest.raises(InputError, match="temperature 1.5 there, 1.25 here"):
        predict_files(run, scans, out)
    (run / "calibration.json").unlink()
    plain = tmp_path / "plain"
    predict_files(run, scans, plain)
    stored = json.loads((plain / "predict.json").read_text())
    older = {name: value for name, value in stored.items() if name not in ("threshold", "temperature", "uncertainty")}
    (plain / "predict.json").write_text(json.dumps(older))
    assert predict_files(run, scans, plain).skipped == 6


@pytest.mark.usefixtures("workers_forked")
def test_several_processes_know_the_threshold(calibrated, scans, tmp_path):
    run = calibrated(1.5, 0.45)
    one, two = tmp_path / "one", tmp_path / "two"
    for out, scheduler in (one, None), (two, "local:2"):
        predict_files(run, scans, out, threshold=0.6, uncertainty=True, scheduler=scheduler)
    for path in one.glob("*.[pt]*[gf]"):
        assert path.read_bytes() == (two / path.name).read_bytes()
    assert len(list(two.glob("*_uncertainty.tif"))) == 6


def test_uncertainty_is_the_entropy_and_the_spread_what_turned_tiles_disagree_on(calibrated, tmp_path):
    run = calibrated(1.5)
    write_picture(tmp_path / "a.png", grey(0))
    write_stack(tmp_path / "b.tif", [grey(1), grey(2)])
    once, turned = tmp_path / "once", tmp_path / "turned"
    predict_files(run, [tmp_path / "a.png", tmp_path / "b.tif"], once, uncertainty=True)
    predict_files(run, [tmp_path / "a.png", tmp_path / "b.tif"], turned, uncertainty=True, tta="rotations")
    assert not list(once.glob("*_spread.tif"))
    found = tifffile.imread(once / "a_uncertainty.tif")
    assert (found.shape, found.dtype) == ((60, 70), np.float32)
    np.testing.assert_array_equal(found, entropy(predict(run, grey(0), probabilities=True)))
    stack = tifffile.imread(once / "b_uncertainty.tif")
    np.testing.assert_array_equal(stack[1], entropy(predict(run, grey(2), probabilities=True)))
    np.testing.assert_array_equal(
        tifffile.imread(turned / "a_uncertainty.tif"),
        entropy(predict(run, grey(0), probabilities=True, tta="rotations")),
    )
    spread = tifffile.imread(turned / "b_spread.tif")
    assert spread.shape == (2, 60, 70)
    assert 0 <= spread.min() < spread.max() <= stack.max()


def test_outlines_between_pixels_run_where_the_probability_is_the_threshold(calibrated, tmp_path):
    run = calibrated(1.0, 0.4)
    write_picture(tmp_path / "a.png", grey(0))
    predict_files(run, tmp_path / "a.png", tmp_path / "out", polygons="geojson", subpixel=True)
    p, seen = predict(run, grey(0), probabilities=True)[..., 1], 0
    for feature in json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]:
        parts = feature["geometry"]["coordinates"]
        parts = [parts] if feature["geometry"]["type"] == "Polygon" else parts
        for ring in itertools.chain.from_iterable(parts):
            for x, y in ring:
                inside = 0.5 < x < 69.5 and 0.5 < y < 59.5
                if inside and (x % 1 == 0.5) != (y % 1 == 0.5):  # between two centres, one beside the other
                    low = p[int(y - 0.5), int(x - 0.5)], p[int(np.ceil(y - 0.5)), int(np.ceil(x - 0.5))]
                    part = (x - 0.5) % 1 + (y - 0.5) % 1
                    at = low[0] * (1 - part) + low[1] * part
                    assert abs(at - 0.4) < 0.02
                    seen += 1
    assert seen > 10
