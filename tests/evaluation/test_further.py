"""Each formula on a picture of nine pixels, and the tables that come of them."""

import json

import numpy as np
import pytest
from judging import judge

from unet_tf.data.fields_of_view import FieldsOfView
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.further import file_tables, object_table
from unet_tf.evaluation.judging import Truth, judge_answers
from unet_tf.evaluation.mask_kinds import renumbered
from unet_tf.evaluation.membranes import MembraneSums, border_ids
from unet_tf.evaluation.objects import score_objects
from unet_tf.evaluation.subject import Answer
from unet_tf.evaluation.tables import EvaluationTable
from unet_tf.utils.typed_json import parsed

CLASSES = ("rest", "cell")
BINARY = MaskFormat("binary")
TRUTH = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], np.uint8)
CHANCE = np.array([[0.75, 0.75, 0.75], [0.25, 0.25, 0.25], [0.25, 0.25, 0.25]])  # of class 1: its first row is found


def folder_of(tmp_path, *labels):
    for number, label in enumerate(labels):
        write_picture(tmp_path / "images" / f"{number}.png", np.full(label.shape, 10 * number, np.uint8))
        write_picture(tmp_path / "masks" / f"{number}.png", label)
    return find_named(tmp_path).splits[""]


def judged(pairs, chances, masks=BINARY, classes=CLASSES, membranes=None, **more):
    given = iter(chances)

    def probabilities(image):
        chance = next(given)
        return np.stack([1 - chance, chance], axis=-1)

    return judge(probabilities, Truth(pairs, masks, classes, **more), membranes=membranes)


def stored(result):
    """The tables as JSON has them, which must have their form."""
    return parsed(json.dumps(result.to_json(), allow_nan=False).encode(), EvaluationTable)


@pytest.fixture
def nine(tmp_path):
    """The table of the picture of nine pixels: TP 2, FP 1 (first row), FN 1 (second row), TN 5."""
    return stored(judged(folder_of(tmp_path, TRUTH * 255), [CHANCE]))


def test_pixels_by_hand(nine):
    assert nine["confusion"] == [[5, 1], [1, 2]]
    assert nine["iou"] == {"rest": 5 / 7, "cell": 2 / 4}
    assert nine["dice"] == {"rest": 10 / 12, "cell": 4 / 6}
    assert nine["precision"] == {"rest": 5 / 6, "cell": 2 / 3}
    assert nine["recall"] == {"rest": 5 / 6, "cell": 2 / 3}
    assert nine["specificity"] == {"rest": 2 / 3, "cell": 5 / 6}
    assert nine["pixel_accuracy"] == 7 / 9
    # 2 (0.75 + 0.75 + 0.25) / (3 * 0.75^2 + 6 * 0.25^2 + 3)
    assert nine["soft_dice"]["cell"] == pytest.approx(3.5 / (27 / 16 + 6 / 16 + 3), abs=1e-12)


def test_borders_by_hand(nine):
    # all 3 pixels of either touch the other class, and lie within 2 px of each other
    assert nine["boundaries"]["f"]["cell"] == nine["boundaries"]["surface_dice"]["cell"] == 1
    # within 2 px of the outside: all; the two rims share 2 pixels of 4
    assert nine["boundaries"]["iou"]["cell"] == 2 / 4


def test_ranks_by_hand(nine):
    # the rest has 1 pixel at 0.75 and 5 at 0.25; the cell 2 at 0.75, above 5 and equal to 1, and 1 at 0.25, equal to 5
    assert nine["field"]["auc"] == pytest.approx((2 * 5.5 + 2.5) / 18, abs=1e-12)
    # precision 2/3 at 0.75 for two pixels, 3/9 at 0.25 for one
    assert nine["field"]["average_precision"] == pytest.approx((2 * 2 / 3 + 3 / 9) / 3, abs=1e-12)
    assert nine["field"]["foreground"] == "cell"
    assert "roi" not in nine["field"]


def test_what_does_not_apply_is_not_there(nine):
    assert not {"objects", "membranes", "thin"} & nine.keys()


def test_each_file_and_their_spread(tmp_path):
    pairs = folder_of(tmp_path, TRUTH * 255, TRUTH * 255, TRUTH * 0)
    result = stored(judged(pairs, [CHANCE, TRUTH * 0.5 + 0.3, CHANCE * 0]))
    assert [(one["name"], one["iou"]["cell"], one["dice"]["cell"]) for one in result["per_file"]] == [
        ("0", 0.5, 4 / 6), ("1", 1.0, 1.0), ("2", None, None),
    ]  # fmt: skip
    assert [one["mean_iou"] for one in result["per_file"]] == [*result["per_file_mean_iou"].values()]
    assert len({one["group"] for one in result["per_file"]}) == 3
    # the third file has no cell, in the truth and in the prediction
    assert result["images"]["IoU cell"] == {"files": 2, "mean": 0.75, "median": 0.75, "worst": 0.5}
    assert result["images"]["Dice cell"]["mean"] == pytest.approx((2 / 3 + 1) / 2)
    means = (5 / 7 + 1 / 2) / 2, 1, 1
    assert result["images"]["mean IoU"] == pytest.approx(
        {"files": 3, "mean": np.mean(means), "median": 1, "worst": means[0]}
    )


def test_a_file_of_void_alone_spreads_nothing():
    files, images = file_tables(("a", "b"), ["x"], np.zeros((1, 3, 2)), [0])
    assert files == [{"name": "x", "group": "0", "mean_iou": None, "iou": {"a": None, "b": None},
                      "dice": {"a": None, "b": None}}]  # fmt: skip
    assert images == {}


def test_objects_by_hand(tmp_path):
    ids = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 2]], np.uint16)
    # predicted: the first row (IoU with object 1: 2 / 4), and nothing at object 2
    chance = np.array([[0.9, 0.9, 0.9], [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]])
    found = stored(judged(folder_of(tmp_path, ids), [chance], MaskFormat("instance")))["objects"]
    assert (found["true"], found["predicted"], found["merges"], found["splits"]) == (2, 1, 0, 0)
    assert found["thresholds"][:2] == [0.5, 0.55]
    assert found["found"][:2] == [1, 0]
    assert found["ap"][:2] == [1 / 2, 0]  # TP 1, FP 0, FN 1
    assert found["f1"][:2] == [2 / 3, 0]
    assert found["pq"][:2] == [0.5 / (1 + 0.5), 0]
    assert (found["ap_files"][:2], found["ap_ends"]) == ([1 / 2, 0], None)


def test_objects_are_parted_as_masks_are_drawn_and_void_counts_nowhere(tmp_path):
    ids = np.zeros((14, 30), np.uint16)
    ids[2:12, 2:12], ids[2:12, 12:22] = 1, 2
    ids[:, 26:] = 9  # void
    chance = ((ids > 0) * 0.9).astype(float)
    chance[[2, 3, 10, 11], 11:13] = 0  # a neck between two objects
    pairs = folder_of(tmp_path, ids)
    whole, parted = (
        judged(pairs, [chance], MaskFormat("instance", void=(9,), neck=neck)).objects for neck in (0.0, 1.0)
    )
    assert (whole.true, whole.predicted, whole.merges, whole.found[0]) == (2, 1, 1, 0)
    assert (parted.true, parted.predicted, parted.merges, parted.found[0]) == (2, 2, 0, 2)


def test_objects_are_those_of_the_class_that_the_masks_tell_apart(tmp_path):
    """A net may call that class 0."""
    ids = np.zeros((12, 12), np.uint8)
    ids[1:4, 1:4], ids[7:11, 7:11] = 1, 2
    instances = MaskFormat("instance", 2)
    reading = renumbered(instances, CLASSES, CLASSES[::-1])
    truth = Truth(folder_of(tmp_path, ids), MaskFormat("binary"), CLASSES[::-1], reading=reading)
    found = judge_answers(lambda pair, decoded: Answer((ids == 0).astype(np.uint8)), truth)
    assert found.mean_iou == 1
    assert (found.objects.true, found.objects.predicted, found.objects.found[-1]) == (2, 2, 2)


def test_objects_add_up_over_files_with_intervals_over_groups(tmp_path):
    rng, scored = np.random.default_rng(0), []
    for _ in range(8):
        ids = np.arange(1, 26, dtype=np.uint16).reshape(5, 5).repeat(4, 0).repeat(4, 1)
        scored.append(score_objects(ids, np.where(rng.random(ids.shape) < 0.3, 0, ids)))
    table = object_table(scored, range(8))
    found = sum(one.found[4] for one in scored)
    assert (table["true"], table["predicted"]) == (200, sum(one.predicted for one in scored))
    assert table["ap"][4] == found / (200 + table["predicted"] - found)
    low, high = table["ap_ends"][4]
    assert low < table["ap"][4] < high
    assert table["ap_files"][4] == pytest.approx(np.mean([one.average_precision[4] for one in scored]))
    assert object_table(scored, [0] * 8)["ap_ends"] is None
    nothing = score_objects(ids * 0, ids * 0)
    assert object_table([nothing], [0])["ap"] == [None] * 10
    assert object_table([*scored, nothing], range(9))["ap_files"] == pytest.approx(table["ap_files"])


def test_outside_of_the_field_of_view_all_is_void(tmp_path, nine):
    pairs = folder_of(tmp_path / "wide", np.pad(TRUTH * 255, 4, constant_values=255))
    write_picture(tmp_path / "fov" / "0.png", np.pad(np.full((3, 3), 200, np.uint8), 4))
    chance = np.pad(CHANCE, 4, constant_values=0.4)
    result = stored(judged(pairs, [chance], fields=FieldsOfView(tmp_path / "fov", pairs)))
    for name in ("confusion", "iou", "dice", "soft_dice", "per_file_mean_iou"):
        assert result[name] == nine[name]
    roi = result["field"].pop("roi")
    assert roi == f"pixels outside of the fields of view in {tmp_path / 'fov'} are ignored, 92.6% of all"
    assert result["field"] == nine["field"]


def test_membranes_are_scored_where_it_is_asked_for(tmp_path):
    label = np.full((20, 21), 255, np.uint8)
    label[:, 9:12] = 0
    result = judged(folder_of(tmp_path, label), [np.where(label, 0.85, 0.15)], membranes=MembraneSums((0,)))
    table = stored(result)["membranes"]
    assert table["borders"] == ["rest"]
    assert table["v_rand"] == table["v_info"] == 1
    assert (table["best"]["v_rand"], table["pixel_error"], table["thresholds"][1]) == (0.2, 0, 0.2)
    # below 0.15 nothing is membrane: one segment of 2 a pixels, two true ones of a: 2 (2 a^2) / ((2 a)^2 + 2 a^2)
    assert table["curve"]["v_rand"][0] == pytest.approx(2 / 3, abs=1e-12)
    assert table["curve"]["v_rand_merge"][0] == 0.5
    assert table["curve"]["v_rand_split"][0] == 1


def test_membranes_are_classes_and_not_all_of_them():
    assert border_ids(("a", "b", "c"), ["c", "a", "c"]) == (0, 2)
    assert border_ids(("a", "b"), ()) == ()
    assert border_ids(("ab", "b", "a"), "ab") == (0,)
    with pytest.raises(InputError, match=r"classes of the run \(a, b\); received d"):
        border_ids(("a", "b"), ["a", "d"])
    with pytest.raises(InputError, match="must separate another class"):
        border_ids(("a", "b"), ["a", "b"])


def test_a_thin_class_is_scored_and_said(tmp_path):
    label = np.zeros((100, 100), np.uint8)
    label[48:51] = 255
    broken = np.where(label > 0, 0.9, 0.1)
    broken[:, 40:50] = 0.1
    result = stored(judged(folder_of(tmp_path, label), [broken]))
    assert list(result["thin"]) == ["cell"]
    found = result["thin"]["cell"]
    assert found["precision"] == 1
    assert found["sensitivity"] == pytest.approx(0.9, abs=0.01)
    assert found["words"].startswith("3.1 px wide and 3")
