"""Who is held out; files hold a byte, as no test here decodes a picture."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from folders import put

from unet_tf.data.folder import Pair
from unet_tf.data.layout import find_named
from unet_tf.data.splits import Part, hold_out, may_be_held, parts_of, split, spread, usual_share
from unet_tf.errors import InputError


def test_the_split_is_seeded_disjoint_and_complete(data):
    named = find_named(data).check()
    first, again, other = (split(named, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["val"] != other["val"]
    assert len(first["val"]) == 2
    assert sorted(p.name for p in first["train"] + first["val"]) == [*map(str, range(10))]
    assert first["test"] == []


def test_one_pair_cannot_be_split(tmp_path):
    put(tmp_path, "images/a.png", "masks/a.png")
    with pytest.raises(InputError, match="Training needs 2 pairs, one of them for validation; found 1"):
        split(find_named(tmp_path).check())


PATIENTS = [Pair(f"{patient}_{number}", Path(), Path()) for patient in "abcdefgh" for number in range(3)]


@pytest.mark.parametrize("group", ["^[a-h]", "^([a-h])_", r"(.)_\d"])
def test_groups_stay_together(group):
    for seed in range(5):
        train, val = hold_out(PATIENTS, 0.2, seed, group)
        assert not {pair.name[0] for pair in train} & {pair.name[0] for pair in val}
        assert len(val) == 6
        assert sorted([*train, *val], key=lambda p: p.name) == PATIENTS


@pytest.mark.parametrize(("group", "count"), [(None, 5), (None, 24), ("^.", 3), ("^.", 8)])
def test_folds_hold_out_every_pair_once_and_no_group_twice(group, count):
    folds = [hold_out(PATIENTS, seed=3, group=group, fold=f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(pair.name for _, val in folds for pair in val) == [pair.name for pair in PATIENTS]
    sizes = [len(val) for _, val in folds]
    assert max(sizes) - min(sizes) <= (1 if group is None else 3)
    for train, val in folds:
        assert len(train) + len(val) == 24
        if group:
            assert not {pair.name[0] for pair in train} & {pair.name[0] for pair in val}


def stack(name, pages):
    return [Pair(f"{name}_{page:02d}", Path(f"{name}.tif"), Path(), page) for page in range(pages)]


def test_the_pages_of_a_stack_are_one_piece_of_evidence():
    assert parts_of([*stack("a", 3), *stack("b", 2)]) == ["a.tif"] * 3 + ["b.tif"] * 2
    assert parts_of(stack("a", 3)) == ["a.tif"] * 3  # though some of these may be held out


def test_parts_are_called_by_what_their_pairs_belong_to():
    pages = [Pair(f"deep/s_{page}", Path("data/test/deep/s.tif"), Path(), page, "test") for page in range(2)]
    lone = [Pair("a", Path(f"data/{split}/a.png"), Path(), 0, split) for split in ("train", "val")]
    assert parts_of([*pages, *lone]) == ["test/deep/s.tif"] * 2 + ["train/a", "val/a"]
    alike = [Pair("a", Path(f"{suffix}/a.{suffix}"), Path()) for suffix in ("png", "tif")]
    assert parts_of(alike) == ["png/a.png", "tif/a.tif"]
    assert parts_of(PATIENTS[:4], r"(.)_\d") == ["a", "a", "a", "b"]


@pytest.mark.parametrize(
    ("group", "message"),
    [("[", "A group must be a regular expression; received '\\['"),
     ("_0([01])", r"Every name must have a group; '_0\(\[01\]\)' finds nothing in 'a_02'")],
)  # fmt: skip
def test_a_group_that_does_not_fit_the_names_is_refused(group, message):
    with pytest.raises(InputError, match=message):
        parts_of(stack("a", 3), group)


def test_the_pages_of_a_stack_stay_together():
    several = [*stack("a", 20), *stack("b", 4), *stack("c", 6), Pair("d", Path("d.png"), Path())]
    for seed in range(8):
        train, val = hold_out(several, 0.2, seed)
        assert not {pair.image for pair in train} & {pair.image for pair in val}
        assert 6 <= len(val) <= 11  # never the 20 pages that are most of the data
    with pytest.raises(InputError, match="5 folds need 5 files; there are 4"):
        hold_out(several, fold="1/5")


@pytest.mark.parametrize("settings", [{"share": 0.2}, {"fold": "2/5"}])
def test_of_a_single_stack_consecutive_pages_are_held_out(settings):
    starts = set()
    for seed in range(8):
        train, val = hold_out(stack("a", 30), seed=seed, **settings)
        pages = {pair.page for pair in val}
        assert (len(train), len(val)) == (24, 6)
        assert sum((page + 1) % 30 not in pages for page in pages) == 1
        starts.add(min(pages))
    assert len(starts) > 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.0}, r"must be 0 or more, and less than 1; received 1\.0"),
        ({"fold": "0/5"}, r"A fold must be \"i/k\".*received '0/5'"),
        ({"fold": "6/5"}, "received '6/5'"),
        ({"fold": "1/25"}, "25 folds need 25 pairs; there are 24"),
        ({"fold": "1/9", "group": "^."}, r"9 folds need 9 groups by '\^\.'; there are 8"),
        ({"group": "["}, "A group must be a regular expression"),
        ({"group": "patient"}, "Every name must have a group; 'patient' finds nothing in 'a_0'"),
        ({"group": "_"}, "Training needs 2 groups by '_', .* found 1"),
    ],
)
def test_bad_ways_to_split_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        hold_out(PATIENTS, **settings)


def test_a_split_that_is_there_is_not_folded(data):
    put(data, "val/images/x.png", "val/masks/x.png")
    with pytest.raises(InputError, match="nothing is left to fold; received fold 1/5. Train by this split, or put its"):
        split(find_named(data).check(), fold="1/5")


def names(pairs):
    return [pair.name for pair in pairs]


FILES = [Pair(f"a{number:02}", Path(f"{number}.png"), Path()) for number in range(20)]


@pytest.mark.parametrize("settings", [{}, {"fold": "2/5"}, {"group": r"\d$"}, {"share": 0.35}])
@pytest.mark.parametrize("seed", range(3))
def test_where_every_file_holds_every_class_the_names_alone_decide(settings, seed):
    assert hold_out(FILES, seed=seed, holds=20 * [{0, 1, 2}], **settings) == hold_out(FILES, seed=seed, **settings)


def test_the_draw_of_names_alone_is_that_of_version_0_1():
    assert names(hold_out(FILES, 0.2, 0)[1]) == names(sorted(random.Random(0).sample(FILES, 20)[:4], key=FILES.index))
    assert names(hold_out(FILES, 0.2, 0)[1]) == ["a01", "a08", "a12", "a13"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("group", [None, r"^a[01]\d"])
def test_a_class_of_two_files_is_on_either_side(seed, group):
    holds = [{0, 1} if number in (2, 7, 15, 17) else {0, 2} if number in (3, 4) else {0} for number in range(20)]
    train, val = hold_out(FILES, 0.2, seed, group, holds=holds)
    assert len(val) == 4
    for part in (train, val):
        assert set().union(*(holds[FILES.index(pair)] for pair in part)) == {0, 1, 2}
    assert hold_out(FILES, 0.2, seed, group, holds=holds) == (train, val)


def test_a_class_of_one_file_stays_in_training():
    for seed in range(20):
        train, val = hold_out(FILES, 0.2, seed, holds=[{0, 1} if number == 8 else {0} for number in range(20)])
        assert "a08" in names(train)
        assert len(val) == 4


@pytest.mark.parametrize(
    ("pairs", "group", "held"),
    [(FILES[:5], None, 1), (FILES[:2], None, 1), ([*stack("a", 30), *stack("b", 10)], None, 10),
     ([*stack("a", 6), Pair("b", Path("b.png"), Path())], None, 1), (PATIENTS, "^.", 3)],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_where_each_part_has_a_class_that_no_other_has_one_is_held_out(pairs, group, held, seed):
    parts = parts_of(pairs, group)
    train, val = hold_out(pairs, None, seed, group, holds=[{0, 1 + parts.index(part)} for part in parts])
    assert (len(train), len(val)) == (len(pairs) - held, held)
    assert len({parts[pairs.index(pair)] for pair in val}) == 1


def test_of_few_pairs_fewer_are_held_out():
    assert [round(usual_share(count) * count) for count in (2, 5, 10, 15, 24, 29, 30, 100)] == [1, 1, 2, 2, 2, 3, 6, 20]


def test_of_few_pairs_those_most_like_all_are_held_out():
    pixels = [{0: 100 - number, 1: number} for number in range(20)]  # in all 9.5 % are of class 1
    for seed in range(5):
        train, val = hold_out(FILES, seed=seed, holds=pixels)
        assert len(train) == 18
        share = np.mean([FILES.index(pair) for pair in val]) / 100
        assert share == pytest.approx(0.095, abs=0.025)
    assert len({tuple(names(hold_out(FILES, seed=seed, holds=pixels)[1])) for seed in range(10)}) > 5


def test_nothing_is_held_out_where_the_share_is_zero():
    assert hold_out(FILES, 0.0) == (FILES, [])


def test_a_seed_still_decides_which_of_the_rare_files_is_held_out():
    holds = [{0, 1} if number % 5 == 0 else {0} for number in range(20)]
    assert len({tuple(names(hold_out(FILES, 0.2, seed, holds=holds)[1])) for seed in range(10)}) > 5


def test_groups_of_rare_classes_stay_together_and_are_spread():
    holds = [{0, 1} if pair.name[0] in "ch" else {0} for pair in PATIENTS]
    for seed in range(10):
        train, val = hold_out(PATIENTS, 0.2, seed, "^[a-h]", holds=holds)
        assert len(val) == 6
        assert not {pair.name[0] for pair in train} & {pair.name[0] for pair in val}
        assert len({pair.name[0] for pair in val} & set("ch")) == 1


@pytest.mark.parametrize("seed", range(5))
def test_folds_share_rare_classes(seed):
    holds = [{0, 1} if number in (2, 7, 15, 17, 19) else {0} for number in range(20)]
    folds = [hold_out(FILES, seed=seed, fold=f"{i}/5", holds=holds)[1] for i in range(1, 6)]
    assert sorted(name for fold in folds for name in names(fold)) == names(FILES)
    assert [sum(1 in holds[FILES.index(pair)] for pair in fold) for fold in folds] == [1] * 5
    assert [len(fold) for fold in folds] == [4] * 5


def test_of_a_single_stack_the_pages_begin_where_all_classes_are_held_out():
    pages = stack("a", 30)
    holds = [{0, 1} if 11 <= page < 16 else {0} for page in range(30)]
    for seed in range(8):
        _, val = hold_out(pages, seed=seed, holds=holds)
        held = {pair.page for pair in val}
        assert sum((page + 1) % 30 not in held for page in held) == 1  # consecutive still
        assert any(1 in holds[page] for page in held)
        assert not held >= {*range(11, 16)}


def test_what_pairs_hold_is_told_by_pair(data):
    named = {"": [Pair(str(number), data / f"{number}.png", data) for number in range(20)]}
    holds = {pair: {0, 1} if pair.name in ("3", "4") else {0} for pair in named[""]}
    splits = split(named, holds=holds)
    assert [len([pair for pair in splits[name] if 1 in holds[pair]]) for name in ("train", "val")] == [1, 1]


@pytest.mark.parametrize("seed", range(60))
def test_no_other_share_of_few_files_spreads_their_classes_better(seed):
    chance = random.Random(seed)
    pairs = FILES[: chance.randrange(4, 10)]
    holds = [{c for c in range(5) if chance.random() < chance.choice([0.05, 0.3, 0.9])} for _ in pairs]
    parts = [Part((number,), frozenset(one)) for number, one in enumerate(holds)]
    _, val = hold_out(pairs, 0.2, seed, holds=holds)
    sizes = range(max(1, round(0.2 * len(pairs))), len(pairs) // 2 + 1)
    assert len(val) in sizes
    every = [spread(parts, [list(some)]) for size in sizes for some in itertools.combinations(parts, size)]
    assert spread(parts, [[parts[FILES.index(pair)] for pair in val]]) == max(every)


@pytest.mark.parametrize("share", [None, 0.5])
def test_what_a_net_has_learnt_from_is_not_held_out(share):
    pairs = [Pair(str(number), Path(), Path()) for number in range(10)]
    for seed in range(5):
        held = hold_out(pairs, share, seed, learnt=range(6))[1]
        assert {pair.name for pair in held} <= {*"6789"}
        assert len(held) == (1 if share is None else 2)  # of four, not of ten
    assert hold_out(pairs, 0, learnt=range(6)) == (pairs, [])


def test_parts_that_a_net_knows_a_pair_of_stay_whole_and_fewer_than_two_others_do_not_count():
    assert may_be_held(PATIENTS, "^.", [0]) == [*range(3, 24)]
    assert may_be_held(PATIENTS, "^.", range(0, 18)) == [*range(18, 24)]
    for learnt in (range(0, 19), range(24), []):
        assert may_be_held(PATIENTS, "^.", learnt) == [*range(24)]
    pages = [Pair(f"a_{page}", Path("a.tif"), Path("m.tif"), page) for page in range(9)]
    pages += [Pair(f"{name}_{page}", Path(f"{name}.tif"), Path(), page) for name in "bc" for page in range(3)]
    assert may_be_held(pages, None, [4]) == [*range(9, 15)]


def test_a_class_that_only_one_new_pair_has_may_be_held_out_where_a_net_has_learnt_others_of_it():
    pairs = [Pair(str(number), Path(), Path()) for number in range(8)]
    holds = [{0, 1} if number in (0, 7) else {0} for number in range(8)]
    held = hold_out(pairs, None, 0, None, None, holds, learnt=range(4))[1]
    assert [pair.name for pair in held] == ["7"]
