import os
import shutil
import signal
from dataclasses import FrozenInstanceError, replace

import cv2
import keras
import numpy as np
import pytest
import tifffile

from unet_tf import dataset
from unet_tf.config import TrainConfig
from unet_tf.data.layout import find_named
from unet_tf.data.pictures import write_picture
from unet_tf.data.splits import hold_out
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import MeanIoU
from unet_tf.model.losses import WeightedCrossentropy
from unet_tf.model.unet import unet
from unet_tf.planning.doctor import check
from unet_tf.planning.inspection import LEFT_OUT
from unet_tf.planning.plan import Choice
from unet_tf.planning.prepare import prepare
from unet_tf.utils.signals import Stopped, stoppable

TINY = {"depth": 1, "tile": 52, "batch_size": 2}
INSTANCES = TrainConfig(depth=1, padding="valid", masks="instance")


@pytest.fixture
def nuclei(cells, tmp_path):
    shutil.copytree(cells / "train" / "images", tmp_path / "images")
    shutil.copytree(cells / "train" / "instances", tmp_path / "labels")
    return tmp_path


def test_a_folder_is_a_dataset_for_fit(cells):
    tiles, held_out = (dataset(cells, split, border_weight=10, **TINY) for split in ("train", "val"))
    image, label, weight = next(iter(tiles))
    assert (image.shape, label.shape, weight.shape) == ((2, 52, 52, 1), (2, 36, 36), (2, 36, 36))
    assert weight.numpy().max() > 1
    assert len(tiles) == 4 * round(96 * 96 / 36**2) // 2
    model = unet((None, None, 1), 2, 2, 1)
    model.compile("adam", WeightedCrossentropy(), metrics=[MeanIoU(2)])
    history = model.fit(tiles, validation_data=held_out, epochs=2, shuffle=False, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


def test_a_dataset_says_what_it_measured(cells):
    tiles, held_out = (dataset(cells, split, **TINY) for split in ("train", "val"))
    prepared = prepare(cells, TrainConfig(**TINY))
    for one in (tiles, held_out):
        assert (one.class_names, one.normalisation) == (prepared.classes, prepared.normalisation)
        np.testing.assert_array_equal(one.class_shares, prepared.class_shares)
    assert 0 < tiles.class_shares[1] < tiles.class_shares[0]


def test_an_epoch_has_as_many_steps_as_are_asked_for(cells):
    settings = {"steps_per_epoch": 3, **TINY}
    assert len(dataset(cells, **settings)) == 3
    assert len(dataset(cells, **settings | {"steps_per_epoch": 50})) == 50  # more than one pass fills
    assert len(dataset(cells, "val", **settings)) == len(dataset(cells, "val", **TINY))


def test_images_are_normalised_as_measured_on_the_training_files(cells):
    pixels = np.concatenate([batch[0].numpy().ravel() for batch in dataset(cells, "val", padding="same", depth=1)])
    assert abs(pixels.mean()) < 1
    assert 0.5 < pixels.std() < 2


def test_validation_tiles_are_those_of_prediction_and_weighted_alike(cells):
    for split in ("val", "test"):
        tiles = dataset(cells, split, padding="same", depth=1, tile=16, border_weight=10)
        assert len(tiles) == 2  # one for each image of 96 px, whatever the training tile
        assert max(batch[2].numpy().max() for batch in tiles) > 1


def test_objects_are_measured_and_their_rims_may_be_a_class(nuclei, caplog):
    caplog.set_level("INFO", "unet_tf")
    plain, bordered = (
        prepare(nuclei, replace(INSTANCES, border_class=0)),
        prepare(nuclei, replace(INSTANCES, border_class=2)),
    )
    assert plain.masks.neck >= 1
    assert (plain.masks.smallest > 1, plain.masks.filled) == (True, True)
    assert bordered.masks == replace(plain.masks, num_classes=3, border=2, neck=plain.masks.neck - 0.75)
    assert bordered.classes == ("background", "cell", "border")
    assert bordered.border_weight.value == 0
    assert "objects: cut at necks where the half width falls by" in caplog.text
    assert set(np.unique(bordered.splits["train"][0].label)) == {0, 1, 2}
    going_on = replace(INSTANCES, border_class=2, classes=bordered.classes)
    again = prepare(nuclei, going_on, masks=replace(bordered.masks, neck=7.0))
    assert again.masks.neck == 7.0  # of a run that goes on nothing is measured anew
    named = prepare(nuclei, replace(INSTANCES, border_class=1, classes=("back", "nucleus")))
    assert named.classes == ("back", "nucleus", "border")
    said = replace(INSTANCES, border_class=0, classes=bordered.classes)  # as by `--config RUN/config.toml`
    assert (prepare(nuclei, said).classes, prepare(nuclei, said).masks) == (plain.classes, plain.masks)


def test_a_border_class_is_of_masks_that_tell_objects_apart(cells):
    with pytest.raises(InputError, match="these are of kind binary. Give masks of object ids"):
        prepare(cells, TrainConfig(depth=1, padding="valid", border_class=1))


def test_what_is_left_open_is_chosen_and_what_is_said_is_kept(nuclei, caplog):
    caplog.set_level("INFO", "unet_tf")
    prepared = prepare(nuclei, INSTANCES)
    assert (prepared.classes, prepared.border_weight.value) == (("background", "cell", "border"), 0.0)
    assert (prepared.border_class.value, prepared.loss.value) == (1, "crossentropy_dice")
    assert (prepared.masks.kind, prepared.sizes.tile.value) == ("instance", 112)
    assert {name: len(samples) for name, samples in prepared.splits.items()} == {"train": 3, "val": 1}
    assert "masks: instance, 3 classes (background, cell, border); as said" in caplog.text
    assert "decoded, kept in memory" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    (nuclei / "raw").mkdir()
    write_picture(nuclei / "raw" / "a.png", np.zeros((9, 9), np.uint8))
    prepare(nuclei, INSTANCES)
    shutil.rmtree(nuclei / "raw")
    assert caplog.messages.count(f"Pictures in {nuclei} that are not used: 1 in raw.") == 1
    prepared = prepare(nuclei, replace(INSTANCES, border_weight=0.0, classes=("a", "b"), cache="none"))
    assert (prepared.border_weight, prepared.classes) == (Choice(0.0), ("a", "b"))
    prepared = prepare(nuclei, replace(INSTANCES, border_class=0, cache="none"))
    assert (prepared.border_weight.value, prepared.classes) == (10.0, ("background", "cell"))
    assert prepared.splits["train"].cache == "none"


def test_a_palette_trains_and_void_counts_nowhere(tmp_path):
    rng = np.random.default_rng(0)
    colours = np.array([(0, 0, 0), (0, 0, 200), (90, 9, 9)], np.uint8)
    for number in range(3):
        label = rng.integers(0, 3, (40, 40))
        write_picture(tmp_path / "images" / f"{number}.png", colours[label] // 2)
        write_picture(tmp_path / "masks" / f"{number}.png", colours[label])
    (tmp_path / "label_colors.txt").write_text("0 0 0 Void\n0 0 200 sky\n90 9 9 road\n")
    prepared = prepare(tmp_path, TrainConfig(depth=1, padding="valid", class_balance=True, rare_share=0.5))
    assert prepared.classes == ("sky", "road")
    sample = prepared.splits["train"][0]
    assert set(np.unique(sample.label)) == {0, 1, 255}
    assert (prepared.splits["train"].weight(sample.label, None)[sample.label == 255] == 0).all()
    assert [places.size > 0 for places in prepared.splits["train"].fingerprints[0].places] == [True, True]


def test_a_class_of_ids_that_is_void_by_its_name_is_planned_by_its_value(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        write_picture(tmp_path / "images" / f"{number}.png", rng.integers(0, 256, (40, 40), np.uint8))
        write_picture(tmp_path / "masks" / f"{number}.png", np.resize(np.uint8([0, 1, 2]), (40, 40)))
    config = TrainConfig(classes=("sky", "dirt", "road"), void=("dirt",), depth=1)
    first = prepare(tmp_path, config)
    chosen = {name: first.choices[name].value for name in ("classes", "void", "masks")}
    assert chosen == {"classes": ("sky", "road"), "void": ("1",), "masks": "index"}
    again = prepare(tmp_path, replace(config, **chosen))
    assert (again.masks, again.classes) == (first.masks, first.classes)
    assert {name: again.choices[name].value for name in chosen} == chosen


def test_folds_and_groups_reach_the_split(nuclei):
    configs = [replace(INSTANCES, fold=f"{i}/4") for i in range(1, 5)]
    held = [prepare(nuclei, config).splits["val"].pairs[0].name for config in configs]
    assert sorted(held) == [f"cells_{number:03d}" for number in range(4)]
    with pytest.raises(InputError, match="Training needs 2 groups by 'cells'"):
        prepare(nuclei, replace(INSTANCES, group="cells"))


@pytest.mark.parametrize("group", ["[", "^[abd]"])
def test_a_group_must_fit_the_names_where_the_folder_says_the_splits_too(cells, group):
    with pytest.raises(InputError, match="A group must be a regular expression|finds nothing in 'cells_000'"):
        prepare(cells, TrainConfig(**TINY, group=group))
    (problem,) = check(cells, group=group).problems
    assert "group must be a regular" in problem or "finds nothing in 'cells_000'" in problem
    planned = prepare(cells, TrainConfig(**TINY, group="^cells"))
    prepare(cells, TrainConfig(**TINY, group=group, upright=True), masks=planned.masks)  # that was begun so


@pytest.mark.parametrize(
    ("split", "settings", "message"),
    [
        ("training", {}, "A split must be one of train, val, test; received 'training'"),
        ("test", {"classes": 3}, "none has class1, class2"),
        ("train", {"tile": 53}, "not a legal tile size"),
        ("train", {"void": "sea"}, "Void must be a value or the name of a class"),
        ("train", {"optimizer": "sgd", "epochs": 3}, "received epochs, optimizer, of the net and its training"),
    ],
)
def test_bad_datasets_are_refused(cells, split, settings, message):
    with pytest.raises(InputError, match=message):
        dataset(cells, split, **TINY | settings)


def test_a_split_that_is_not_there_is_said(nuclei):
    with pytest.raises(InputError, match="has no test files"):
        dataset(nuclei, "test", masks="instance", **TINY)


def test_the_same_settings_give_the_same_tiles(cells):
    first, again = (next(iter(dataset(cells, seed=4, warped=1.0, **TINY))) for _ in range(2))
    for part, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(part, same)
    keras.utils.clear_session()


def rare(folder, holding, count=10):
    """Pairs of noise; some hold a class 1."""
    for number in range(count):
        image = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        mask = np.zeros((16, 16), np.uint8)
        mask[4:9, 4:9] = 255 * (number in holding)
        write_picture(folder / "images" / f"{number}.png", image)
        write_picture(folder / "masks" / f"{number}.png", mask)
    return folder


SMALL = TrainConfig(depth=1, padding="same", tile=16)


def test_colour_tables_that_contradict_each_other_are_said(tmp_path, caplog):
    table, rng = np.array([(0, 0, 0), (255, 0, 0)], np.uint8), np.random.default_rng(0)
    for number in range(4):
        label = rng.integers(0, 2, (16, 16), np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", rng.integers(0, 256, (16, 16), np.uint8))
        mask = (1 - label, table[::-1]) if number == 1 else (label, table)
        write_picture(tmp_path / "masks" / f"{number}.png", *mask)
    prepare(tmp_path, replace(SMALL, masks="index", classes=("a", "b")))
    assert "their colours another: by the colour tables 0 is" in caplog.text


def test_the_drawn_share_holds_the_rare_class(tmp_path, caplog):
    rare(tmp_path, (2, 5))
    assert not {"2", "5"} & {pair.name for pair in hold_out(find_named(tmp_path).splits[""])[1]}  # by names alone
    prepared = prepare(tmp_path, SMALL)
    assert all((samples.class_pixels > 0).all() for samples in prepared.splits.values())
    assert [len(prepared.splits[name]) for name in ("train", "val")] == [8, 2]
    assert "No validation pixel" not in caplog.text
    found = check(tmp_path, SMALL)
    assert found.splits["val"].class_pixels.tolist() == prepared.splits["val"].class_pixels.tolist()
    assert not [text for text in found.warnings if "No validation pixel" in text]


def test_settings_of_validation_are_said_to_do_nothing_where_there_is_none(cells, tmp_path, caplog):
    data = shutil.copytree(cells / "train", tmp_path / "data")
    config = TrainConfig(**TINY, patience=5, val_tiles=7, val_share=0.0)
    prepare(data, config)
    assert "patience = 5 and val_tiles = 7: no epoch is validated, so that this changes nothing." in caplog.messages
    caplog.clear()
    prepare(data, replace(config, patience=None, val_tiles=None))
    prepare(data, replace(config, val_share=None))
    assert "changes nothing" not in caplog.text


def test_a_class_that_validation_lacks_is_said(tmp_path, caplog):
    rare(tmp_path, (4,))
    prepared = prepare(tmp_path, SMALL)
    assert prepared.splits["val"].class_pixels[1] == 0
    words = "No validation pixel is of foreground. A mean IoU on these files leaves it out, or takes 0 for it where"
    assert words in caplog.text
    assert words in " ".join(check(tmp_path, SMALL).warnings)
    assert prepared.threshold.value == 0.5 and "those held out, to choose on, have none" in prepared.threshold.reason
    with pytest.raises(InputError, match="none of their pixels is of foreground. Give a number"):
        prepare(tmp_path, replace(SMALL, threshold="best"))
    going_on = prepare(tmp_path, replace(SMALL, threshold="best"), masks=prepared.masks)  # as another fold was planned
    assert going_on.threshold.value == "best"


def test_a_class_that_is_held_out_with_its_only_file_is_a_problem_that_check_and_training_say_alike(tmp_path):
    for number in range(4):
        write_picture(
            tmp_path / f"images/{number}.png", np.random.default_rng(number).integers(0, 256, (16, 16), np.uint8)
        )
        write_picture(tmp_path / f"masks/{number}.png", np.tri(16, dtype=np.uint8) * np.uint8(number + 1))
    config = replace(SMALL, masks="index", classes=("a", "b", "c", "d", "e"))
    with pytest.raises(
        InputError, match=r"all those of . lie in what is held out. Give .* --val-share 0, and"
    ) as caught:
        prepare(tmp_path, config)
    assert check(tmp_path, config).problems == [str(caught.value)]
    assert prepare(tmp_path, replace(config, val_share=0)).splits.keys() == {"train"}
    assert check(tmp_path, replace(config, val_share=0)).problems == []


def test_a_fold_that_has_none_of_a_class_to_learn_from_is_found_before_the_first_is_trained(tmp_path):
    rare(tmp_path, (2, 5))
    folds = [f"{number}/5" for number in range(1, 6)]
    prepare(tmp_path, replace(SMALL, fold="1/5"), folds=folds)
    rare(tmp_path, (4,))
    with pytest.raises(InputError, match=r"fold \d/5 holds out all of foreground. Give more files with it") as caught:
        for fold in folds:  # of the folds themselves one is refused
            prepare(tmp_path, replace(SMALL, fold=fold), folds=folds)
    alone = [fold for fold in folds if f"fold {fold} holds" not in str(caught.value)]
    assert prepare(tmp_path, replace(SMALL, fold=alone[0])).splits["train"].class_pixels.all()


@pytest.mark.parametrize("split", ["val", "test"])
def test_pictures_of_two_splits_are_named(cells, tmp_path, split, caplog):
    data = shutil.copytree(cells, tmp_path / "data")
    prepare(data, SMALL)
    assert "training pictures too" not in caplog.text
    (first, *_) = sorted((data / "train/images").iterdir())
    for role in ("images", "masks"):
        shutil.copy(data / "train" / role / first.name, data / split / role / f"copy{first.suffix}")
    prepare(data, SMALL)
    assert f"Pictures that are training pictures too: 1, {split}/copy = train/{first.stem}." in caplog.text


def test_a_run_that_goes_on_has_the_share_that_it_began_with(tmp_path):
    rare(tmp_path, (2, 5))
    prepared = prepare(tmp_path, SMALL, held={"0", "9"})
    assert [pair.name for pair in prepared.splits["val"].pairs] == ["0", "9"]
    with pytest.raises(InputError, match="must go on with the files that it began with"):
        prepare(tmp_path, SMALL, held={"elsewhere"})


def test_tiles_are_the_same_whenever_they_are_asked_for(cells):
    """What is planned later, such as the tiles a step, does not change them."""
    prepared = prepare(cells, TrainConfig(depth=1, padding="same", rare_share=0.5))
    first, again = prepared.tiles(), prepared.tiles()
    assert (first.tile, first.rare_share) == (96, 0.5)
    for part, same in zip(first(3), again(3), strict=True):
        np.testing.assert_array_equal(part, same)
    with pytest.raises(FrozenInstanceError):
        prepared.sizes = None


def test_masks_that_are_known_are_not_recognised_again(nuclei, monkeypatch):
    first = prepare(nuclei, INSTANCES)
    monkeypatch.setattr("unet_tf.planning.prepare.recognise", pytest.fail)
    again = prepare(nuclei, replace(INSTANCES, classes=first.classes), masks=first.masks)
    assert (again.masks, again.classes) == (first.masks, first.classes)


def test_what_is_said_is_not_looked_for(nuclei, monkeypatch):
    monkeypatch.setattr("unet_tf.planning.prepare.object_size", pytest.fail)
    first = prepare(nuclei, INSTANCES)
    assert first.sizes.depth == Choice(1)
    monkeypatch.setattr("unet_tf.planning.prepare._labels", pytest.fail)
    whole = replace(INSTANCES, classes=first.classes, upright=True)
    assert prepare(nuclei, whole, masks=first.masks).upright == Choice(True)


@pytest.mark.parametrize("stacked", [False, True])
def test_pages_of_one_stack_do_not_say_where_up_is(tmp_path, stacked):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 32, 32), dtype=np.uint8)
    masks = np.zeros_like(images)
    for mask in masks:
        mask[: rng.integers(12, 16)] = 255
    for role, pictures in (("images", images), ("masks", masks)):
        (tmp_path / role).mkdir()
        if stacked:
            tifffile.imwrite(tmp_path / role / "a.tif", pictures, photometric="minisblack")
        for number, picture in enumerate(pictures if not stacked else ()):
            write_picture(tmp_path / role / f"{number}.png", picture)
    prepared = prepare(tmp_path, SMALL)
    assert len(prepared.splits["train"]) == 10
    assert prepared.upright.value == (not stacked)


def test_images_whose_values_bend_the_normalisation_are_said(tmp_path, caplog):
    rng = np.random.default_rng(0)
    for number in range(5):
        image = rng.integers(400, 600, (64, 64)).astype(np.uint16)
        image[0, :2] = 65535 if number in (1, 3) else 500
        write_picture(tmp_path / "images" / f"{number}.png", image)
        write_picture(tmp_path / "masks" / f"{number}.png", np.uint8(255) * (image > 500))
    prepared = prepare(tmp_path, replace(SMALL, val_share=0))
    (words,) = [text for text in caplog.messages if "normalisation" in text]
    assert words.startswith("Of 5 training images looked at, 2 with a value that lies more than 10 times the spread")
    assert words.endswith("or replace it: 1 (65535 in 0.05%), 3 (65535 in 0.05%).")
    caplog.clear()
    prepare(tmp_path, replace(SMALL, val_share=0, classes=prepared.classes, upright=False), masks=prepared.masks)
    assert "normalisation" not in caplog.text


def test_alpha_of_masks_that_is_not_the_same_all_over_is_said(tmp_path, caplog):
    for number in range(5):
        image = np.random.default_rng(number).integers(0, 256, (64, 64), np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", image)
        write_picture(tmp_path / "masks" / f"{number}.png", np.uint8(255) * (image > 99))
    layer = np.uint8(255) * np.repeat(image[..., None] > 99, 4, axis=2)
    cv2.imwrite(str(tmp_path / "masks/4.png"), layer)
    prepare(tmp_path, replace(SMALL, val_share=0))
    (words,) = [text for text in caplog.messages if "alpha" in text]
    assert words.startswith("Of 5 training images looked at, 1 whose mask has alpha that is not the same all over")
    assert words.endswith("alpha that is the mask as grey: 4.")


def test_alpha_of_images_that_is_not_the_same_all_over_is_said_as_check_says_it(tmp_path, caplog):
    for number in range(5):
        image = np.random.default_rng(number).integers(0, 256, (64, 64, 4), np.uint8)
        image[..., 3] |= 255 * (number != 3)
        write_picture(tmp_path / f"masks/{number}.png", np.uint8(255) * (image[..., 0] > 99))
        (tmp_path / "images").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"images/{number}.tif", image)  # the fourth is called alpha
    prepare(tmp_path, replace(SMALL, val_share=0))
    (words,) = [text for text in caplog.messages if "alpha" in text]
    (checked,) = [text for text in check(tmp_path, replace(SMALL, val_share=0)).warnings if "alpha" in text]
    assert words == f"Of 5 training images looked at, 1 {LEFT_OUT}: 3."
    assert checked == f"1 image {LEFT_OUT}: train/3."


def test_a_few_tiles_say_which_classes_they_hold(tmp_path):
    for number in range(4):
        mask = np.full((32, 32), 255 * (number == 3), np.uint8)
        for split in ("train", "val"):
            write_picture(tmp_path / split / "images" / f"{number}.png", mask // 2 + np.uint8(number))
            write_picture(tmp_path / split / "masks" / f"{number}.png", mask)
    prepared = prepare(tmp_path, SMALL)
    assert prepared.looked_at().class_pixels.tolist() == [3 * 1024, 1024]
    assert prepared.looked_at(1).tiles == [(3, 0)]
    assert prepared.looked_at(1).class_pixels.tolist() == [0, 1024]
    assert len(prepared.held_out(tiles=prepared.looked_at(2).tiles)) == 2


def test_a_signal_ends_the_reading_between_two_files(nuclei):
    read = []

    def kill(done, total):
        read.append(done)
        os.kill(os.getpid(), signal.SIGTERM)

    with stoppable(), pytest.raises(Stopped):
        prepare(nuclei, INSTANCES, kill)
    assert read == [1]


@pytest.mark.parametrize("fold", ["1/4", "2/4", "3/4", "4/4"])
def test_the_only_picture_in_colour_may_be_held_out(fold, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        picture = rng.integers(0, 255, (24, 24, 3 if number == 2 else 1), dtype=np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", picture)
        write_picture(tmp_path / "masks" / f"{number}.png", np.where(picture[..., 0] > 99, 255, 0).astype(np.uint8))
    prepared = prepare(tmp_path, TrainConfig(depth=1, batch_size=1, tile=16, fold=fold))
    assert prepared.normalisation.channels == 3
    assert next(iter(prepared.held_out()))[0].shape[-1] == 3
    assert prepared.tiles()(0)[0].shape == (16, 16, 3)
