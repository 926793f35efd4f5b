"""A run, opened."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import unet_tf
from unet_tf import Run
from unet_tf.config import TrainConfig
from unet_tf.errors import InputError
from unet_tf.exporting.source import model_of
from unet_tf.prediction.folds import Folds

SAVED = Path(__file__).parent / "saved" / "run_0_1"


def test_a_run_of_version_0_1_predicts_as_it_did():
    y, x = np.mgrid[:40, :50]
    found = unet_tf.predict(SAVED, ((x * 7 + y * 11) % 256).astype(np.uint8), probabilities=True)
    np.testing.assert_allclose(found[::4, ::4], np.load(SAVED / "expected.npy"), atol=1e-5)


def test_a_run_of_version_0_1_says_how_it_was_trained():
    run = unet_tf.Run(SAVED)
    assert (run.config.base_filters, run.config.border_weight, run.classes) == (2, 10, ("background", "foreground"))
    assert len(run.files("train")) == 3


def test_a_run_is_its_file_whatever_its_model_learns_in_memory(own_run):
    image = np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.uint8)
    model, fresh = own_run.model, Run(own_run.path)
    for weight in model.weights:  # as fit does
        weight.assign(weight * 0.5)
    expected = unet_tf.predict(fresh, image, probabilities=True)
    for _ in range(2):
        np.testing.assert_array_equal(unet_tf.predict(own_run, image, probabilities=True), expected)
    for precision in ("float32", "bfloat16"):
        both = (model_of(one, precision).get_weights() for one in (own_run, fresh))
        assert all((mine == theirs).all() for mine, theirs in zip(*both, strict=True))
    assert own_run.model is model
    learnt = unet_tf.Predictor(model, own_run.normalisation).probabilities(image)
    assert np.abs(learnt - expected).max() > 0.01


def test_so_are_several(folds):
    several = Folds(folds)
    expected = several.model.get_weights()
    for weight in several.first.model.weights:
        weight.assign(weight * 0.5)
    assert all((mine == theirs).all() for mine, theirs in zip(several.model.get_weights(), expected, strict=True))


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(SAVED, tmp_path / "run"))


def edited(name, old, new):
    """A change of the text of a file of the run."""

    def change(folder):
        path = folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def filled(name, content):
    return lambda folder: (folder / name).write_bytes(content)


BINARY = b"\x89PNG\r\n\x1a\n\x00\xff" + bytes(range(256))
CONFIGS = [
    filled(Run.CONFIG, b""),
    filled(Run.CONFIG, BINARY),
    filled(Run.CONFIG, b"train = 3\nplan = 4\n"),
    filled(Run.CONFIG, b"[train]\nclasses = "),
    edited(Run.CONFIG, "[train]", "[trian]"),
    edited(Run.CONFIG, "[plan]", "[[plan]]"),
    edited(Run.CONFIG, "[masks]", "[mask]"),
    edited(Run.CONFIG, "[normalisation]", "[normalization]"),
    edited(Run.CONFIG, "[data]", "[dat]"),
    edited(Run.CONFIG, "base_filters = 2", 'base_filters = "2"'),
    edited(Run.CONFIG, "base_filters = 2", "base_filters = 2.5"),
    edited(Run.CONFIG, "base_filters = 2", "base_filters = 0"),
    edited(Run.CONFIG, "base_filters = 2", ""),
    edited(Run.CONFIG, "base_filters = 2", "base_filters = [2]"),
    edited(Run.CONFIG, "base_filters = 2", "base_filters = 1979-05-27"),
    edited(Run.CONFIG, "flips = true", "flips = 1"),
    edited(Run.CONFIG, 'padding = "same"', 'padding = "some"'),
    edited(Run.CONFIG, "tile = 32", "tile = 33"),
    edited(Run.CONFIG, '    "foreground",\n', ""),
    edited(Run.CONFIG, '    "foreground",\n', "    7,\n"),
    edited(Run.CONFIG, "epochs = 2\n", ""),
    edited(Run.CONFIG, 'kind = "binary"', 'kind = "bin"'),
    edited(Run.CONFIG, "num_classes = 2", 'num_classes = "2"'),
    edited(Run.CONFIG, "num_classes = 2", "num_classes = 2\nmore = 1"),
    edited(Run.CONFIG, "    106.31298828125,\n", ""),
    edited(Run.CONFIG, "106.31298828125", '"x"'),
    edited(Run.CONFIG, "106.31298828125", "nan"),
    edited(Run.CONFIG, "33.978293573532106", "0.0"),
    edited(Run.CONFIG, "33.978293573532106", "-1.0"),
    edited(Run.CONFIG, 'dtype = "uint8"', 'dtype = "uint9"'),
    edited(Run.CONFIG, 'dtype = "uint8"', "dtype = 8"),
    edited(Run.CONFIG, 'path = "cells"', "path = 3"),
]


@pytest.mark.parametrize("damage", CONFIGS)
def test_a_damaged_configuration_is_named(copy, damage):
    damage(copy)
    message = r"config\.toml is damaged or of another version: .*\. Train again\."
    with pytest.raises(InputError, match=message) as raised:
        Run(copy)
    assert raised.value.file == copy / Run.CONFIG


def test_a_configuration_may_begin_with_the_mark_that_windows_writes(copy):
    path = copy / Run.CONFIG
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert Run(copy).classes == ("background", "foreground")


def test_a_configuration_that_may_not_be_read_or_whose_name_is_too_long_is_said(copy, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"^Cannot read .*: File name too long\. Check the path and who may read it\."):
        Run(tmp_path / ("a" * 300))

    def refuse(self, *arguments, **settings):
        raise PermissionError(13, "Permission denied", str(self))

    run = Run(copy)
    reads = {"is_file": lambda: Run(copy), "read_text": lambda: Run(copy), "open": lambda: run.model_hash}
    for name, read in reads.items():
        with monkeypatch.context() as patched:
            patched.setattr(Path, name, refuse)
            with pytest.raises(InputError, match=r"^Cannot read .*run/\w+\.\w+: Permission denied\. Check the path"):
                read()


def test_a_person_may_say_how_objects_are_cut_whatever_the_masks(copy):
    edited(Run.CONFIG, 'kind = "binary"', 'kind = "binary"\nneck = 1.5\nsmallest = 4\nfilled = true')(copy)
    masks = Run(copy).masks
    assert (masks.kind, masks.neck, masks.smallest, masks.filled) == ("binary", 1.5, 4, True)


def test_a_border_of_binary_masks_is_refused_as_what_it_is(copy):
    edited(Run.CONFIG, 'kind = "binary"', 'kind = "binary"\nborder = 2')(copy)
    with pytest.raises(InputError, match=r"Only masks of object ids \(--masks instance\) have a border of 2 px"):
        Run(copy)


def test_a_folder_without_a_configuration_is_no_run(copy):
    (copy / Run.CONFIG).unlink()
    with pytest.raises(InputError, match=r"is no run: it has no config\.toml"):
        Run(copy)
    (copy / Run.CONFIG).mkdir()
    with pytest.raises(InputError, match=r"is no run: it has no config\.toml"):
        Run(copy)


TABLES = [
    (Run.FILES, filled(Run.FILES, BINARY), r"files\.csv is damaged"),
    (Run.FILES, filled(Run.FILES, b""), r"files\.csv is damaged: it has no column split"),
    (Run.FILES, edited(Run.FILES, "label_sha256", "label"), r"files\.csv is damaged: it has no column label_sha256"),
    (
        Run.FILES,
        edited(Run.FILES, "train,cells_000", "train;cells_000"),
        r"files\.csv is damaged: line 2 is no full row",
    ),
    (Run.FILES, lambda folder: (folder / Run.FILES).unlink(), r"files\.csv is missing"),
    (Run.HISTORY, filled(Run.HISTORY, BINARY), r"history\.csv is damaged"),
    (Run.HISTORY, filled(Run.HISTORY, b""), r"history\.csv is damaged: it has no column epoch"),
    (Run.HISTORY, edited(Run.HISTORY, "val_loss", "vol_loss"), r"history\.csv is damaged: it has no column val_loss"),
    (Run.HISTORY, edited(Run.HISTORY, "0.789", "x.789"), r"history\.csv is damaged: .*could not convert"),
    (Run.HISTORY, edited(Run.HISTORY, ",3.0,1", ""), r"history\.csv is damaged: line 2 is no full row"),
    (Run.HISTORY, lambda folder: (folder / Run.HISTORY).unlink() or (folder / Run.HISTORY).mkdir(), r"is damaged"),
]


@pytest.mark.parametrize(("name", "damage", "message"), TABLES)
def test_a_damaged_table_is_named(copy, name, damage, message):
    damage(copy)
    run = Run(copy)
    with pytest.raises(InputError, match=message) as raised:
        run.history() if name == Run.HISTORY else run.files("train")
    assert raised.value.file == copy / name


def test_a_run_without_an_epoch_has_no_history(copy):
    (copy / Run.HISTORY).unlink()
    assert Run(copy).history() == []


@pytest.mark.parametrize(
    "damage",
    [
        filled(Run.BEST, b""),
        filled(Run.BEST, BINARY),
        lambda folder: (folder / Run.BEST).write_bytes((folder / Run.BEST).read_bytes()[:1000]),
        lambda folder: (folder / Run.BEST).write_bytes((folder / Run.BEST).read_bytes()[1000:]),
        lambda folder: (folder / Run.BEST).unlink(),
        edited(Run.CONFIG, "depth = 1", "depth = 2"),  # not the net of the run
    ],
)
def test_a_damaged_net_is_named(copy, damage):
    damage(copy)
    with pytest.raises(InputError, match=r"best\.keras"):
        unet_tf.predict(copy, np.zeros((40, 30), np.uint8))


@pytest.mark.parametrize("damage", [CONFIGS[1], CONFIGS[9], TABLES[0][1], TABLES[5][1]])
def test_no_verb_meets_a_damaged_run_with_another_error(copy, cells, damage):
    damage(copy)
    for call in (lambda: unet_tf.resume(copy, cells), lambda: unet_tf.evaluate(copy, cells)):
        with pytest.raises(InputError):
            call()


def test_a_setting_that_is_no_more_is_told_where_it_did_something(copy):
    assert Run(copy).removed == {}
    edited(Run.CONFIG, "noise = 0.0", "noise = 0.1\nclip_norm = 1.0")(copy)
    assert Run(copy).removed == {"noise": 0.1, "clip_norm": 1.0}


def test_a_run_keeps_how_its_files_pair(copy, tmp_path):
    from unet_tf.evaluation.choosing import choose_files
    from unet_tf.evaluation.opening import subject_of

    edited(Run.CONFIG, "mask_tolerance", 'mask_suffix = "_2ndHO"\nmask_tolerance')(copy)
    for name in ("a.png", "a_1stHO.png", "a_2ndHO.png"):
        (tmp_path / name).write_bytes(b"x")
    run = Run(copy)
    (pair,) = choose_files(subject_of(run, tmp_path, {}), tmp_path, "all", str).pairs
    assert (run.config.mask_suffix, pair.mask.name) == ("_2ndHO", "a_2ndHO.png")
    said = subject_of(run, tmp_path, {"mask_suffix": "_1stHO"})
    (pair,) = choose_files(said, tmp_path, "all", str).pairs
    assert pair.mask.name == "a_1stHO.png"
    with pytest.raises(InputError, match="Files are paired by images_dir, masks_dir, mask_prefix, mask_suffix; rec"):
        unet_tf.evaluate(run, tmp_path, suffix="_1stHO")


def test_whatever_takes_a_path_takes_a_run():
    run = Run(SAVED)
    assert (Path(run), Run(run).path, (run.path / Run.BEST).is_file()) == (SAVED, SAVED, True)
    assert [TrainConfig(start_from=one).start_from for one in (run, SAVED, str(SAVED))] == [str(SAVED)] * 3
