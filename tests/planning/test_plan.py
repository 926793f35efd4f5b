import math
import tomllib

import numpy as np
import pytest

from unet_tf import TrainConfig, train
from unet_tf.config import PRESETS, preset_settings, read_config
from unet_tf.errors import InputError
from unet_tf.planning import plan as planning
from unet_tf.planning.plan import Plan, check_memory, memory_needed, object_size, plan_sampling, plan_sizes, plan_speed
from unet_tf.training.compile import fastest_precision, step_seconds


def sizes(shapes, object_size=0.0, **settings):
    plan = Plan(TrainConfig(**settings))
    plan_sizes(plan, shapes, object_size)
    return plan


def test_sizes_of_large_images():
    plan = sizes([(512, 512), (600, 2000)], object_size=30)
    config = plan.config
    assert (config.padding, config.depth, config.tile, config.batch_size) == ("same", 4, 256, 4)
    assert set(plan.reasons) == {"padding", "depth", "tile", "batch_size"}


def test_small_images_get_a_shallower_net_and_more_tiles_a_step():
    config = sizes([(60, 80)]).config
    assert (config.depth, config.tile, config.batch_size) == (2, 60, 32)
    assert sizes([(1, 7)]).config.depth == 0


def test_wide_objects_get_a_deeper_net():
    assert sizes([(512, 512)], object_size=300).config.depth == 5
    assert sizes([(128, 128)], object_size=300).config.depth == 4  # 8 px at the bottom


def test_one_small_image_among_many_does_not_decide():
    config = sizes([(1000, 1000)] * 3 + [(20, 1000)]).config
    assert (config.depth, config.tile, config.batch_size) == (4, 256, 4)


def test_an_epoch_of_a_long_run_takes_ten_minutes():
    plan = Plan(TrainConfig(minutes=1, base_filters=16))
    plan_speed(plan, 36 * 3600.0, lambda config: 0.5)
    assert plan.config.steps_per_epoch == 1200


def test_a_width_that_the_memory_does_not_hold_is_not_taken():
    def seconds(config):
        if config.base_filters > 16:
            raise InputError("too much")
        return 0.01

    plan = Plan(TrainConfig(minutes=1))
    plan_speed(plan, 3600.0, seconds)
    assert plan.config.base_filters == 16


def test_what_is_given_stays():
    plan = sizes([(512, 512)], padding="valid", depth=3, batch_size=7)
    assert (plan.config.tile, plan.config.batch_size) == (476, 7)
    assert set(plan.reasons) == {"tile"}


def test_the_width_is_the_widest_that_makes_enough_steps():
    asked = []

    def seconds(config):
        asked.append(config.base_filters)
        return {16: 0.2, 32: 0.5, 64: 1.6}[config.base_filters]

    def width(seconds_left):
        asked.clear()
        plan = Plan(TrainConfig(minutes=1))
        plan_speed(plan, seconds_left, seconds)
        return plan.config.base_filters, plan.config.steps_per_epoch

    few = planning.ENOUGH_STEPS
    assert width(0.3 * few) == (16, round(0.3 * few / 20 / 0.2))
    assert asked == [16]  # twice 0.2 s is too much already
    assert width(0.5 * few) == (32, round(few / 20))
    assert width(1.59 * few)[0] == 32
    assert width(1.6 * few)[0] == 64
    assert asked == [16, 32, 64]


def test_without_a_limit_of_time_nothing_is_measured():
    plan = Plan(TrainConfig(epochs=1))
    plan_speed(plan, math.inf, lambda config: pytest.fail("measured"))
    assert plan.config.base_filters == 32


def test_rare_classes_are_looked_for():
    plan = Plan(TrainConfig(rare_share=None))
    plan_sampling(plan, np.array([995, 5]), ("a", "b"))
    assert plan.config.rare_share == planning.RARE_SHARE
    assert plan.reasons["rare_share"] == "the rarest class, b, has 0.50% of the pixels"


def test_the_size_of_objects_is_the_thickness_of_the_thickest():
    disc = (np.hypot(*np.mgrid[-30:31, -30:31]) <= 20).astype(np.uint8)
    line = np.zeros((61, 61), np.uint8)
    line[:, 30:33] = 1
    assert object_size([disc], 2) == pytest.approx(41, abs=3)
    assert object_size([line], 2) == pytest.approx(4, abs=0.5)
    assert object_size([line, disc, disc * 2], 3) == pytest.approx(41, abs=3)


def test_memory_is_checked_before_the_start(cells, tmp_path, monkeypatch):
    small = TrainConfig(base_filters=16, depth=4, padding="same", tile=256, batch_size=4, precision="float32")
    assert memory_needed(small, 1) < 2e9
    with pytest.raises(InputError, match="takes about .* GB for 4 tiles of 256 px and 16 base filters .*Lower --batch"):
        check_memory(small, 1, free=int(1e8))
    monkeypatch.setattr("unet_tf.training.train.free_memory", lambda: 1000)
    with pytest.raises(InputError, match="fits into the free memory"):
        train(cells, tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def test_precision_and_steps_are_measured_here():
    precision, reason = fastest_precision()
    assert precision in ("float32", "bfloat16")  # never float16 on a CPU
    assert "bfloat16 takes 1 /" in reason
    config = TrainConfig(
        ("a", "b"), base_filters=2, depth=1, padding="same", tile=16, batch_size=1, precision=precision
    )
    assert 1e-4 < step_seconds(config, 1) < 1


def test_a_run_that_plans_itself_stores_every_value_and_why(cells, tmp_path):
    run = train(cells, tmp_path / "run", epochs=1, steps_per_epoch=1, base_filters=2)
    stored = tomllib.loads((run.path / "config.toml").read_text())
    assert None not in (run.config.tile, run.config.depth, run.config.padding, run.config.batch_size)
    assert stored["train"]["masks"] == "binary"
    assert stored["plan"].keys() == {
        "border_weight", "rare_share", "padding", "depth", "tile", "batch_size", "precision"
    }  # fmt: skip
    assert "tile = 96: images have 96 px" in (run.path / "log.txt").read_text()


def test_settings_come_from_presets_and_files(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('preset = "paper"\ntile = 476\nclasses = ["a", "b"]\n')
    settings = read_config(path)
    assert settings == PRESETS["paper"] | {"tile": 476, "classes": ("a", "b")}
    config = TrainConfig(**settings)
    assert (config.padding, config.optimizer, config.batch_norm, config.border_weight) == ("valid", "sgd", False, 10.0)
    path.write_text("[train]\nepocs = 3\n")
    with pytest.raises(InputError, match="no setting 'epocs'; nearest: epochs"):
        read_config(path)
    path.write_text("epochs = ")
    with pytest.raises(InputError, match=r"Settings are a TOML file.*settings\.toml"):
        read_config(path)
    path.write_text('preset = ["paper"]')
    with pytest.raises(InputError, match="A preset is one of"):
        read_config(path)
    with pytest.raises(InputError, match="A preset is one of default, paper; received 'papper'"):
        preset_settings("papper")


def test_the_config_of_a_run_is_a_file_of_settings(run):
    assert TrainConfig(**read_config(run.path / "config.toml")) == run.config
