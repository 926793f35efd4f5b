import math
import tomllib

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf import Run, TrainConfig, train
from unet_tf.config import PRESETS
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.plan import Plan
from unet_tf.planning import plan as planning
from unet_tf.planning.plan import (
    Choice,
    Work,
    check_memory,
    choose,
    make_plan,
    memory_needed,
    object_size,
    plan_border,
    plan_course,
    plan_flips,
    plan_sampling,
    plan_sizes,
    plan_threshold,
)
from unet_tf.training.compile import fastest_precision, instructions
from unet_tf.utils.signals import Stopped


def sizes(shapes, object_size=0.0, **settings):
    return plan_sizes(TrainConfig(**settings), shapes, object_size)


def values(choices):
    return tuple(one.value for one in choices)


def scenes(count, above):
    """Labels of 40 x 30 px: class 1 in so many random rows of the upper half and as many fewer of the lower one."""
    rng = np.random.default_rng(0)
    labels = np.zeros((count, 40, 30), np.uint8)
    for label in labels:
        label[rng.permutation(20)[: rng.integers(above - 2, above + 1)]] = 1
        label[20 + rng.permutation(20)[: 20 - above]] = 1
    return list(labels)


def flips(labels, classes=("street", "sky"), parts=None, **said):
    return plan_flips(TrainConfig(**said), labels, classes, range(len(labels)) if parts is None else parts)


def test_pictures_with_a_class_above_all_others_are_upright():
    assert flips(scenes(6, 18)) == Choice(True, "89% of sky lies in the upper half of the pictures: they have an up")
    turned = [label[::-1] for label in scenes(6, 18)]
    assert "lower half" in flips(turned).reason


@pytest.mark.parametrize(("count", "above"), [(5, 18), (12, 11)], ids=["too few", "about as often below"])
def test_pictures_that_tell_of_no_up_are_not_upright(count, above):
    assert not flips(scenes(count, above)).value


def test_pictures_whose_classes_lie_now_here_now_there_are_not_upright():
    labels = scenes(12, 18)
    labels[::2] = [label[::-1] for label in labels[::2]]
    assert not flips(labels).value
    assert flips(labels, upright=True) == Choice(True)


def test_pages_of_one_stack_count_as_one_picture():
    labels = scenes(12, 18)
    assert not flips(labels, parts=[0] * 12).value
    assert not flips(labels, parts=[0, 1, 2, 3, *[4] * 8]).value  # too few
    assert flips(labels, parts=[0, 1, 2, 3, 4, 5] * 2).value
    labels[:6] = [label[::-1] for label in labels[:6]]
    assert not flips(labels, parts=[0, 1, 2, 3, 4, 5] * 2).value  # each has as much above as below


def test_of_many_classes_one_must_tell_more_surely_where_up_is():
    labels = [np.zeros((40, 30), np.uint8) for _ in range(6)]
    for label, above in zip(labels, (13, 14, 15, 16, 17, 18), strict=True):  # a mean of 0.775, and 7.2 times its error
        label[:above], label[20 : 40 - above] = 1, 1
    assert [flips(labels, tuple(map(str, range(count)))).value for count in (2, 3, 40)] == [True, True, False]


@pytest.mark.parametrize("side", [1023, 1024, 3000])
def test_of_large_labels_every_nth_pixel_is_looked_at(side, monkeypatch):
    seen, transform = [], planning.cv2.distanceTransform
    monkeypatch.setattr(
        planning.cv2, "distanceTransform", lambda region, *way: seen.append(region.shape) or transform(region, *way)
    )
    label = np.zeros((side, side + 500), np.uint8)
    label[100:700, 100:900] = 1
    assert object_size([label], 2) == pytest.approx(600, rel=0.05)
    assert max(seen)[0] <= 1502
    line = np.zeros_like(label)
    line[:, 300:303] = 1
    assert object_size([line], 2) <= 5
    assert flips([label] * 6).reason.startswith("100% of sky lies in the upper half") == (side == 3000)


def test_what_is_said_is_not_measured(monkeypatch):
    monkeypatch.setattr(planning, "_coarse", lambda label: pytest.fail("measured"))
    assert flips(scenes(12, 18), upright=False) == Choice(False)


def test_sizes_of_large_images():
    found = sizes([(512, 512), (600, 2000)], object_size=30)
    assert values(found) == ("same", 4, 256, 4)
    shown = "three quarters of the tiles lie in images with 600 px or more along their shorter side"
    assert [one.reason for one in found[2:]] == [
        f"its output of 256 px is the largest of 256 px at most that fits into the images: {shown}",
        "tiles of 256x256 px that carry loss, 1 to 32: as near to 262144 px a step as goes",
    ]
    assert found.depth.reason == "objects are up to 30 px across, and depth 4 sees 112 px to each side"


def test_small_images_get_a_shallower_net_and_more_tiles_a_step():
    assert values(sizes([(60, 80)]))[1:] == (2, 60, 32)
    assert sizes([(1, 7)]).depth.value == 0


def test_wide_objects_get_a_deeper_net():
    assert sizes([(512, 512)], object_size=300).depth.value == 5
    assert sizes([(128, 128)], object_size=300).depth.value == 4  # 8 px at the bottom


@pytest.mark.parametrize(("padding", "legal", "tile"), [("same", 384, 400), ("valid", 572, 556)])
def test_a_tile_that_a_deeper_net_does_not_take_gets_the_usual_one(padding, legal, tile):
    assert sizes([(600, 600)], 400, padding=padding, tile=legal).depth.value == 5
    found = sizes([(600, 600)], 400, padding=padding, tile=tile)
    assert (found.depth.value, found.tile) == (4, Choice(tile))
    assert found.depth.reason.endswith(f"; a tile of {tile} px is not legal at depth 5")
    for shapes, size in (([(600, 600)], 20), ([(200, 200)], 400)):  # where it does not decide, it is no reason
        assert "legal" not in sizes(shapes, size, padding=padding, tile=tile).depth.reason


def test_one_small_image_among_many_does_not_decide():
    assert values(sizes([(1000, 1000)] * 3 + [(20, 1000)]))[1:] == (4, 256, 4)


@pytest.mark.parametrize(
    ("shapes", "side"),
    [
        ([(64, 64)] * 30 + [(1024, 1024)] * 70, 1024),
        ([(64, 64)] * 30 + [(1024, 1024)] * 7, 1024),  # a tile each, and 16
        ([(64, 64)] * 70 + [(1024, 1024)], 64),
        ([(64, 64)] * 5 + [(1024, 1024)], 1024),
        ([(100, 100), (200, 50), (80, 125), (40, 250)], 50),  # as many pixels each: one of four may be smaller
        ([(300, 500)] * 7, 300),
    ],
)
def test_the_tiles_and_not_the_number_of_images_say_which_side_is_usual(shapes, side):
    assert planning.usual_side(shapes) == side
    assert planning.usual_side(shapes[::-1]) == side


def test_what_is_given_stays_and_has_no_reason():
    found = sizes([(512, 512)], padding="valid", depth=3, batch_size=7)
    assert values(found) == ("valid", 3, 476, 7)
    assert [bool(one.reason) for one in found] == [False, False, True, False]
    assert choose("auto", "binary", "why") == Choice("binary", "why")


def test_what_is_given_as_zero_stays():
    assert plan_sampling(TrainConfig(rare_share=0.0), np.array([995, 5]), ("a", "b")) == Choice(0.0)
    assert sizes([(512, 512)], depth=0).depth == Choice(0)


@pytest.mark.parametrize(
    ("shares", "held_out", "said", "threshold"),
    [
        ((95, 5), (9, 1), None, 0.5),
        ((951, 49), (9, 1), None, "best"),
        ((951, 49), None, None, 0.5),
        ((951, 49), (9, 0), None, 0.5),  # on which none can be chosen
        ((49, 951), (9, 1), None, 0.5),  # what is rare is the background
        ((951, 49), (9, 0), 0.4, 0.4),
        ((951, 40, 9), (9, 1, 0), None, 0.5),
    ],
)
def test_two_classes_part_where_the_validation_files_say_if_class_1_is_rare(shares, held_out, said, threshold):
    found = plan_threshold(
        TrainConfig(threshold=said), np.array(shares), ("rest", "crack", "pot")[: len(shares)],
        None if held_out is None else np.array(held_out),
    )  # fmt: skip
    assert found.value == threshold
    assert bool(found.reason) == (said is None)


def course(seconds_left, seconds, one_pass=7, tiles=0, **settings):
    work = Work(one_pass, step_pixels=100, tiles=tiles, tile_pixels=50 * tiles)
    return plan_course(TrainConfig(**settings), work, seconds_left, seconds)


def test_an_epoch_of_a_long_run_takes_ten_minutes():
    assert course(36 * 3600.0, lambda width: 0.5, minutes=1, base_filters=16).steps_per_epoch.value == 1200


@pytest.mark.parametrize(("hours", "epochs"), [(1, 8), (36, 216)])
def test_an_epoch_of_a_long_run_takes_ten_minutes_though_validation_is_dear(hours, epochs):
    found = course(hours * 3600.0, lambda width: 0.5, minutes=1, base_filters=16, tiles=10**7)
    takes = planning.VALIDATION_COST * 50 / 100 * found.val_tiles.value  # in steps
    assert (found.steps_per_epoch.value + takes) * 0.5 == pytest.approx(hours * 3600 / epochs, rel=0.01)
    assert takes / (found.steps_per_epoch.value + takes) <= planning.VALIDATION_SHARE


def test_a_width_that_the_memory_does_not_hold_is_not_taken():
    def seconds(width):
        if width > 16:
            raise InputError("too much")
        return 0.01

    assert course(3600.0, seconds, minutes=1).base_filters == Choice(
        16,
        "it makes about 360000 steps in the time that is left, and the memory does not hold 32; measured 0.01 s a step "
        "at 16",
    )


def test_the_narrowest_net_that_the_memory_does_not_hold_is_an_error():
    def seconds(width):
        raise InputError("too much")

    with pytest.raises(InputError, match="too much"):
        course(3600.0, seconds, minutes=1)


def test_the_width_is_the_widest_that_makes_enough_steps():
    asked = []

    def seconds(width):
        asked.append(width)
        return {16: 0.2, 32: 0.5, 64: 1.6}[width]

    def width(seconds_left):
        asked.clear()
        return values(course(seconds_left, seconds, minutes=1))

    few = planning.ENOUGH_STEPS
    assert width(0.3 * few) == (16, round(0.3 * few / 20 / 0.2), 0)
    assert asked == [16]  # twice 0.2 s is too much already
    assert course(60.0, seconds, minutes=1).base_filters.reason == (
        "it makes about 300 steps in the time that is left, and 32 would make fewer than the 1200 that a wider net "
        "needs to be the better one; measured 0.20 s a step at 16"
    )
    assert "and no wider one is tried; measured" in course(2000.0, seconds, minutes=1).base_filters.reason
    assert width(0.5 * few) == (32, round(few / 20), 0)
    assert width(1.59 * few)[0] == 32
    assert width(1.6 * few)[0] == 64
    assert asked == [16, 32, 64]


@pytest.mark.parametrize(("tiles", "epochs"), [(10, 20), (100, 20), (600, 8), (10_000, 8)])
def test_validation_takes_a_twentieth_of_the_time_at_most(tiles, epochs):
    found = course(1200.0, lambda width: 0.1, minutes=1, base_filters=16, tiles=tiles)
    takes = planning.VALIDATION_COST * 50 / 100 * found.val_tiles.value  # in steps
    assert takes / (found.steps_per_epoch.value + takes) <= planning.VALIDATION_SHARE
    assert (found.val_tiles.value == tiles) == (tiles <= 100)
    assert 12_000 / (found.steps_per_epoch.value + takes) == pytest.approx(epochs, rel=0.01)


@pytest.mark.parametrize(
    ("tiles", "said", "epochs"), [(10_000, 600, 8), (10_000, 10_000, 4), (10_000, 10**9, 4), (10**6, 10**6, 1)]
)
def test_a_run_that_is_told_many_tiles_of_validation_learns_for_half_of_its_time_at_least(tiles, said, epochs):
    found = course(1200.0, lambda width: 0.1, minutes=1, base_filters=16, tiles=tiles, val_tiles=said)
    takes, steps = planning.VALIDATION_COST * 50 / 100 * min(said, tiles), found.steps_per_epoch.value
    assert found.val_tiles == Choice(said)
    assert found.steps_per_epoch.reason.startswith(f"about {epochs} validations")
    assert steps >= min(takes, 12_000 / 2)
    assert steps + takes == pytest.approx(12_000 / epochs) or steps == 6000


def test_more_tiles_of_validation_than_there_are_are_all():
    arguments = {"minutes": 1, "base_filters": 16, "tiles": 100}
    found = course(1200.0, lambda width: 0.1, **arguments, val_tiles=10**9)
    assert found.steps_per_epoch == course(1200.0, lambda width: 0.1, **arguments).steps_per_epoch


def test_validation_of_a_few_long_epochs_takes_no_more():
    found = course(math.inf, pytest.fail, epochs=1, steps_per_epoch=100, tiles=1000)
    assert found.val_tiles.value == int(planning.VALIDATION_SHARE * 100 / (planning.VALIDATION_COST * 0.5))
    assert found.val_tiles.reason.startswith("of 1000, always the same ones: to look at all would take about 150% ")
    assert course(math.inf, pytest.fail, epochs=1, val_tiles=7, tiles=1000).val_tiles == Choice(7)
    assert course(math.inf, pytest.fail, epochs=1).val_tiles == Choice(0, "none is held out")
    with pytest.raises(InputError, match="look at a tile at least; received val_tiles 0"):
        course(math.inf, pytest.fail, epochs=1, val_tiles=0, tiles=1000)
    assert course(math.inf, pytest.fail, epochs=1, val_tiles=0, tiles=0).val_tiles == Choice(0)


def test_without_a_limit_of_time_nothing_is_measured():
    found = course(math.inf, lambda width: pytest.fail("measured"), one_pass=100, epochs=1)
    assert values(found) == (32, 100, 0)
    assert course(math.inf, pytest.fail, epochs=1).steps_per_epoch.value == planning.FEWEST_STEPS


def test_rare_classes_are_looked_for():
    found = plan_sampling(TrainConfig(), np.array([995, 5]), ("a", "b"))
    assert found == (planning.RARE_SHARE, "the rarest class, b, has 0.50% of the pixels")


@pytest.mark.parametrize(
    ("masks", "said", "border", "reason"),
    [
        (MaskFormat("instance", 3, border=1), {}, 1, "separated by borders"),
        (MaskFormat("instance", 3, border=2), {"border_class": 2}, 2, ""),
        (MaskFormat("instance"), {}, 0, "no background, or objects with less inside than border"),
        (MaskFormat("instance"), {"border_weight": 0.0}, 0, "is of two classes"),
        (MaskFormat("instance"), {"threshold": 0.4}, 0, "is of two classes"),
        (MaskFormat("binary"), {}, 0, ""),
    ],
)
def test_the_rim_of_objects_is_a_class_where_masks_tell_them_apart(masks, said, border, reason):
    found = plan_border(TrainConfig(**said), masks)
    assert found.value == border
    assert reason in found.reason
    assert bool(found.reason) == bool(reason)


def test_the_size_of_objects_is_the_thickness_of_the_thickest():
    disc = (np.hypot(*np.mgrid[-30:31, -30:31]) <= 20).astype(np.uint8)
    line = np.zeros((61, 61), np.uint8)
    line[:, 30:33] = 1
    assert object_size([disc], 2) == pytest.approx(41, abs=3)
    assert object_size([line], 2) == pytest.approx(4, abs=0.5)
    assert object_size([line, disc, disc * 2], 3) == pytest.approx(41, abs=3)


WHOLE = {
    "classes": ("a", "b"), "masks": "binary", "base_filters": 16, "depth": 4, "padding": "same", "tile": 256,
    "batch_size": 4, "precision": "float32", "epochs": 1, "steps_per_epoch": 2, "rare_share": 0.0, "border_weight": 0.0,
    "border_class": 0, "threshold": 0.5,
    "loss": "crossentropy", "learning_rate": 1e-3, "val_tiles": 1, "val_share": 0.2, "upright": False,
}  # fmt: skip


def test_a_plan_holds_every_value_and_the_reasons_of_those_that_were_chosen():
    said = {name: value for name, value in WHOLE.items() if name not in ("tile", "masks")}
    plan = make_plan(TrainConfig(**said), {"tile": Choice(256, "for this"), "masks": Choice("binary")})
    assert None not in vars(plan).values()
    assert (plan.tile, plan.minutes, plan.patience, plan.group, plan.start_from) == (256, math.inf, math.inf, "", "")
    assert plan.reasons == {"tile": "for this"}
    assert plan.config == TrainConfig(**WHOLE)
    assert Plan.of(plan.config, plan.reasons) == plan


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "epochs"])
def test_a_plan_with_something_open_is_refused(name):
    said = {key: value for key, value in WHOLE.items() if key != name}
    with pytest.raises(InputError, match=f"A plan must hold every value; these are open: {name}"):
        Plan.of(TrainConfig(**said), {})


def test_names_may_be_auto():
    named = dict.fromkeys(("images_dir", "masks_dir", "mask_prefix", "mask_suffix", "group", "start_from"), "auto")
    assert Plan.of(TrainConfig(**WHOLE | named), {}).masks_dir == "auto"


def test_a_plan_without_an_end_is_refused():
    with pytest.raises(InputError, match="must come to an end"):
        Plan.of(TrainConfig(**WHOLE | {"epochs": None}), {})


def test_memory_is_checked_before_the_start(cells, tmp_path, monkeypatch):
    small = Plan.of(TrainConfig(**WHOLE), {})
    assert memory_needed(small, 1) < 2e9
    with pytest.raises(InputError, match="takes about .* GB for 4 tiles of 256 px and 16 base filters .*Lower --batch"):
        check_memory(small, 1, free=int(1e8))
    monkeypatch.setattr("unet_tf.training.train.free_memory", lambda: 1000)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one that is hidden"])
    with pytest.raises(InputError, match="A training step must fit into the free memory"):
        train(cells, tmp_path / "run", epochs=1, precision="float32")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("known", "expected", "reason"),
    [
        ("avx2 avx512f avx512_bf16 amx_bf16", "bfloat16", "this processor has AMX instructions for bfloat16"),
        ("sse2 avx2 avx512f", "float32", "this processor has no instructions for bfloat16"),
    ],
)
def test_instructions_decide_the_precision_and_nothing_is_measured(monkeypatch, known, expected, reason):
    monkeypatch.setattr("unet_tf.training.compile.instructions", lambda: frozenset(known.split()))
    monkeypatch.setattr("unet_tf.training.compile._bfloat16_gain", lambda: pytest.fail("measured"))
    assert fastest_precision() == (expected, reason)


def test_a_gpu_that_is_hidden_does_not_decide_the_precision(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one that is hidden"])
    monkeypatch.setattr("unet_tf.training.compile.instructions", lambda: frozenset({"amx_bf16"}))
    assert fastest_precision() == ("bfloat16", "this processor has AMX instructions for bfloat16")


@pytest.mark.parametrize("known", ["avx512f avx512_bf16", ""])
def test_a_measurement_decides_where_instructions_do_not_and_needs_a_margin(monkeypatch, known):
    monkeypatch.setattr("unet_tf.training.compile.instructions", lambda: frozenset(known.split()))
    for gain, expected in ((0.5, "float32"), (1.2, "float32"), (1.3, "bfloat16")):
        monkeypatch.setattr("unet_tf.training.compile._bfloat16_gain", lambda gain=gain: gain)
        precision, reason = fastest_precision()
        assert precision == expected
        assert reason == (
            f"measured here, a convolution takes {1 / gain:.1%} of the time in bfloat16 that it takes in float32; at "
            "80% or less bfloat16 is chosen"
        )


def test_instructions_are_those_that_the_system_lists(tmp_path):
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert instructions(listing) == {"fpu", "avx2", "amx_bf16"}
    assert instructions(tmp_path / "none") == frozenset()


def test_a_run_that_plans_itself_stores_every_value_and_why(cells, tmp_path):
    def stop(logs):
        raise Stopped

    begun = keras.callbacks.LambdaCallback(on_train_begin=stop)
    with pytest.raises(Stopped):
        train(cells, tmp_path / "run", callbacks=[begun], epochs=1, steps_per_epoch=1, base_filters=2)
    run = Run(tmp_path / "run")
    stored = tomllib.loads((run.path / "config.toml").read_text())
    assert stored["train"]["masks"] == "binary"
    assert stored["plan"] == run.plan.reasons
    assert stored["plan"].keys() == {
        "border_weight", "rare_share", "padding", "depth", "tile", "batch_size", "precision", "loss", "learning_rate",
        "val_tiles", "val_share", "upright", "threshold",
    }  # fmt: skip
    assert "tile = 96: its output of 96 px is the largest" in (run.path / "log.txt").read_text()


def test_the_paper_leaves_the_net_no_choice():
    found = plan_sizes(TrainConfig(**PRESETS["paper"]), [(512, 512)], 0.0)
    assert values(found) == ("valid", 4, 572, 1)
