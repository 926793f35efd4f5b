import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from unet_tf import predict as predict_image
from unet_tf.cli import commands
from unet_tf.cli.commands import app
from unet_tf.cli.console import console
from unet_tf.data.pictures import count_pages, read_image, write_picture, write_stack
from unet_tf.planning.page import write_overview
from unet_tf.prediction.objects import find_objects
from unet_tf.utils.signals import Stopped

VERBS = ("demo check import train crossval evaluate compare predict suggest export verify").split()


def test_help_lists_every_verb():
    done = subprocess.run([sys.executable, "-m", "unet_tf", "--help"], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(call, verb):
    code, out, _ = call(verb, "--help")
    assert code == 0
    assert f"unet-tf {verb}" in out.split("Example")[1]


@pytest.mark.parametrize(
    ("function", "command"),
    [
        ("unet_tf.demo", "demo"),
        ("unet_tf.planning.doctor.check", "check DATA"),
        ("unet_tf.import_annotations", "import DATA --out out"),
        ("unet_tf.train", "train DATA --out out"),
        ("unet_tf.resume", "train --resume RUN"),
        ("unet_tf.crossval", "crossval DATA --out out"),
        ("unet_tf.evaluate", "evaluate RUN DATA"),
        ("unet_tf.compare", "compare RUN RUN DATA"),
        ("unet_tf.predict_files", "predict RUN a.png --out out"),
        ("unet_tf.predict_large", "predict RUN a.zarr --out out.zarr"),
        ("unet_tf.suggest", "suggest RUN DATA"),
        ("unet_tf.export", "export RUN --out out"),
        ("unet_tf.add_version", "export RUN --out out --add-version"),
        ("unet_tf.verify", "verify BUNDLE"),
    ],
)
def test_every_verb_says_what_the_library_says_and_how_it_stopped(call, tmp_path, monkeypatch, function, command):
    """On standard output, where whoever reads the results finds it, and once."""

    def warn_and_stop(*arguments, **settings):
        logging.getLogger("unet_tf").info("The net is that of [fold0].")
        logging.getLogger("unet_tf").warning("One picture is grey.")
        raise Stopped

    monkeypatch.setattr(function, warn_and_stop, raising=False)
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*command.split())
    assert (code, err) == (130, "")
    lines = out.splitlines()
    assert lines[:2] == ["The net is that of [fold0].", "One picture is grey."]
    said_in_the_log = function in ("unet_tf.train", "unet_tf.resume", "unet_tf.crossval")
    assert [line.split(".")[0] for line in lines[2:]] == ["Stopped"] * (not said_in_the_log)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_letter_that_the_terminal_does_not_know_is_an_escape(monkeypatch, encoding):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding, write_through=True))
    monkeypatch.setattr(commands, "app", lambda: console.print("Masks: Ł.png"))
    commands.main()
    assert written.getvalue().split() == [b"Masks:", rb"\u0141.png"]


def test_train_keeps_the_promised_flags(call):
    out = call("train", "--help")[1]
    for flag in "base-filters depth padding classes epochs minutes batch-size tile learning-rate seed".split():
        assert f"--{flag}" in out


def test_every_setting_of_train_is_one_of_the_config():
    from dataclasses import fields

    import typer

    from unet_tf import TrainConfig

    parameters = {p.name for p in typer.main.get_command(app).commands["train"].params}
    own = {"data", "out", "resume", "config", "preset", "tensorboard", "help"}
    assert parameters - own == {f.name for f in fields(TrainConfig)}


def test_outlines_are_written_where_they_are_asked_for(call, tmp_path):
    run = Path(__file__).parents[1] / "saved" / "run_0_1"
    write_picture(tmp_path / "in" / "a.png", np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8))
    polygons = "--polygons coco,geojson --simplify 0.5 --subpixel --min-area 2".split()
    code, out, _ = call("predict", run, tmp_path / "in", "--out", tmp_path / "out", *polygons)
    assert code == 0, out
    assert {path.name for path in (tmp_path / "out").glob("a.*")} == {"a.png", "a.coco.json", "a.geojson"}
    code, _, err = call("predict", run, tmp_path / "in", "--out", tmp_path / "other", "--polygons", "yolo")
    assert (code, "received yolo" in err) == (1, True), err
    code, _, err = call("predict", run, tmp_path / "in", "--out", tmp_path / "m.zarr", "--polygons", "coco")
    assert (code, "; received --polygons coco too. Leave that out, or predict into a f" in err) == (1, True), err


def test_objects_of_an_array_are_those_of_the_picture(call, tmp_path):
    zarr = pytest.importorskip("zarr")
    run = Path(__file__).parents[1] / "saved" / "run_0_1"
    image = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    zarr.create_array(str(tmp_path / "image.zarr"), data=image, chunks=(16, 16))
    where = run, tmp_path / "image.zarr", "--out", tmp_path / "m.zarr"
    code, _, err = call("predict", *where, "--chunk", "16", "--instances", "--shard", "1/2")
    assert (code, "need all chunks" in err) == (1, True), err
    code, out, _ = call("predict", *where, "--chunk", "16", "--polygons", "geojson", "--min-area", "2")
    assert code == 0
    expected, found = find_objects(zarr.open_array(str(tmp_path / "m.zarr" / "0"), mode="r")[...], None, 2)
    assert f"Ids of {len(found)} objects" in out
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "m_instances.zarr" / "0"), mode="r")[...], expected)
    assert len((tmp_path / "m_objects.csv").read_text().splitlines()) == 1 + len(found)
    assert len(json.loads((tmp_path / "m.geojson").read_text())["features"]) == len(found)


def test_the_way_from_check_to_export(call, cells, tmp_path):
    code, out, _ = call("check", cells)
    assert code == 0
    assert "96x96 (4)" in out
    assert "Nothing stands in the way" in out

    run = tmp_path / "run"
    settings = "--base-filters 2 --depth 1 --tile 52 --batch-size 2 --epochs 2 --steps-per-epoch 4".split()
    settings += ["--optimizer", "sgd"]
    code, out, err = call("train", cells, "--out", run, *settings, "--classes", "background,cell")
    assert (code, err) == (0, "")
    assert "epoch    2" in out
    assert "Otsu threshold" in out
    assert out.rstrip().endswith("report.html")

    code, out, _ = call("evaluate", run, cells, "--split", "val")
    assert code == 0
    assert out.startswith(f"Pictures in {cells} that are not used: 2 in test/instances, ")
    assert f"all val files of {cells}" in out.replace("\n", "")
    assert json.loads((run / "evaluation.json").read_text())["classes"] == ["background", "cell"]

    write_picture(tmp_path / "in" / "a.png", np.full((70, 30), 90, np.uint8))
    code, out, _ = call("predict", run, tmp_path / "in", "--out", tmp_path / "out", "--probabilities")
    assert code == 0
    assert "1 of 1 mask written" in out
    mask = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, 255 * predict_image(run, np.full((70, 30), 90, np.uint8)))
    assert np.load(tmp_path / "out" / "a.npy").shape == (70, 30, 2)

    code, out, _ = call("export", run, "--out", tmp_path / "bundle", "--variants", "float32", "--max-iou-drop", "0.1")
    assert code == 0
    assert "TFLite float32\n" in out
    assert "saved_model/1" in out
    assert (tmp_path / "bundle" / "model_float32.tflite").is_file()
    assert not (tmp_path / "bundle" / "model_uint8.tflite").exists()

    code, out, _ = call("verify", tmp_path / "bundle", cells / "val")
    assert code == 0
    assert "On 2 labelled pictures." in out
    (tmp_path / "bundle" / "MODEL_CARD.md").unlink()
    code, _, err = call("verify", tmp_path / "bundle")
    assert (code, err) == (1, "Fault: MODEL_CARD.md is missing.\n")


def test_masks_of_any_origin_are_judged_and_compared(call, cells, tmp_path):
    run = Path(__file__).parents[1] / "saved" / "run_0_1"
    theirs = cells / "test" / "masks"
    code, out, err = call("evaluate", theirs, cells, "--classes", "background,cell")
    assert (code, err) == (0, "")
    assert "read as binary, 0 background, 255 cell" in out
    assert "IoU cell" in out
    assert "1.0000" in out
    assert "soft Dice" not in out
    assert "Kept nowhere: --out FOLDER keeps scores" in out
    code, out, err = call("compare", run, theirs, cells, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "A and B cannot be told apart on these 2 images: B has mean IoU +" in out
    assert out.rstrip().endswith(f"Page: {tmp_path / 'out' / 'compare.html'}")
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["b"]["mean_iou"] == 1
    code, _, err = call("compare", run, theirs, cells, "--classes", "background,cell")
    assert (code, "in the order of the data: --classes background,foreground." in err) == (1, True), err
    code, _, err = call("evaluate", cells / "train" / "masks", cells)
    assert (code, "2 of 2 have none: test/cells_000, test/cells_001" in err) == (1, True), err


def test_one_bad_file_among_many_does_not_stop_the_others(call, run, tmp_path):
    for name in ("a", "c"):
        write_picture(tmp_path / "in" / f"{name}.png", np.zeros((20, 20), np.uint8))
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    code, out, err = call("predict", run.path, tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1
    assert "2 of 3 masks written" in out
    assert "b.png (10 bytes) is not a complete" in err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png", "manifest.csv", "predict.json"]
    code, out, _ = call("predict", run.path, tmp_path / "in" / "a.png", "--out", tmp_path / "out")
    assert (code, "1 of 1 mask written" in out, "(1 were there)" in out) == (0, True, True)


def test_outputs_that_would_collide_or_overwrite_an_input_are_refused(call, run, tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    write_picture(tmp_path / "a.bmp", np.zeros((20, 20), np.uint8))
    code, _, err = call("predict", run.path, tmp_path / "a.png", "--out", tmp_path)
    assert code == 1
    assert "is an input and would be overwritten" in err
    code, _, err = call("predict", run.path, tmp_path / "a.png", tmp_path / "a.bmp", "--out", tmp_path / "out")
    assert code == 1
    assert "would both write" in err
    (tmp_path / "empty").mkdir()
    assert "no picture to predict" in call("predict", run.path, tmp_path / "empty", "--out", tmp_path / "out")[2]


def test_streets_in_colours_go_in_and_masks_in_these_colours_come_out(call, tmp_path):
    colours = np.array([(0, 0, 0), (128, 64, 128), (0, 0, 255)], np.uint8)
    stack = []
    for number in range(4):
        label = np.kron(np.random.default_rng(number).integers(0, 3, (6, 6)), np.ones((10, 10), int))
        write_picture(tmp_path / "data" / "images" / f"{number}.png", colours[label])
        write_picture(tmp_path / "data" / "masks" / f"{number}.png", colours[label])
        stack.append(colours[label])
    code, _, err = call("check", tmp_path / "data", "--out", tmp_path / "page")
    assert code == 1
    assert "nothing says which colour is which class" in err
    suggested = (tmp_path / "page" / "label_colors.txt").read_text()
    assert sorted(line.rsplit(" ", 1)[0] for line in suggested.splitlines()) == ["0 0 0", "0 0 255", "128 64 128"]
    (tmp_path / "data" / "label_colors.txt").write_text("0 0 0 void\n128 64 128 road\n0 0 255 sky\n")
    code, out, _ = call("check", tmp_path / "data", "--out", tmp_path / "page", "--depth", 1)
    assert code == 0
    assert "Masks: palette: label_colors.txt lists 3 colours" in out
    assert "Page: " in out

    run = tmp_path / "run"
    settings = "--base-filters 2 --depth 1 --tile 52 --batch-size 2 --epochs 1 --steps-per-epoch 4".split()
    settings += ["--optimizer", "sgd"]
    code, out, err = call("train", tmp_path / "data", "--out", run, *settings)
    assert (code, err) == (0, "")
    assert "masks: palette, 2 classes (road, sky); label_colors.txt lists 3 colours" in out
    assert "kept in memory" in out

    write_stack(tmp_path / "in" / "street.tif", np.stack(stack))
    assert call("predict", run, tmp_path / "in", "--out", tmp_path / "out")[0] == 0
    assert count_pages(tmp_path / "out" / "street.tif") == 4
    for page in range(4):
        found = read_image(tmp_path / "out" / "street.tif", page)
        np.testing.assert_array_equal(found, colours[1 + predict_image(run, stack[page])])
    assert "is an input and would be overwritten" in call("predict", run, tmp_path / "in", "--out", tmp_path / "in")[2]


def test_an_error_is_one_message_without_traceback(call, tmp_path):
    for arguments, message in (
        (("train", tmp_path / "none", "--out", tmp_path / "run"), "There is no folder"),
        (("evaluate", tmp_path, tmp_path), "is no run"),
        (("predict", tmp_path, __file__, "--out", tmp_path / "out"), "is no run"),
        (("export", tmp_path, "--out", tmp_path / "bundle"), "is no run"),
        (("check", tmp_path / "none"), "There is no folder"),
    ):
        code, out, err = call(*arguments)
        assert code == 1, arguments
        assert err.startswith("Error: ")
        assert message in err
        assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_a_tilde_that_no_shell_has_replaced_is_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    given = ["predict", "~/run", "~", "~/scans/*.tif", "--out=~/masks", "--data", "~/a=b", "--overlay", "--", "-~"]
    home = ["/home/ada/run", "/home/ada", "/home/ada/scans/*.tif", "--out=/home/ada/masks"]
    assert commands.as_meant(given) == ["predict", *home, "--data", "/home/ada/a=b", "--overlay", "--", "-~"]
    as_they_are = ["./~/a", "a~", "--group=a~b", "~$a.docx", "--group", "", "--group=", "--variants", "", "--variants="]
    assert commands.as_meant(as_they_are) == as_they_are


def test_an_argument_that_is_empty_is_not_the_current_folder(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    for arguments, where in (
        (("predict", tmp_path, "", "--out", "out"), "in place 3"),
        (("train", "", "--out", "out"), "in place 2"),
        (("predict", tmp_path, "a.png", "--out", ""), "behind --out"),
        (("check", ".", "--out="), "behind --out"),
        (("", "."), "in place 1"),
        (("predict", "run", "--overlay", "", "--out", "out"), "in place 4"),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (1, "")
        assert err.startswith(f"Error: A path must not be empty; received '' {where}. Is the variable set")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_command_line_works_without_standard_output():
    code = "import sys; sys.argv = ['unet-tf', '--version']; from unet_tf.cli.commands import main; main()"
    found = subprocess.run(["sh", "-c", '"$@" >&-', "sh", sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert (found.returncode, found.stderr) == (0, b"")


def test_what_the_system_does_not_permit_is_one_message_too(call, tmp_path, monkeypatch):
    run, long = Path(__file__).parents[1] / "saved" / "run_0_1", "a" * 300
    write_picture(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    for arguments in (
        ("predict", run, long, "--out", tmp_path / "out"),
        ("predict", run, tmp_path / "a.png", "--out", tmp_path / long),
        ("predict", long, tmp_path / "a.png", "--out", tmp_path / "out"),
        ("evaluate", long, tmp_path),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (1, ""), arguments
        assert err.startswith("Error: Cannot ")
        assert "File name too long. Check the path" in err.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    for error in (FileNotFoundError(2, "No such file", "a"), OSError("no number"), PermissionError(13, "No")):

        def defect(error=error):
            raise error

        monkeypatch.setattr(commands, "app", defect)  # which keeps its traceback
        with pytest.raises(OSError) as raised:
            commands.main()
        assert raised.value is error


def test_a_geotiff_becomes_a_map(call, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    with rasterio.open(tmp_path / "scene.tif", "w", driver="GTiff", width=70, height=60, count=1, dtype="uint8",
                       nodata=0, compress="lzw", **place) as target:  # fmt: skip
        target.write(np.arange(4200, dtype=np.uint16).reshape(60, 70).astype(np.uint8), 1)
    command = ("predict", "tests/saved/run_0_1", tmp_path / "scene.tif", "--out", tmp_path / "map.tif")
    code, out, err = call(*command)
    assert (code, err) == (0, "")
    assert out.startswith(f"Map of class ids: {tmp_path / 'map.tif'}; ")
    assert "Pixels of 0, where there are any, hold no measurement" in out  # nobody looked whether there are
    assert "all of it was there" in call(*command)[1]
    with rasterio.open(tmp_path / "map.tif") as found:
        assert (found.crs, found.transform, found.nodata) == (place["crs"], place["transform"], 255)
    for more in (["--overlay"], ["--axes", "yx"], [tmp_path / "other.tif"], ["--polygons", "coco"]):
        code, _, err = call(*command, *more)
        assert code == 1
        assert f"no other outputs; received {more[0]} too. Leave that out, or predict into a folder, without" in err
    other = (*command[:-1], tmp_path / "shared.tif", "--chunk", 16, "--shard")
    assert "The jobs that do the other chunks of" in call(*other, "1/2")[1]
    assert "Map of class ids" in call(*other, "2/2")[1]


def test_check_says_first_how_files_pair(call, tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[:20] = 255
    for n in range(4):
        picture = np.random.default_rng(n).integers(0, 256, (40, 40), np.uint8)
        write_picture(tmp_path / "images" / f"img_{n}.png", picture)
        write_picture(tmp_path / "masks" / f"mask_{n}.png", mask)
    assert call("check", tmp_path)[1].splitlines()[0] == "Pairs: img_NAME and mask_NAME in images/ and masks/"


def test_a_signal_lets_the_page_of_a_check_be_written_whole(call, cells, tmp_path, monkeypatch):
    def told(findings, out):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # which would end the process here
        os.kill(os.getpid(), signal.SIGTERM)
        return write_overview(findings, out)

    monkeypatch.setattr("unet_tf.planning.page.write_overview", told)
    code, out, _ = call("check", cells, "--out", tmp_path / "page")
    assert (code, f"Page: {tmp_path / 'page' / 'check.html'}" in out.splitlines()) == (0, True)
    assert {file.name for file in (tmp_path / "page").iterdir()} == {"check.html", "check.json", "overlays.png"}


def test_check_lists_problems_and_exits_with_1(call, tmp_path):
    for role in ("images", "masks"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "a.png").write_bytes(b"")
    code, _, err = call("check", tmp_path)
    assert code == 1
    assert "Problem: " in err
    assert "is empty (0 bytes)" in err


def test_a_demo_is_not_overwritten_unless_told(call, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for flags in ([], ["--overwrite"]):
        code, _, err = call("demo", "--out", tmp_path, *flags)
        assert code == 1
        assert "is not empty" in err
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_train_says_which_arguments_belong_together(call, cells, tmp_path):
    code, _, err = call("train", "--resume", tmp_path, "--val-share", 0, "--out", tmp_path, "--from", "a")
    assert code == 1
    assert (
        "no --out and no settings beside it; received --out, --val-share, --from. Leave that out, or begin another run."
        in err
    )
    code, _, err = call("train", cells)
    assert code == 1
    assert "A new run needs DATA and --out RUN" in err


def test_flags_override_the_file_and_the_file_the_preset(call, cells, tmp_path):
    (tmp_path / "settings.toml").write_text('preset = "paper"\nbase_filters = 3\ndepth = 1\nepochs = 7\n')
    settings = "--epochs 1 --steps-per-epoch 1 --tile 52 --batch-size 2".split()
    data = shutil.copytree(cells, tmp_path / "data")
    assert call("train", data, "--out", tmp_path / "run", "--config", tmp_path / "settings.toml", *settings)[0] == 0
    from unet_tf import Run

    config = Run(tmp_path / "run").config
    assert (config.epochs, config.base_filters, config.padding, config.optimizer) == (1, 3, "valid", "sgd")
    moved = data.rename(tmp_path / "elsewhere")
    assert call("train", "--resume", tmp_path / "run")[0] == 1
    assert call("train", moved, "--resume", tmp_path / "run")[0] == 0


def test_crossval_prints_mean_and_spread(call, cells, tmp_path):
    for kind in ("images", "masks"):
        shutil.copytree(cells / "train" / kind, tmp_path / "data" / kind)
    write_picture(tmp_path / "data" / "raw" / "a.png", np.zeros((9, 9), np.uint8))
    settings = "--base-filters 2 --depth 1 --tile 32 --batch-size 2 --epochs 1 --steps-per-epoch 1".split()
    settings += ["--optimizer", "sgd"]
    code, out, _ = call("crossval", tmp_path / "data", "--out", tmp_path / "folds", "--folds", 2, *settings)
    assert code == 0
    assert out.count("that are not used: 1 in raw.") == 2  # each run has it in its log
    header = next(line for line in out.splitlines() if "spread" in line)
    assert header.split() == ["mean", "spread", "pooled", "fold1", "fold2"]
    assert out.rstrip().endswith("report.html")
    assert out.index("On 4 files of") < out.index(header)  # the honest scores come first
    cost = "the mean of 2 nets, 2 times the time of one, and 2 times its size"
    code, out, _ = call("evaluate", tmp_path / "folds", tmp_path / "data")
    assert (code, out.count(cost)) == (0, 1)
    assert "each by the mean of those of the 2 nets that were not trained on it" in out
    code, out, _ = call("predict", tmp_path / "folds", tmp_path / "data" / "images", "--out", tmp_path / "masks")
    assert (code, out.count(cost)) == (0, 1)
    assert len(list((tmp_path / "masks").glob("*.png"))) == 4


def test_import_makes_a_data_folder_checks_it_and_says_how_to_train(call, tmp_path):
    from kinds_of_annotations import KINDS, write_image

    file = KINDS["coco"](tmp_path / "my source")
    write_image(tmp_path / "my source", "b.png", seed=1)
    content = json.loads(file.read_text())
    content["annotations"][1]["iscrowd"] = 1
    content["images"].append(content["images"][0] | {"id": 8, "file_name": "b.png"})
    content["annotations"] += [one | {"image_id": 8, "iscrowd": 0} for one in content["annotations"]]
    file.write_text(json.dumps(content))
    code, out, _ = call("import", tmp_path / "my source", "--out", tmp_path / "a b", "--classes", "cell,vessel")
    assert code == 0 and f"4 shapes of coco in 2 masks of classes: {tmp_path / 'a b'}" in out
    assert out.splitlines()[-1] == f"Train:  unet-tf train '{tmp_path / 'a b'}' --out 'runs/a b'"
    code, out, _ = call("import", file, "--out", tmp_path / "c", "--instances", "--from", "coco")
    assert code == 0 and out.splitlines()[-1].endswith(" --masks instance --void 65535")
    assert "Regions of several objects (crowds), which are void in masks of objects: 1." in out
    code, _, err = call("import", file, "--out", tmp_path / "c")
    assert code == 1 and "is not empty. Choose another --out, or --overwrite an earlier import." in err
    (tmp_path / "labels.json").write_text('{"a": 1}')
    code, _, err = call("import", tmp_path / "labels.json", "--out", tmp_path / "d")
    assert code == 1 and "Looked for: labelme JSON" in err and "Found: labels.json: JSON, an object with a." in err


def test_an_import_that_is_stopped_at_its_check_is_said_to_be_there(call, tmp_path, monkeypatch):
    from kinds_of_annotations import KINDS

    def stop(*arguments, **settings):
        raise Stopped

    monkeypatch.setattr("unet_tf.check", stop, raising=False)
    code, out, err = call("import", KINDS["coco"](tmp_path / "source"), "--out", tmp_path / "a")
    lines = [f"Imported, and not checked: {tmp_path / 'a'}", "Stopped. Nothing half-written is left."]
    assert (code, out.splitlines(), err) == (130, lines, "")
    assert (tmp_path / "a" / "import.json").is_file()


def test_import_says_how_to_train_on_masks_of_objects_and_pictures_of_several_files(call, tmp_path):
    from kinds_of_annotations import KINDS, write_image

    source = tmp_path / "source"
    text = KINDS["labelme"](source).read_text()
    (source / "a.png").unlink()
    for seed, name in enumerate("ab"):
        (source / f"{name}.json").write_text(text.replace("a.png", f"{name}_dapi.png"))
        for end in ("_dapi", "_gfp"):
            write_image(source, f"{name}{end}.png", seed=seed)
    suffixes = ("--channel-suffix", "_dapi,_gfp")
    code, out, _ = call("import", source, "--out", tmp_path / "cells", "--instances", *suffixes)
    train = f"Train:  unet-tf train {tmp_path / 'cells'} --out runs/cells"
    assert (code, out.splitlines()[-1]) == (0, f"{train} --channel-suffix _dapi,_gfp --masks instance")
    code, out, _ = call("import", source, "--out", tmp_path / "cells", "--overwrite", *suffixes)
    assert (code, out.splitlines()[-1]) == (0, f"{train} --channel-suffix _dapi,_gfp")


def test_corrected_predictions_are_imported_with_the_run_to_go_on_from(call, tmp_path, monkeypatch):
    from kinds_of_annotations import KINDS, write_image

    run = shutil.copytree(Path(__file__).parents[1] / "saved" / "run_0_1", tmp_path / "runs" / "first one")
    file = KINDS["labelme"](tmp_path / "pictures")
    write_image(tmp_path / "pictures", "b.png", seed=1)
    (tmp_path / "predicted").mkdir()
    (tmp_path / "predicted" / "b.json").write_text(file.read_text().replace("a.png", "b.png"))
    file.rename(tmp_path / "predicted" / "a.json")
    (tmp_path / "predicted" / "manifest.csv").write_text("picture,status\na.png,done\n")
    monkeypatch.chdir(tmp_path)
    for net, flag in ((run, " --from 'runs/first one'"), (tmp_path / "gone", ""), ("http://host", "")):
        (tmp_path / "predicted" / "predict.json").write_text(json.dumps({"model": "x", "net": str(net)}))
        code, out, _ = call("import", "predicted", "--images", "pictures", "--out", "more", "--overwrite")
        assert code == 0 and "Not understood" not in out
        assert out.splitlines()[-1] == f"Train:  unet-tf train more --out runs/more{flag}"


def test_a_threshold_and_the_uncertainty_are_asked_for(call, run, tmp_path):
    write_picture(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8))
    out = tmp_path / "out"
    code, *_ = call("predict", run.path, tmp_path / "a.png", "--out", out, *"--threshold 0.3 --uncertainty".split())
    assert code == 0
    assert (out / "a_uncertainty.tif").is_file()
    p = predict_image(run, read_image(tmp_path / "a.png"), probabilities=True)[..., 1]
    assert ((cv2.imread(str(out / "a.png"), cv2.IMREAD_UNCHANGED) > 0) == (p > np.float32(0.3))).all()
    for name in ("m.zarr", "m.tif"):
        code, _, err = call("predict", run.path, tmp_path / "a.png", "--out", tmp_path / name, "--uncertainty")
        assert (code, "no other outputs" in " ".join(err.split())) == (1, True)
    code, _, err = call("predict", run.path, tmp_path / "a.png", "--out", tmp_path / "other", "--threshold", "1.2")
    assert (code, "between 0 and 1" in err) == (1, True)


def test_suggest_prints_a_table_and_writes_a_list(call, run, cells, tmp_path):
    code, out, err = call("suggest", run.path, cells / "test" / "images", "--count", 1, "--out", tmp_path / "next.csv")
    assert (code, err) == (0, "")
    assert "uncertainty" in out
    assert "1 of 2 pictures" in out
    assert len((tmp_path / "next.csv").read_text().splitlines()) == 2
    (tmp_path / "bad.png").write_bytes(b"no picture")
    known = cells / "train" / "images"
    code, out, err = call("suggest", run.path, tmp_path / "bad.png", known, "--out", tmp_path / "next.csv")
    assert (code, "bad.png" in err, "Left out, as the run knows them" in out) == (1, True, True)
    assert "0 of 0 pictures: " in out
