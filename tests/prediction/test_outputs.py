"""What becomes of pictures whose neighbours fail, whose names collide, and whose process is told to stop."""

import os
import re
import resource
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_tf import predict, predict_files, read_image
from unet_tf.annotations.suffixes import DRAWN
from unet_tf.data import pictures as pictures_module
from unet_tf.data.channels import Channels
from unet_tf.data.drawing import overlay
from unet_tf.data.georeference import read_georeference
from unet_tf.data.pictures import SUFFIXES, read_mask, write_picture
from unet_tf.errors import InputError
from unet_tf.prediction import outputs, pictures
from unet_tf.prediction.calls import Wanted
from unet_tf.prediction.outputs import Output
from unet_tf.prediction.predictor import Predictor
from unet_tf.utils.signals import Stopped

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"


def noise(number, shape=(40, 48)):
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def scans(tmp_path):
    """a.png, b.tif of three pages, c.png."""
    folder = tmp_path / "scans"
    write_picture(folder / "a.png", noise(0))
    tifffile.imwrite(folder / "b.tif", noise(1, (3, 40, 48)), photometric="minisblack", compression="zlib")
    write_picture(folder / "c.png", noise(2))
    return folder


def check_neighbours(scans, out, outcome):
    """a.png and c.png are as alone; b.tif failed by name, and left nothing."""
    assert (outcome.written, len(outcome.failed)) == (2, 1)
    assert str(scans / "b.tif") in outcome.failed[0]
    for name in ("a.png", "c.png"):
        np.testing.assert_array_equal(read_mask(out / name), 255 * predict(RUN, read_image(scans / name)))
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "c.png", "manifest.csv", "predict.json"]


def test_pages_whose_file_cannot_be_begun_reach_no_other_file(scans, tmp_path, monkeypatch):
    def refuse(path, colours, tags, pages):
        raise InputError(f"Cannot write {path}: no space left on device.")

    monkeypatch.setattr(outputs, "stack_writer", refuse)
    check_neighbours(scans, tmp_path / "out", predict_files(RUN, scans, tmp_path / "out"))


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_a_page_that_cannot_be_read_ends_its_file_alone(scans, tmp_path, damaged):
    with tifffile.TiffFile(scans / "b.tif") as file:
        at = file.pages[damaged].dataoffsets[0]
    content = bytearray((scans / "b.tif").read_bytes())
    content[at : at + 4] = b"\xff\xff\xff\xff"
    (scans / "b.tif").write_bytes(content)
    check_neighbours(scans, tmp_path / "out", predict_files(RUN, scans, tmp_path / "out"))


@pytest.mark.parametrize("where", ["first page", "second page", "net", "outputs", "end"])
def test_a_picture_for_which_there_is_not_enough_memory_fails_alone(scans, tmp_path, monkeypatch, where):
    def failing(function, fails):
        def called(*arguments, **settings):
            found = function(*arguments, **settings)
            if fails(*arguments, **settings):
                raise MemoryError
            return found

        return called

    owner, name, fails = {
        "first page": (pictures, "count_pages", lambda file: file.name == "b.tif"),
        "second page": (Channels, "read", lambda self, files, page=0: page == 1),
        "net": (Predictor, "predict", lambda self, image, name, **settings: "b.tif" in name),
        "outputs": (Output, "_add", lambda self, page: self.file.name == "b.tif"),
        "end": (tifffile.TiffWriter, "close", lambda self: True),  # of the one stack
    }[where]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, failing(getattr(owner, name), fails))
        outcome = predict_files(RUN, scans, tmp_path / "out")
    check_neighbours(scans, tmp_path / "out", outcome)
    assert f"with all that is made of it, and {scans / 'b.tif'} does not. Predict it alone" in outcome.failed[0]


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (("a.png", "a_overlay.png"), {"overlay": True}),
        (("b.png", "b_instances.png"), {"instances": True, "format": "tif"}),
        (("a.png", "a.bmp"), {}),
        (("a.png", "A.bmp"), {}),
    ],
)
def test_two_pictures_that_would_write_one_file_are_named_before_anything_is_written(tmp_path, names, settings):
    for number, name in enumerate(names):
        write_picture(tmp_path / "in" / name, noise(number))
    with pytest.raises(InputError, match="would both write") as raised:
        predict_files(RUN, tmp_path / "in", tmp_path / "out", **settings)
    assert all(name in str(raised.value) for name in names)
    assert not (tmp_path / "out").exists()


def test_jobs_that_start_together_on_a_new_folder_share_it(tmp_path):
    for number in range(6):
        write_picture(tmp_path / "in" / f"{number}.png", noise(number))
    start, outcomes = threading.Barrier(3), []

    def job(number):
        start.wait()
        outcomes.append(predict_files(RUN, tmp_path / "in", tmp_path / "out", shard=f"{number}/3"))

    jobs = [threading.Thread(target=job, args=(number,)) for number in (1, 2, 3)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert [one.written for one in outcomes] == [2, 2, 2]
    assert len([*(tmp_path / "out").glob("?.png")]) == 6


@pytest.mark.parametrize(
    "settings", [{}, {"format": "tif"}, {"probabilities": True}, {"overlay": True}, {"instances": True}]
)
def test_masks_that_the_disk_does_not_hold_are_said_and_leave_nothing(tmp_path, settings):
    """A limit on the size of files stands for the disk."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    write_picture(scans / "a.png", noise(0, (400, 400)))
    tifffile.imwrite(scans / "b.tif", noise(1, (9, 90, 90)), photometric="minisblack")
    write_picture(scans / "c.png", noise(2, (9, 9)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        outcome = predict_files(RUN, scans, out, **settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [re.sub(r"Cannot write [^:]*", "Cannot write", one) for one in outcome.failed] == [
        f"{scans / name}: Cannot write: File too large. Free space or choose another place."
        for name in ("a.png", "b.tif")
    ]
    assert {path.name.partition(".")[0].partition("_")[0] for path in out.iterdir()} == {"c", "manifest", "predict"}
    assert predict_files(RUN, scans, out, **settings).written == 2


@pytest.fixture
def read_only():
    """A function that makes a folder read-only; for root, who may write everywhere, by a mount."""
    mounted = []

    def protect(folder):
        if os.geteuid():
            for path in (*folder.iterdir(), folder):
                path.chmod(0o500)
            return
        for how in (["--bind", folder], ["-o", "remount,ro,bind"]):
            if subprocess.run(["mount", *how, folder], capture_output=True).returncode:
                pytest.skip("this root may mount nothing")
            mounted[:] = [folder]

    yield protect
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("begun", [False, True])
def test_a_folder_that_is_read_only_is_said(scans, tmp_path, read_only, begun):
    out = tmp_path / "out"
    out.mkdir()
    if begun:
        predict_files(RUN, scans / "a.png", out)
    there = {path.name: path.read_bytes() for path in out.iterdir()}
    read_only(out)
    with pytest.raises(InputError) as raised:
        predict_files(RUN, scans, out)
    file = out / ("manifest.csv" if begun else "predict.json")
    assert str(raised.value) in {
        f"Cannot write {file}: {why}. Free space or choose another place."
        for why in ("Read-only file system", "Permission denied")
    }
    assert {path.name: path.read_bytes() for path in out.iterdir()} == there


def test_a_signal_ends_between_two_pictures_and_the_same_call_goes_on(scans, tmp_path):
    def tell(done, total):
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        predict_files(RUN, scans, tmp_path / "out", on_file=tell)
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert "a.png" in there
    assert not [name for name in there if name.startswith(".")]
    outcome = predict_files(RUN, scans, tmp_path / "out")
    assert (outcome.skipped + outcome.written, outcome.failed) == (3, ())
    assert outcome.skipped >= 1


@pytest.mark.parametrize(("values", "has_table"), [((0, 7), True), ((3, 1000), False)])
@pytest.mark.parametrize("format", ["png", "tif"])
def test_class_ids_with_gaps_are_written_as_the_files_had_them(scans, tmp_path, values, has_table, format):
    run = shutil.copytree(RUN, tmp_path / "run")
    config = (run / "config.toml").read_text()
    config = config.replace('kind = "binary"', f'kind = "index"\nvalues = {list(values)}')
    (run / "config.toml").write_text(config)
    outcome = predict_files(run, scans / "a.png", tmp_path / "out", format=format)
    assert outcome.failed == ()
    label = predict(RUN, read_image(scans / "a.png"))
    assert set(np.unique(label)) == {0, 1}
    mask = tmp_path / "out" / f"a.{format}"
    np.testing.assert_array_equal(read_mask(mask, ids=True), np.array(values)[label])
    assert (read_mask(mask).ndim == 3) == has_table  # colours are shown where a table can hold the ids


def test_pages_of_a_stack_of_objects_have_one_type_though_one_has_more_ids_than_16_bits_hold(tmp_path, monkeypatch):
    run = shutil.copytree(RUN, tmp_path / "run")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace('kind = "binary"', 'kind = "instance"'))
    monkeypatch.setattr(Predictor, "predict", lambda self, image, **settings: image[..., 0])
    pages = np.zeros((2, 512, 514), np.uint8)
    pages[0, 3:5, 4] = 1
    pages[1, ::2, ::2] = 1
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    assert predict_files(run, tmp_path / "s.tif", tmp_path / "out").failed == ()
    with tifffile.TiffFile(tmp_path / "out" / "s.tif") as file:
        assert [(page.dtype, int(page.asarray().max())) for page in file.pages] == [(np.uint32, 1), (np.uint32, 65_792)]
    for page in range(2):
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / "s.tif", page) > 0, pages[page])


def test_a_stack_whose_files_32_bits_do_not_count_is_written(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures_module, "CLASSIC", 3 * 40 * 48)  # the mask has as many
    outcome = predict_files(RUN, scans / "b.tif", tmp_path / "out", overlay=True, instances=True, uncertainty=True)
    assert outcome.failed == ()
    big = {}
    for file in (tmp_path / "out").glob("*.tif"):
        with tifffile.TiffFile(file) as opened:
            big[file.stem] = opened.is_bigtiff
    assert big == {"b": False, "b_overlay": True, "b_instances": True, "b_uncertainty": True}


def test_a_mask_lies_where_its_picture_does_unless_that_is_turned(tmp_path, caplog):
    """The tags of GeoTIFF are of the stored pixels, and the mask is of the shown ones."""
    place = (33550, "d", 3, (0.5, 0.5, 0), True), (33922, "d", 6, (0, 0, 0, 500_000, 5_400_000, 0), True)
    for name, turn in (("stored", 1), ("turned", 6)):
        tifffile.imwrite(tmp_path / f"{name}.tif", noise(0), extratags=[*place, (274, "H", 1, turn, True)])
    assert predict_files(RUN, tmp_path / "*.tif", tmp_path / "out", format="tif").failed == ()
    assert str(read_georeference(tmp_path / "out" / "stored.tif")) == "x 500000 to 500024, y 5399980 to 5400000"
    assert read_georeference(tmp_path / "out" / "turned.tif") is None
    assert read_mask(tmp_path / "out" / "turned.tif").shape == (48, 40)
    assert f"{tmp_path / 'turned.tif'} has orientation 6: its mask is turned as it is shown" in caplog.text
    assert "stored.tif has orientation" not in caplog.text


def test_an_overlay_shows_pixels_without_a_measurement_as_the_median(tmp_path, monkeypatch):
    image, drawn = 200 + noise(0) // 8, []
    image[:9] = 0
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(42113, "s", 0, "0", True)])
    monkeypatch.setattr(outputs, "overlay", lambda image, *rest: drawn.append(image) or overlay(image, *rest))
    tifffile.imwrite(tmp_path / "b.tif", image[9:], extratags=[(42113, "s", 0, "0", True)])  # which holds no 0
    found = predict_files(RUN, [tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out", overlay=True)
    assert found.nodata == {str(tmp_path / "a.tif"): (0.0,)}
    assert set(drawn[0][:9].flat) == {int(np.median(image[9:]))}
    np.testing.assert_array_equal(drawn[0][9:, :, 0], image[9:])


@pytest.mark.parametrize("format", ["png", "tif"])
def test_a_mask_that_cannot_be_written_leaves_what_lay_beside_the_former_one(scans, tmp_path, monkeypatch, format):
    out, settings = tmp_path / "out", {"overlay": True, "instances": True, "format": format}
    predict_files(RUN, scans / "a.png", out, **settings)
    before = {path.name: path.read_bytes() for path in out.glob("a*")}
    assert len(before) == 4
    write_picture(scans / "a.png", noise(3, (30, 50)))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(outputs, "drawn_mask", full)
        (failed,) = predict_files(RUN, scans / "a.png", out, **settings).failed
    assert "No space left on device" in failed
    assert {path.name: path.read_bytes() for path in out.glob("a*")} == before
    assert predict_files(RUN, scans / "a.png", out, **settings).written == 1
    assert not any(before[path.name] == path.read_bytes() for path in out.glob("a*"))


def test_a_table_whose_end_the_disk_does_not_hold_leaves_what_lay_there(tmp_path, monkeypatch):
    """What a file holds back is written when it is closed: before any other has its name."""
    file, out, settings = tmp_path / "a.png", tmp_path / "out", {"instances": True, "uncertainty": True, "min_area": 60}
    write_picture(file, noise(0, (20, 24)))
    predict_files(RUN, file, out, **settings)
    before = {path.name: path.read_bytes() for path in out.glob("a*")}
    write_picture(file, noise(1, (20, 24)))
    monkeypatch.setattr(outputs, "COLUMNS", ("x" * 7000,))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
    try:
        (failed,) = predict_files(RUN, file, out, **settings).failed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "File too large" in failed
    assert {path.name: path.read_bytes() for path in out.glob("a*")} == before


def test_what_a_picture_became_before_it_was_a_stack_is_named_and_stays(tmp_path, caplog):
    file, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(file, noise(0))
    predict_files(RUN, file, out, overlay=True)
    tifffile.imwrite(file, noise(1, (3, 40, 48)), photometric="minisblack")
    predict_files(RUN, file, out, overlay=True)
    assert f"a.png, a_overlay.png in {out} may be of {file} as it was before, a stack or none." in caplog.text
    (out / "a.png").unlink()
    caplog.clear()
    tifffile.imwrite(file, noise(0))
    predict_files(RUN, file, out, overlay=True)
    assert f"a.tif, a_overlay.tif in {out} may be of {file}" in caplog.text
    assert sorted(path.name for path in out.glob("a*")) == ["a.png", "a.tif", "a_overlay.png", "a_overlay.tif"]


@pytest.mark.parametrize("given", ["", "*", "../*/*.[bp]*", "../**/*.png"])
def test_a_folder_whose_masks_the_same_inputs_would_find_is_refused_before_the_first(tmp_path, given):
    scans = tmp_path / "scans"
    write_picture(scans / "a.bmp", noise(0))
    write_picture(tmp_path / "others" / "b.png", noise(0))
    words = r"scans/.\.png, which .* would write, would be one of the pictures when the same call is given again"
    with pytest.raises(InputError, match=words):
        predict_files(RUN, str(scans / given) if given else scans, scans)
    assert [path.name for path in scans.iterdir()] == ["a.bmp"]


@pytest.mark.parametrize("given", ["a.bmp", "*.bmp", "../scans/*.b*"])
def test_masks_beside_pictures_that_do_not_find_them_are_written_and_gone_on_with(tmp_path, given):
    scans = tmp_path / "scans"
    write_picture(scans / "a.bmp", noise(0))
    assert predict_files(RUN, str(scans / given), scans).written == 1
    write_picture(scans / "b.bmp", noise(1))
    assert predict_files(RUN, str(scans / given), scans).skipped == 1


def test_single_tiff_pictures_of_any_folder_are_no_masks_of_another(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(0))
    (tmp_path / "one").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "one" / "a.tif")
    for expected in (0, 1):
        assert predict_files(RUN, str(tmp_path / "*" / "*.tif"), tmp_path / "masks").skipped == expected


def test_stacks_whose_masks_the_same_pattern_would_find_are_refused_before_the_first(tmp_path):
    given, out = str(tmp_path / "*" / "*.tif"), tmp_path / "masks"
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "b.tif").write_bytes(b"II*")  # what cannot be read fails, and is not written
    tifffile.imwrite(tmp_path / "x" / "a.tif", noise(0, (2, 40, 48)), photometric="minisblack")
    with pytest.raises(InputError, match=r"masks/a\.tif, which .* would write, would be one of the pictures when"):
        predict_files(RUN, given, out)
    assert not out.exists()
    tifffile.imwrite(tmp_path / "x" / "a.tif", noise(0))
    outcome = predict_files(RUN, given, out)
    assert (outcome.written, len(outcome.failed)) == (1, 1)


def test_import_knows_every_picture_that_is_written():
    names = Wanted(probabilities=True, overlay=True, instances=True).names(Path("a.tiff"))
    drawn = {f"a{kind}" for kinds in DRAWN.values() for kind in kinds}
    assert {name for name in names if name.endswith(SUFFIXES)} == drawn | {"a.png", "a.tif"}
