"""Images beyond memory, by real processes that are really killed."""

import json
import os
import shutil
import signal
import subprocess
import tomllib
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import tomli_w
from agreement import same_labels
from forked import Forked
from rasterise import inside

from unet_tf import Predictor, generate_cells, predict, predict_large
from unet_tf.errors import InputError
from unet_tf.prediction import arrays
from unet_tf.prediction.arrays import begun
from unet_tf.prediction.chunks import Job, Opened, predict_chunks
from unet_tf.prediction.large_objects import number_objects
from unet_tf.prediction.large_polygons import outline_objects
from unet_tf.prediction.objects import find_objects
from unet_tf.utils.signals import Stopped, stoppable, tell

zarr = pytest.importorskip("zarr")
SIDE, CHUNK = 2048, 256


def write_image(path, image):
    zarr.create_array(str(path), data=image, chunks=tuple(min(256, side) for side in image.shape))
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """2048x2048 px of cells, no two chunks alike."""
    strip, _ = generate_cells(CHUNK, SIDE)
    cells = np.concatenate([np.roll(strip, 300 * row, axis=1) for row in range(SIDE // CHUNK)])
    return write_image(tmp_path_factory.mktemp("large") / "image.zarr", cells)


@pytest.fixture(scope="module")
def alone(run, image):
    """What one process makes of it."""
    return predict_large(run, image, image.with_name("alone.zarr"), chunk=CHUNK)


def labels(path):
    return zarr.open_array(f"{path}/0", mode="r")[...]


def chunks(path):
    """Chunk files, with the time at which each was written."""
    return {file: file.stat().st_mtime_ns for file in (path / "0" / "c").rglob("*") if file.is_file()}


def test_chunks_are_what_predict_says(run, image, alone):
    whole = zarr.open_array(str(image), mode="r")
    expected = predict(run, whole[:1000, :1500], tile=300, probabilities=True)
    found = labels(alone)[:900, :1400]  # what lies beyond the cut differs
    assert 0.05 < found.mean() < 0.95
    assert same_labels(found, expected[:900, :1400])
    assert len(chunks(alone)) == (SIDE // CHUNK) ** 2


def test_the_output_is_an_ome_zarr_of_labels(run, alone):
    group = zarr.open_group(str(alone), mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == ["y", "x"]
    assert ome["multiscales"][0]["datasets"][0]["path"] == "0"
    assert [one["class"] for one in ome["image-label"]["properties"]] == list(run.classes)
    assert (group["0"].shape, group["0"].chunks, group["0"].dtype) == ((SIDE, SIDE), (CHUNK, CHUNK), np.uint8)


def test_a_mask_and_its_ids_lie_where_the_image_does(run, tmp_path):
    path = tmp_path / "a.zarr"
    image = np.random.default_rng(1).integers(0, 256, (1, 40, 50), dtype=np.uint8)
    transforms = [
        {"type": "scale", "scale": [1, 0.5, 0.5]}, {"type": "translation", "translation": [0, 100, 200]},
        {"type": "scale", "scale": [1, 2, 2]},
    ]  # fmt: skip
    level = {"path": "0", "coordinateTransformations": transforms[:2]}
    told = {"axes": list("cyx"), "datasets": [level], "coordinateTransformations": transforms[2:]}
    group = zarr.create_group(str(path), attributes={"ome": {"version": "0.5", "multiscales": [told]}})
    group.create_array("0", data=image, chunks=image.shape)
    out = predict_large(run, path, tmp_path / "out.zarr")
    number_objects(out, 1)
    for name in ("out.zarr", "out_instances.zarr"):
        (found,) = zarr.open_group(str(tmp_path / name), mode="r").attrs["ome"]["multiscales"]
        assert found["datasets"][0]["coordinateTransformations"] == [
            {"type": "scale", "scale": [1, 1]}, {"type": "translation", "translation": [200, 400]},
        ]  # fmt: skip


@pytest.mark.parametrize("planes", [1, 2])
def test_a_job_keeps_what_another_filled_while_it_looked_for_nodata(run, tmp_path, monkeypatch, planes):
    cells, out, looked = generate_cells(64, 64)[0], tmp_path / "out.zarr", []
    source = write_image(tmp_path / "image.zarr", np.stack([cells] * planes) if planes > 1 else cells)
    look = arrays._nodata

    def slow(*arguments):
        if not looked:  # another job does all meanwhile
            looked.append(predict_large_again(run, source, out))
        return look(*arguments)

    def predict_large_again(*arguments):
        monkeypatch.setattr(arrays, "_nodata", look)
        predict_large(*arguments, chunk=32)
        monkeypatch.setattr(arrays, "_nodata", slow)
        return chunks(out)

    monkeypatch.setattr(arrays, "_nodata", slow)
    predict_large(run, source, out, chunk=32, shard="1/2")
    assert chunks(out) == looked[0]
    assert len(looked[0]) == 4 * planes
    assert labels(out).any()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.usefixtures("workers_forked")
def test_two_workers_equal_one_process_though_one_is_killed(run, image, alone, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = list(client.run(os.getpid).values())

        def kill_one(done, total):
            if done == 5:
                os.kill(pids[0], signal.SIGKILL)

        out = predict_large(
            run, image, tmp_path / "two.zarr", chunk=CHUNK, scheduler=cluster.scheduler_address, on_chunk=kill_one
        )
        assert pids[0] not in client.run(os.getpid).values()
    np.testing.assert_array_equal(labels(out), labels(alone))
    of_two, of_one = ({file.relative_to(path) for file in chunks(path)} for path in (out, alone))
    assert of_one <= of_two
    assert len(of_two - of_one) <= 1  # what the killed worker was writing, which has its temporary name


def test_a_killed_job_goes_on_and_computes_what_is_missing_alone(run, image, alone, tmp_path):
    out = tmp_path / "killed.zarr"
    code = f"""
import os, time, unet_tf
replace, written = os.replace, []
def held(source, target):
    written.extend([target] if "/c/" in str(target) else [])
    if len(written) == 5:
        print("here", flush=True)
        time.sleep(3600)
    replace(source, target)
os.replace = held
unet_tf.predict_large({str(run.path)!r}, {str(image)!r}, {str(out)!r}, chunk={CHUNK}, shard="1/2")
"""
    with Forked(code, stdout=subprocess.PIPE) as job:
        assert job.stdout.readline() == "here\n"
        job.kill()
    before = chunks(out)
    assert len(before) == 4 + 1  # the fifth was whole, and had its temporary name
    for shard in ("1/2", "2/2"):
        predict_large(run, image, out, chunk=CHUNK, shard=shard)
    after = chunks(out)
    assert {file: after[file] for file in before} == before
    np.testing.assert_array_equal(labels(out), labels(alone))

    gone = sorted(after)[10]
    gone.unlink()
    seen = []
    predict_large(run, image, out, on_chunk=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 64) for i in range(1, 65)]
    again = chunks(out)
    assert {file for file in again if again[file] != after[file]} == {gone}


def test_a_grid_of_billions_of_pixels_is_planned_without_holding_it(run, tmp_path):
    zarr.create_array(str(tmp_path / "vast.zarr"), shape=(65_536, 65_536), chunks=(1024, 1024), dtype="uint8")
    tracemalloc.start()
    seen = []
    try:
        out = predict_large(
            run, tmp_path / "vast.zarr", tmp_path / "out.zarr", chunk=256, shard="7/60000",
            on_chunk=lambda done, total: seen.append((done, total)),
        )  # fmt: skip
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == [(1, 2), (2, 2)]  # chunks 6 and 60006 of 65536
    assert len(chunks(out)) == 2
    assert peak < 100e6


def test_planes_and_background_alone_are_written(run, tmp_path):
    rng = np.random.default_rng(1)
    stack = rng.integers(0, 256, (2, 2, 70, 90), dtype=np.uint8)
    stack[1, 0] = 0
    out = predict_large(run, write_image(tmp_path / "a.zarr", stack), tmp_path / "out.zarr", chunk=64, tta="rotations")
    found = labels(out)
    assert found.shape == (2, 2, 70, 90)
    for index in np.ndindex(2, 2):
        assert same_labels(found[index], predict(run, stack[index], tta="rotations", probabilities=True))
    assert len(chunks(out)) == 4 * 4
    assert len(np.unique(found[1, 0])) == 1


def test_a_tiff_file_that_is_a_link_to_one_without_a_suffix_is_predicted(run, tmp_path):
    slide = np.random.default_rng(1).integers(0, 256, (70, 90), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "c0ffee", slide)
    (tmp_path / "slide.tif").symlink_to("c0ffee")
    out = predict_large(run, tmp_path / "slide.tif", tmp_path / "out.zarr")
    np.testing.assert_array_equal(labels(out), predict(run, slide))


def test_outlines_of_a_tiff_file_that_is_turned_lie_on_its_stored_pixels(run, tmp_path):
    stored, _ = generate_cells(96, 128)
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(274, "H", 1, 6, True)])
    out = predict_large(run, tmp_path / "a.tif", tmp_path / "a.zarr", chunk=64)
    assert number_objects(out) > 0
    features = json.loads(outline_objects(out).read_text())["features"]
    ids = np.rot90(labels(tmp_path / "a_instances.zarr"))
    assert ids.shape == stored.shape[:2]
    for one in features:
        geometry = one["geometry"]
        parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        rings = [np.array(ring[:-1]) for part in parts for ring in part]
        np.testing.assert_array_equal(inside(rings, ids.shape), ids == int(one["properties"]["name"]))


def test_a_chunk_is_made_again_to_the_bit(run, image, alone):
    file = alone / "0" / "c" / "0" / "5"
    before = file.read_bytes()
    file.unlink()
    array = begun(zarr.open_array(f"{alone}/0", mode="r"))
    job = Job(str(run.path), run.model_hash, str(image), None, str(alone), "none", (296, 296), "call", begun=array)
    assert list(predict_chunks(job, [5])) == [5]
    assert file.read_bytes() == before


def test_what_does_not_fit_is_refused_and_nothing_is_lost(run, image, alone, tmp_path):
    kept = chunks(alone)
    with pytest.raises(InputError, match=r"with other settings: tta none there, all here.*--overwrite"):
        predict_large(run, image, alone, tta="all")
    with pytest.raises(InputError, match="with other settings: chunk 256 there, 128 here"):
        predict_large(run, image, alone, chunk=128)
    other = write_image(tmp_path / "other.zarr", np.zeros((50, 60), np.uint8))
    with pytest.raises(InputError, match=r"other settings: image .*; shape \[2048, 2048\] there, \[50, 60\] here"):
        predict_large(run, other, alone)
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"other\.zarr exists and is no prediction of unet_tf"):
            predict_large(run, image, other, overwrite=overwrite)
    with pytest.raises(InputError, match=r"is the input, and .* would write into it"):
        predict_large(run, image, image)
    with pytest.raises(InputError, match=r"is the input, and .* would write into it"):
        predict_large(run, image, image / "out.zarr")
    with pytest.raises(InputError, match=r"an array of zarr, NAME\.zarr; received .*out\.png"):
        predict_large(run, image, tmp_path / "out.png")
    with pytest.raises(InputError, match="take no --scheduler, and no --overwrite"):
        predict_large(run, image, tmp_path / "new.zarr", shard="1/2", overwrite=True)
    wide = write_image(tmp_path / "wide.zarr", np.zeros((50, 60), np.uint16))
    with pytest.raises(InputError, match=r"wide\.zarr holds uint16 pixels, and the net was trained on uint8"):
        predict_large(run, wide, tmp_path / "new.zarr")
    colour = write_image(tmp_path / "colour.zarr", np.zeros((50, 60, 3), np.uint8))
    with pytest.raises(InputError, match=r"colour\.zarr has 3 channels, and the net was trained on 1"):
        predict_large(run, colour, tmp_path / "new.zarr")
    with pytest.raises(InputError, match="Chunks of this net must have 4 px a side or more; received 3"):
        predict_large(run, image, tmp_path / "new.zarr", chunk=3)
    with pytest.raises(InputError, match="4 px a side or more; received 0"):
        predict_large(run, image, tmp_path / "new.zarr", chunk=0)
    assert not (tmp_path / "new.zarr").exists()
    assert chunks(alone) == kept


def write_anew(path, image, version, level):
    """A zarr array, or OME-Zarr of one level, in the place of what is there."""
    shutil.rmtree(path, ignore_errors=True)
    if not level:
        zarr.create_array(str(path), data=image, chunks=(32, 32), zarr_format=version)
        return
    told = {"multiscales": [{"axes": [{"name": name} for name in "yx"], "datasets": [{"path": level}]}]}
    group = zarr.create_group(str(path), zarr_format=version, attributes=told if version == 2 else {"ome": told})
    group.create_array(level, data=image, chunks=(32, 32))


@pytest.mark.parametrize("level", ["", "full"])
@pytest.mark.parametrize("version", [2, 3])
def test_an_image_of_zarr_that_was_written_anew_is_another_one(run, tmp_path, version, level):
    image, out = tmp_path / "a.zarr", tmp_path / "out.zarr"
    write_anew(image, np.zeros((50, 60), np.uint8), version, level)
    predict_large(run, image, out)
    predict_large(run, image, out)
    write_anew(image, generate_cells(50, 60)[0], version, level)
    with pytest.raises(InputError, match=r"other settings: state \d+ bytes of \d+ there, \d+ bytes of \d+ here\. "):
        predict_large(run, image, out)
    array = zarr.open_array(f"{out}/0", mode="r+")
    array.attrs["unet_tf"] = {name: value for name, value in array.attrs["unet_tf"].items() if name != "state"}
    predict_large(run, image, out)  # begun by an earlier version, which did not look


def test_an_array_whose_objects_are_cut_by_other_numbers_is_gone_on_with_and_numbers_them_by_these(run, tmp_path):
    image = write_image(tmp_path / "a.zarr", generate_cells(96, 96)[0])
    other, out = shutil.copytree(run.path, tmp_path / "run"), tmp_path / "out.zarr"
    predict_large(run, image, out)
    array = zarr.open_array(f"{out}/0", mode="r+")
    array.attrs["unet_tf"] = {name: value for name, value in array.attrs["unet_tf"].items() if name != "cut"}
    before = chunks(out)
    predict_large(run, image, out)  # begun by an earlier version: without numbers, as this run
    assert "cut" not in zarr.open_array(f"{out}/0", mode="r").attrs["unet_tf"]
    areas = sorted(one.area for one in find_objects(labels(out))[1])
    assert number_objects(out) == len(areas)
    stored = tomllib.loads((other / "config.toml").read_text())
    for smallest in (areas[0] + 1, areas[-1] + 1):
        cut = {"border": 0, "neck": 0.0, "smallest": smallest, "filled": False}
        stored["masks"] |= {"kind": "instance", "values": []} | cut
        (other / "config.toml").write_text(tomli_w.dumps(stored))
        predict_large(other, image, out)
        assert zarr.open_array(f"{out}/0", mode="r").attrs["unet_tf"]["cut"] == cut
        assert number_objects(out) == sum(area >= smallest for area in areas) < len(areas)
    assert chunks(out) == before


def test_overwrite_begins_anew(run, tmp_path):
    image = write_image(tmp_path / "a.zarr", np.zeros((50, 60), np.uint8))
    pixels = []
    out = predict_large(run, image, tmp_path / "out.zarr", chunk=32, on_pixels=pixels.append)
    assert (len(pixels), sum(pixels)) == (4, 50 * 60)
    predict_large(run, image, out, chunk=64, overwrite=True)
    assert zarr.open_array(f"{out}/0", mode="r").chunks == (52, 60)
    assert len(chunks(out)) == 1
    np.testing.assert_array_equal(labels(out), predict(run, np.zeros((50, 60), np.uint8)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "out.zarr"]


def test_overwrite_names_the_objects_of_the_former_mask_and_removes_nothing(run, tmp_path, caplog):
    image = write_image(tmp_path / "a.zarr", generate_cells(50, 60)[0])
    out = predict_large(run, image, tmp_path / "out.zarr", chunk=32)
    predict_large(run, image, out, chunk=32, overwrite=True)
    assert "former mask" not in caplog.text
    number_objects(out)
    outline_objects(out)
    before = sorted(path.name for path in tmp_path.iterdir())
    predict_large(run, image, out, chunk=32)
    assert "former mask" not in caplog.text
    predict_large(run, image, out, chunk=32, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    words = "out_instances.zarr, out_objects.csv, out.geojson beside it may be of the former mask until --instances or "
    assert f"{out} is begun anew, and {words}--polygons writes them anew" in caplog.text


def test_a_memory_that_does_not_hold_the_tiles_of_an_array_is_refused_where_a_chunk_is_left(run, tmp_path):
    image, out = write_image(tmp_path / "a.zarr", np.zeros((64, 60), np.uint8)), tmp_path / "out.zarr"
    predict_large(run, image, out, chunk=32, shard="1/2")
    height, width = zarr.open_array(f"{out}/0", mode="r").attrs["unet_tf"]["tile"]
    enough = Predictor(run).network.memory_needed(height * width)
    words = rf"out\.zarr was begun with tiles of {height}x{width} px, which take about \d+ MB; allowed are \d+ MB\. "
    with pytest.raises(InputError, match=words):
        predict_large(run, image, out, memory=enough - 1)
    assert len(chunks(out)) == 2
    predict_large(run, image, out, memory=enough)
    assert len(chunks(out)) == 4
    predict_large(run, image, out, memory=1)  # nothing is left that would take any


def test_a_chunk_that_a_machine_that_stopped_left_empty_is_predicted_again(run, tmp_path):
    image = write_image(tmp_path / "a.zarr", generate_cells(64, 60)[0])
    out = predict_large(run, image, tmp_path / "out.zarr", chunk=32)
    expected = labels(out)
    (out / "0" / "c" / "1" / "0").write_bytes(b"")
    pixels = []
    predict_large(run, image, out, on_pixels=pixels.append)
    assert len(pixels) == 1
    np.testing.assert_array_equal(labels(out), expected)


def test_a_signal_ends_the_look_for_nodata_between_two_windows(monkeypatch):
    monkeypatch.setattr("unet_tf.data.nodata.AREA", 32)
    seen = []

    class Picture:
        shape, dtype = (8, 16, 1), np.dtype(np.float32)

        def __getitem__(self, window):
            seen.append(window)
            if len(seen) == 2:
                tell()
            return np.zeros((8, 4, 1), np.float32)

    with pytest.raises(Stopped), stoppable():
        arrays._nodata(SimpleNamespace(nodata=(), block=(8, 4)), Picture())
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("overwrite", "command"), [(False, "The same command"), (True, "The same command without --overwrite")]
)
def test_no_space_left_is_said_and_what_is_done_stays(run, tmp_path, monkeypatch, overwrite, command):
    image = write_image(tmp_path / "a.zarr", np.zeros((64, 60), np.uint8))
    out = tmp_path / "out.zarr"
    if overwrite:
        predict_large(run, image, out, chunk=16)
    write = Opened.write

    def full(self, number, label):
        if number == 2:
            patched.setattr(type(self.target), "__setitem__", refuse)
        return write(self, number, label)

    def refuse(array, key, value):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Opened, "write", full)
        with pytest.raises(InputError, match=rf"No space left on device\. Free space\. {command} does what is left\."):
            predict_large(run, image, out, chunk=16, overwrite=overwrite)
    assert Path(out, "0", "c").is_dir()
    assert len(chunks(out)) == 2
    left = []
    predict_large(run, image, out, chunk=16, on_pixels=left.append)
    assert len(left) == len(chunks(out)) - 2 > 0


def test_a_call_whose_array_was_begun_anew_writes_nothing_into_the_new_one(run, tmp_path):
    image, out = write_image(tmp_path / "a.zarr", np.zeros((64, 60), np.uint8)), tmp_path / "out.zarr"

    def anew(pixels):
        if not calls:
            calls.append(predict_large(run, image, tmp_path / "new.zarr", chunk=16))
            out.rename(tmp_path / "old.zarr")
            (tmp_path / "new.zarr").rename(out)
            for chunk in chunks(out):
                chunk.unlink()

    calls = []
    with pytest.raises(
        InputError, match=r"out\.zarr must stay while it is in use, and was begun anew\. The same command does"
    ):
        predict_large(run, image, out, chunk=16, on_pixels=anew)
    assert chunks(out) == {}


def test_chunks_part_at_the_threshold_and_another_one_is_another_array(calibrated, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (90, 70), np.uint8)
    write_image(tmp_path / "in.zarr", image)
    run, out = calibrated(1.4, 0.45), tmp_path / "out.zarr"
    p = predict(run, image, probabilities=True)[..., 1]
    predict_large(run, tmp_path / "in.zarr", out, chunk=64)
    assert (labels(out) == (p > np.float32(0.45))).all()
    with pytest.raises(InputError, match="threshold 0.45 there, 0.6 here"):
        predict_large(run, tmp_path / "in.zarr", out, chunk=64, threshold=0.6)
    predict_large(run, tmp_path / "in.zarr", out, chunk=64, threshold=0.6, overwrite=True)
    assert (labels(out) == (p > np.float32(0.6))).all()


def test_arrays_of_earlier_versions_are_gone_on_with(calibrated, tmp_path):
    write_image(tmp_path / "in.zarr", np.random.default_rng(0).integers(0, 256, (90, 70), np.uint8))
    run, out = calibrated(), tmp_path / "out.zarr"
    predict_large(run, tmp_path / "in.zarr", out)
    array = zarr.open_array(f"{out}/0", mode="r+")
    stored = dict(array.attrs["unet_tf"])
    array.attrs["unet_tf"] = {n: v for n, v in stored.items() if n not in ("threshold", "temperature")}
    done = []
    predict_large(run, tmp_path / "in.zarr", out, on_pixels=done.append)
    assert not done
    with pytest.raises(InputError, match="threshold 0.5 there, 0.6 here"):
        predict_large(run, tmp_path / "in.zarr", out, threshold=0.6)
