"""What a person may say of a run, and what is refused."""

import math
import subprocess
import sys
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest

from unet_tf import TrainConfig
from unet_tf.config import PRESETS, REMOVED, changed, preset_settings, read_config
from unet_tf.errors import InputError


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("epochs", np.int64(3), 3),
        ("epochs", np.uint8(3), 3),
        ("minutes", np.float32(0.5), 0.5),
        ("minutes", np.int16(2), 2.0),
        ("minutes", Fraction(1, 2), 0.5),
        ("learning_rate", np.float64(0.5), 0.5),
        ("flips", np.bool_(False), False),
        ("optimizer", np.str_("sgd"), "sgd"),
        ("classes", (np.str_("a"), "b"), ("a", "b")),
        ("minutes", 5, 5.0),
    ],
)
def test_values_of_numpy_are_taken_and_stored_as_pythons_own(name, value, plain):
    found = getattr(TrainConfig(**{name: value}), name)
    assert found == plain
    assert type(found) is type(plain)
    if isinstance(plain, tuple):
        assert [type(one) for one in found] == [str, str]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 1.5}, "epochs must be a whole number or not set; received 1.5"),
        ({"epochs": np.float64(3)}, r"epochs must be a whole number or not set; received np.float64\(3.0\)"),
        ({"epochs": True}, "epochs must be a whole number or not set; received True"),
        ({"epochs": np.bool_(True)}, "epochs must be a whole number or not set; received np.True_"),
        ({"minutes": True}, "minutes must be a number or not set; received True"),
        ({"minutes": 10**400}, "minutes must be a number or not set; received 1000"),
        ({"minutes": np.array([1.0])}, "minutes must be a number or not set; received array"),
        ({"minutes": 1j}, "minutes must be a number or not set; received 1j"),
        ({"tile": "44"}, "tile must be a whole number or not set; received '44'"),
        ({"flips": 1}, "flips must be true or false; received 1"),
        ({"flips": None}, "flips must be true or false; received None"),
        ({"classes": ("a", 1)}, "classes must be a tuple of texts or not set"),
        ({"classes": ("a", "a")}, "classes must be 2 to 254 different names"),
        ({"classes": ("a", "")}, "classes must be 2 to 254 different names"),
        ({"elastic": math.inf}, "elastic must be a finite number; received inf"),
        ({"minutes": math.nan}, "minutes must be a finite number; received nan"),
        ({"elastic": -1}, "elastic must be 0 or more; received -1"),
        ({"scale": 0.99}, r"scale must be in \[0, 0.9\]; received 0.99"),
        ({"learning_rate": 0}, "learning_rate must be above 0; received 0"),
        ({"minutes": -1}, "minutes must be above 0; received -1"),
        ({"dropout": 2}, r"dropout must be a rate in \[0, 1\); received 2"),
        ({"precision": "float8"}, "precision must be one of auto, float32, bfloat16, float16; received 'float8'"),
        ({"seed": -1}, "seed must be in"),
        ({"split_seed": -1}, "split_seed must be in"),
        ({"depth": 1, "padding": "valid", "tile": 571}, "Input 571 is not a legal tile size"),
    ],
)
def test_bad_values_are_refused_with_the_rule_and_what_was_received(settings, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_filter": 3}, "no setting 'base_filter'; nearest: base_filters"),
        ({"classes": 2.5}, "classes must be their number, or their names; received 2.5"),
        ({"classes": True}, "classes must be their number, or their names; received True"),
        ({"void": (0, 0, 255)}, r'received \[0, 0, 255\]\. A colour is one text, "0,0,255", or a list in the list\.'),
        ({"void": 1.5}, "void must be a class, a mask value or a colour.*; received 1.5"),
        *(({name: 0.5}, f"no setting {name!r}") for name in REMOVED),
    ],
)
def test_bad_changes_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        changed(None, settings)


def test_classes_and_void_may_be_said_in_several_ways():
    found = TrainConfig(classes=np.int64(2), void=np.int64(7))
    assert (found.classes, found.void) == (("background", "foreground"), ("7",))
    found = changed(TrainConfig(seed=3), {"classes": "a,b", "void": [1, "sea"]})
    assert (found.classes, found.void, found.seed) == (("a", "b"), ("1", "sea"), 3)
    assert TrainConfig(classes=["a", "b"], void=(255,)) == TrainConfig(classes=("a", "b"), void=("255",))
    assert TrainConfig(void=[(0, 0, 0), "sea"]).void == ("0,0,0", "sea")


def test_settings_come_from_presets_and_files(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('preset = "paper"\ntile = 476\nclasses = ["a", "b"]\n')
    settings = read_config(path)
    assert settings == PRESETS["paper"] | {"tile": 476, "classes": ["a", "b"]}
    assert TrainConfig(**settings).classes == ("a", "b")
    config = TrainConfig(**settings)
    assert (config.padding, config.optimizer, config.batch_norm, config.border_weight) == ("valid", "sgd", False, 10.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[train]\nepocs = 3\n", "no setting 'epocs'; nearest: epochs"),
        (b"epochs = ", r"Settings must be a TOML file.*settings\.toml"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", r"Settings must be a TOML file.*settings\.toml"),
        (b"train = 3", "train must be a table of settings; received 3"),
        (b'preset = ["paper"]', "A preset must be one of"),
        (b"gamma = 0.2", "no setting 'gamma'"),
        (b'command = "x"\npreset = "paper"\nepocs = 3\n[train]\n[plan]\n', "received preset, epocs outside of it"),
        (b"[train]\nepochs = 3\n[data]\nclasses = 3\n", "received data outside of it"),
        (b"[train]\nepochs = 3\n[Train]\nseed = 3\n", "received Train outside of it"),
        (b"[data]\nclasses = 3\n", "no setting 'data'"),
    ],
)
def test_a_bad_file_of_settings_is_refused(tmp_path, content, message):
    (tmp_path / "settings.toml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "settings.toml")


def test_a_file_of_settings_may_be_that_of_a_run(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        'command = "x"\n[train]\nepochs = 3\n[plan]\ndepth = 4\n[masks]\nkind = "binary"\n[channels]\ncontext = 0\n'
    )
    assert read_config(path) == {"epochs": 3}


def test_settings_that_are_no_more_are_ignored_where_they_did_nothing(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("gamma = 0.0\nnoise = 0.0\nvoid_outside = false\nepochs = 3\n")
    assert read_config(path) == {"epochs": 3}


def test_a_file_of_settings_may_begin_with_the_mark_that_windows_writes(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("epochs = 3\n", encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert read_config(path) == {"epochs": 3}


def test_a_preset_that_is_none_is_named():
    with pytest.raises(InputError, match="A preset must be one of default, paper; received 'papper'"):
        preset_settings("papper")


@pytest.mark.parametrize("name", [field.name for field in fields(TrainConfig)])
def test_every_setting_is_described(name):
    words = next(field.metadata["words"] for field in fields(TrainConfig) if field.name == name)
    assert words
    assert f"{name}: {words}.\n" in TrainConfig.__doc__


def test_help_has_its_texts_where_docstrings_are_stripped():
    code = "import sys; sys.argv = ['unet-tf', 'train', '--help']\nfrom unet_tf.cli.commands import main\nmain()"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "number of poolings" in done.stdout.lower()
