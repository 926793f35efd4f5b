"""Options of the command line are the fields of `TrainConfig`."""

from dataclasses import fields

import pytest
import typer

from unet_tf import TrainConfig
from unet_tf.cli.commands import app
from unet_tf.cli.options import PANELS, SETTINGS, with_settings

TRAIN = {parameter.name: parameter for parameter in typer.main.get_command(app).commands["train"].params}


def test_every_setting_of_train_is_one_of_the_config():
    own = {"data", "out", "resume", "config", "preset", "tensorboard", "help"}
    assert TRAIN.keys() - own == {field.name for field in fields(TrainConfig)}
    assert len(SETTINGS) == len(set(SETTINGS)) == len(fields(TrainConfig))


@pytest.mark.parametrize("field", fields(TrainConfig), ids=lambda field: field.name)
def test_an_option_says_what_the_config_says(field):
    assert TRAIN[field.name].help.lower() == f"{field.metadata['words']}.".lower()
    assert TRAIN[field.name].rich_help_panel in PANELS


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("flips", "yes"),
        ("tile", "by the data"),
        ("threshold", "by the data"),
        ("minutes", "15 without --epochs"),
        ("void", "none"),
        ("seed", "0"),
    ],
)
def test_defaults_are_shown_in_words(name, shown):
    assert TRAIN[name].show_default == shown


def test_options_that_are_given_arrive_as_settings_and_the_others_do_not():
    arrived = []

    @with_settings("tile", "void", "flips")
    def command(settings: dict):
        arrived.append(settings)

    command(tile=None, void=[], flips=False)
    command(tile=0, void=["sea"], flips=None)
    assert arrived == [{"flips": False}, {"tile": 0, "void": ["sea"]}]
