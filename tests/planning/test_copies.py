from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.folder import Pair
from unet_tf.data.pictures import write_stack
from unet_tf.planning.copies import copy_warnings, near_copies
from unet_tf.planning.inspection import Case, Look
from unet_tf.utils.signals import Stopped, stoppable, tell


def test_frames_that_are_all_alike_are_paired_with_the_first_of_each_split_alone():
    thumbnail = np.full((64, 64), 1 / 64, np.float32)
    other = np.diag(np.full(64, 1 / 8, np.float32))
    looks = [Look(thumbnail=one) for one in (other, *[thumbnail] * 1500, None, other)]
    splits = ["train"] * 1000 + ["val"] * 503
    expected = {(1, n) for n in range(2, 1501)} | {(1000, n) for n in range(1001, 1501)} | {(0, 1502)}
    assert near_copies(looks, splits) == expected
    with pytest.raises(Stopped), stoppable():
        tell()
        near_copies(looks, splits)


@pytest.mark.parametrize(
    ("splits", "harm"),
    [
        (("train", "val"), "the best epoch may be chosen by it; scores leave out what the net was trained on"),
        (("train", "test"), "scores leave out what the net was trained on"),
        (("val", "test"), "the best epoch may be chosen by it"),
    ],
)
def test_of_the_very_same_image_it_is_said_what_it_spoils_and_of_one_nearly_the_same_that_scores_flatter(splits, harm):
    thumbnail = np.full((64, 64), 1 / 64, np.float32)

    def said(*hashes):
        cases = []
        for split, sha256 in zip(splits, hashes, strict=True):
            look = Look(fingerprint=SimpleNamespace(sha256=sha256), thumbnail=thumbnail)
            cases.append(Case(split, Pair("a", Path(split, "a.png"), Path(split, "a_mask.png")), look))
        return copy_warnings(cases, drawn=False)

    names = f"{splits[0]}/a = {splits[1]}/a"
    assert said("same", "same") == [f"once the same image in two splits ({harm}): {names}."]
    nearly = "once nearly the same image in two splits, so that scores flatter the net"
    assert said("one", "other") == [f"{nearly}: {names}."]


def test_pages_of_one_stack_are_called_so_and_are_told_nothing_of_groups(tmp_path):
    page = np.random.default_rng(0).integers(0, 200, (40, 40), dtype=np.uint8)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    write_stack(tmp_path / "images" / "s.tif", [page, page, page + np.uint8(1), page])
    write_stack(tmp_path / "masks" / "s.tif", [np.tile(np.uint8([0, 255]), (40, 20))] * 4)
    warnings = [one for one in check(tmp_path).warnings if "the same" in one]
    assert any("the same page of a stack in two splits" in one for one in warnings)
    assert all("image" not in one and "--group" not in one for one in warnings)
