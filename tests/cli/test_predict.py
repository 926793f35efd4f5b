"""What `unet-tf predict` refuses before it computes anything, and what it says where it was stopped."""

from pathlib import Path

import numpy as np
import pytest

from unet_tf.data.pictures import write_picture
from unet_tf.utils.signals import Stopped

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"


def stop(*arguments, **settings):
    raise Stopped


def count_and_stop(*arguments, **settings):
    next(settings[name] for name in ("on_file", "on_chunk") if name in settings)(0, 3)
    raise Stopped


@pytest.mark.parametrize(
    ("function", "inputs", "out"),
    [
        ("unet_tf.predict_files", [RUN, "a.png"], "out"),
        ("unet_tf.predict_large", [RUN, "a.zarr"], "out.zarr"),
        ("unet_tf.predict_map", [RUN, "a.tif"], "out.tif"),
        ("unet_tf.serving.files.predict_served", ["--server", "http://127.0.0.1:1", "a.png"], "out"),
    ],
)
def test_the_command_that_goes_on_does_not_begin_anew(call, tmp_path, monkeypatch, function, inputs, out):
    if out.endswith(("zarr", "tif")):
        pytest.importorskip("zarr")
    monkeypatch.setattr(function, stop, raising=False)
    for flags in ([], ["--overwrite"]):  # the former prediction stands until the new one counts
        code, said, _ = call("predict", *inputs, "--out", tmp_path / out, *flags)
        assert (code, said) == (130, "Stopped. The same command does what is left.\n")
    monkeypatch.setattr(function, count_and_stop, raising=False)
    for flags, words in (([], ""), (["--overwrite"], " without --overwrite")):
        code, said, _ = call("predict", *inputs, "--out", tmp_path / out, *flags)
        assert (code, said) == (130, f"Stopped. The same command{words} does what is left.\n")


@pytest.mark.parametrize(
    ("more", "there", "words"),
    [
        (["--instances", "--min-area", "0"], None, "The smallest object must have 1 pixel or more; received 0."),
        (["--min-area", "9"], None, "--min-area is of objects; add --instances, or --polygons and their format."),
        (["--instances"], "m_objects.csv", "m_objects.csv exists, and holds no objects of unet_tf."),
        (["--polygons", "geojson"], "m_objects.csv", "m_objects.csv exists, and holds no objects of unet_tf."),
        (["--polygons", "geojson"], "m.geojson", "m.geojson exists, and holds no outlines of m.zarr."),
    ],
)
def test_objects_that_could_not_be_written_are_refused_before_the_first_chunk(
    call, tmp_path, monkeypatch, more, there, words
):
    pytest.importorskip("zarr")
    monkeypatch.setattr("unet_tf.predict_large", lambda *arguments, **settings: pytest.fail("it began"), raising=False)
    if there is not None:
        (tmp_path / there).write_text("mine")
    code, _, err = call("predict", RUN, "a.zarr", "--out", tmp_path / "m.zarr", *more)
    assert (code, words in err) == (1, True), err
    assert [path.name for path in tmp_path.iterdir()] == ([] if there is None else [there])


def test_a_smallest_object_without_objects_is_refused_in_a_folder(call, tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    code, _, err = call("predict", RUN, tmp_path / "a.png", "--out", tmp_path / "out", "--min-area", "9")
    assert (code, err) == (1, "Error: --min-area is of objects; add --instances, or --polygons and their format.\n")
    assert not (tmp_path / "out").exists()


def test_a_smallest_object_of_a_map_is_refused_by_its_name_and_value(call, tmp_path):
    code, _, err = call("predict", RUN, "a.tif", "--out", tmp_path / "m.tif", "--min-area", "9")
    assert (code, "a map has none; received --min-area 9. Leave it out" in err) == (1, True), err


@pytest.mark.parametrize("out", ["m.tif", "m.zarr"])
def test_a_format_of_what_says_its_own_is_refused(call, tmp_path, out):
    code, _, err = call("predict", RUN, "a.tif", "--out", tmp_path / out, "--format", "png")
    assert (code, f"--format is of masks in a folder, and {out} says its own. Leave it out." in err) == (1, True), err
