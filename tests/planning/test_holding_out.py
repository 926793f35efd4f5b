"""Which files are held out where a net starts from one that knows some of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unet_tf import Run
from unet_tf.config import TrainConfig
from unet_tf.data.fingerprint import identity
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.planning.prepare import prepare

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"
SMALL = TrainConfig(depth=1, padding="same", tile=16)


@pytest.fixture
def started(tmp_path):
    """A function that makes ten pairs and a run that learnt from some of them, and plans a run from it."""

    def plan(known, splits=None, colours=(), **settings):
        data, run = tmp_path / "data", tmp_path / "first"
        for number in range(10):
            place = data / (splits or {}).get(number, "") if splits else data
            rng = np.random.default_rng(number)
            image, mask = rng.integers(0, 256, (16, 16, *colours), np.uint8), rng.integers(0, 2, (16, 16), np.uint8)
            write_picture(place / "images" / f"p{number % 2}_{number}.png", image)
            write_picture(place / "masks" / f"p{number % 2}_{number}.png", mask * 255)
        shutil.copytree(SAVED, run, dirs_exist_ok=True)
        config = (run / Run.CONFIG).read_text()
        (run / Run.CONFIG).write_text(config.replace('path = "cells"', f"path = '{data}'"))
        images = {int(path.stem[3:]): path for path in data.rglob("images/*.png")}
        rows = [f"train,{number},{identity(read_image(images[number]))},x\n" for number in known]
        (run / Run.FILES).write_text("split,name,sha256,label_sha256\n" + "".join(rows))
        return prepare(data, replace(SMALL, **{"start_from": str(run)} | settings))

    return plan


def held(prepared):
    return {int(pair.name[3:]) for pair in prepared.splits["val"].pairs}


def test_what_is_held_out_is_unseen_by_both(started, caplog):
    prepared = started(range(6))
    assert len(held(prepared)) == 1 and held(prepared) <= {6, 7, 8, 9}
    assert len(prepared.splits["train"]) == 9
    assert prepared.val_share.value == 0.25  # of the four, of which a run that goes on draws none anew
    assert (
        prepared.val_share.reason.startswith("1 of the 4 files that ")
        and "was not trained on" in prepared.val_share.reason
    )
    assert len(prepared.before.files) == 6
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


def test_what_a_net_of_other_channels_learnt_from_is_unseen_by_none(started, tmp_path, caplog):
    prepared = started(range(8), colours=(3,), channels=("1",))
    assert held(prepared) <= {8, 9} and "of the 2 files that" in prepared.val_share.reason
    assert prepared.before.files > {one.sha256 for one in _of(prepared, range(8))}  # by the new channels
    assert prepared.before.unknown == ()
    assert not [one for one in caplog.records if one.levelname == "WARNING"]

    more = shutil.copytree(tmp_path / "data", tmp_path / "more")
    for role in ("images", "masks"):  # of the run before, in whose folder something has changed since
        (tmp_path / "data" / role / "a0_new.png").write_bytes(b"damaged")
    rows = (tmp_path / "first" / Run.FILES).read_text()
    (tmp_path / "first" / Run.FILES).write_text(f"{rows}train,gone,{'0' * 64},x\n")
    settings = replace(SMALL, start_from=str(tmp_path / "first"), channels=("2", "0"))
    again = prepare(more, settings)
    assert held(again) <= {8, 9} and again.before.unknown == (str(tmp_path / "first"),)
    assert again.before.files > {one.sha256 for one in _of(again, range(8))}
    assert "are not known: the scores may be" in caplog.text


@pytest.mark.parametrize("picks", ["the new net", "the first"])
def test_pictures_of_one_channel_are_known_in_files_of_several_and_the_other_way_round(started, tmp_path, picks):
    started(range(8))
    first, grey, both = tmp_path / "first", tmp_path / "data", tmp_path / "both"
    for path in grey.rglob("images/*.png"):
        image = read_image(path)[..., 0]
        write_picture(both / "images" / path.name, np.dstack([image // 2, image, image]))
    shutil.copytree(grey / "masks", both / "masks")
    if picks == "the new net":
        prepared = prepare(both, replace(SMALL, start_from=str(first), channels=("1",)))
    else:
        config = (first / Run.CONFIG).read_text().replace(f"path = '{grey}'", f"path = '{both}'")
        (first / Run.CONFIG).write_text(f'{config}\n[channels]\npicked = ["1"]\n')
        prepared = prepare(grey, replace(SMALL, start_from=str(first)))
    assert held(prepared) <= {8, 9}


def _of(prepared, numbers):
    """The fingerprints of pairs by their numbers."""
    seen = [one for samples in prepared.splits.values() for one in samples.seen]
    return [found for pair, found in seen if int(pair.name[3:]) in numbers]


def test_groups_of_which_the_net_knows_a_file_are_learnt_whole(started):
    assert held(started([0], group="^(p.)")) in ({0, 2, 4, 6, 8}, {1, 3, 5, 7, 9})  # one group is left: drawn as ever
    assert held(started([0], group=r"_(\d)$")) <= {*range(1, 10)}


@pytest.mark.parametrize("known", [range(10), range(9)])
def test_where_nothing_is_left_to_hold_out_the_net_is_judged_by_what_it_knows_and_that_is_said(started, caplog, known):
    prepared = started(known)
    assert len(held(prepared)) == 2
    count = len(held(prepared) & {*known})
    assert f"was trained on {count} of the 2 val files" in caplog.text
    told = "tell nothing of others. Give files that are new" if count == 2 else "they are left out of the scores"
    assert told in caplog.text


def test_a_val_folder_stays_as_it_is(started, caplog):
    splits = {number: "val" if number < 3 else "train" for number in range(10)}
    prepared = started([0, 5], splits)
    assert held(prepared) == {0, 1, 2}
    assert prepared.val_share.reason == "val/ holds 3 of 10 files"
    assert "was trained on 1 of the 3 val files" in caplog.text and "they are left out of the scores" in caplog.text


def test_validation_files_that_are_known_beside_a_new_test_are_said(started, caplog):
    splits = {number: {0: "val", 1: "test"}.get(number, "train") for number in range(10)}
    started([0], splits)
    assert "was trained on 1 of the 1 val files" in caplog.text
    assert "the best epoch is chosen by pictures that it was trained on." in caplog.text


def test_folds_hold_out_every_file_once_whatever_is_known(started):
    folds = [held(started(range(6), fold=f"{number}/5")) for number in range(1, 6)]
    assert sorted(number for fold in folds for number in fold) == [*range(10)]


def test_a_start_that_knows_no_files_is_said(started, caplog, tmp_path):
    started([], start_from=str(tmp_path / "bundle"))
    assert f"The training files of {tmp_path / 'bundle'} are not known: the scores may be of pictures" in caplog.text
