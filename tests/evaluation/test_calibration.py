"""Reliability and curve: hand-made 3x3 examples."""

import numpy as np
import pytest

from unet_tf.data.masks import MaskFormat
from unet_tf.evaluation import calibration as module
from unet_tf.evaluation.calibration import THRESHOLDS, Certainty, Curve, Reliability, best_threshold
from unet_tf.labels import VOID
from unet_tf.model.calibration import Calibration, label_of, tempered

LABEL = np.array([[0, 0, 1], [1, 1, 0], [0, 1, VOID]], np.uint8)
FOREGROUND = np.array([[0.1, 0.1, 0.9], [0.9, 0.38, 0.38], [0.7, 0.7, 0.2]], np.float32)
BOTH = np.stack([1 - FOREGROUND, FOREGROUND], -1)


def test_the_error_of_nine_pixels():
    found = Reliability()
    found.add(LABEL, BOTH)
    # Confidence 0.9: 4 pixels, all right. 0.62: 2 pixels, 1 right. 0.7: 2 pixels, 1 right. One is void.
    bins = {
        round(one["high"] * 15): (one["pixels"], one["confidence"], one["accuracy"])
        for one in found.table()
        if one["pixels"]
    }
    assert bins == {
        14: (4, pytest.approx(0.9), 1.0),
        10: (2, pytest.approx(0.62), 0.5),
        11: (2, pytest.approx(0.7), 0.5),
    }
    assert found.error == pytest.approx(4 / 8 * 0.1 + 2 / 8 * 0.12 + 2 / 8 * 0.2)
    assert [one["confidence"] for one in found.table()][:7] == [None] * 7


def test_confidences_at_the_edges_of_bins():
    found = Reliability()
    found.add(np.zeros((1, 4), np.uint8), np.array([[[1, 0], [0.5, 0.5], [0.6, 0.4], [2 / 3, 1 / 3]]]))
    assert [int(n) for n in found.pixels[[7, 8, 9, 14]]] == [1, 1, 1, 1]  # 0.5 in (7/15, 8/15], 0.6 in (8/15, 9/15]


def test_images_add_up_and_void_alone_counts_for_nothing():
    one, two = Reliability(), Reliability()
    one.add(LABEL, BOTH)
    two.add(LABEL[:1], BOTH[:1])
    two.add(np.full_like(LABEL, VOID), BOTH)
    two.add(LABEL[1:], BOTH[1:])
    assert two.table() == one.table()
    assert Reliability().error == 0


def test_the_curve_is_that_of_the_labels_at_each_threshold():
    curve = Curve()
    curve.add(LABEL[:2], FOREGROUND[:2])
    curve.add(LABEL[2:], FOREGROUND[2:])
    scores, known = curve.scores(), LABEL != VOID
    for number, threshold in enumerate(THRESHOLDS):
        found = label_of(BOTH, float(threshold))[known] == 1 if threshold != 0.5 else FOREGROUND[known] > 0.5
        true = LABEL[known] == 1
        both, either = (found & true).sum(), (found | true).sum()
        assert scores["iou"][number] == pytest.approx(both / either)
        assert scores["dice"][number] == pytest.approx(2 * both / (found.sum() + true.sum()))
        assert scores["recall"][number] == pytest.approx(both / true.sum())
        if found.any():
            assert scores["precision"][number] == pytest.approx(both / found.sum())
        else:
            assert np.isnan(scores["precision"][number])


def test_the_best_threshold_is_the_one_nearest_to_a_half_of_those_as_good():
    curve = Curve()
    curve.add(np.array([[0, 1, 1]]), np.array([[0.1, 0.3, 0.9]], np.float32))
    assert best_threshold([curve]) == 0.29  # all below 0.3 and from 0.1 on find both and nothing else
    above = Curve()
    above.add(np.array([[0, 1]]), np.array([[0.8, 0.9]], np.float32))
    assert best_threshold([above]) == 0.8
    assert best_threshold([Curve()]) == best_threshold([]) == 0.5
    flat = Curve()  # of 200, all below 0.3 find 99, and those up to 0.9 98
    flat.add(np.ones((1, 200), int), np.repeat(np.array([[0.9, 0.3, 0.01]], np.float32), [98, 1, 101], axis=1))
    assert flat.scores()["iou"][49] < flat.scores()["iou"][28]
    assert best_threshold([flat]) == 0.5
    weak = Curve()  # 1 of 100 is found below 0.3, and nothing from there on
    weak.add(np.ones((1, 100), int), np.repeat(np.array([[0.3, 0.01]], np.float32), [1, 99], axis=1))
    assert best_threshold([weak]) == 0.29
    nothing = Curve()
    nothing.add(np.array([[0, 0]]), np.array([[0.8, 0.9]], np.float32))
    assert best_threshold([nothing]) == 0.5


def test_files_that_do_not_agree_leave_the_threshold_near_a_half_and_files_that_do_move_it():
    def curve_of(*pixels):
        labels, foreground, counts = zip(*pixels, strict=True)
        curve = Curve()
        curve.add(np.repeat(labels, counts), np.repeat(np.float32(foreground), counts))
        return curve

    sure = (0, 0.01, 900), (1, 0.9, 80)
    better = curve_of(*sure, (1, 0.3, 20))  # below 0.3: IoU 1 and not 0.8
    worse = curve_of(*sure, (0, 0.3, 25))  # below 0.3: IoU 0.76 and not 1
    assert best_threshold([better] * 4) == 0.29
    assert best_threshold([better] * 7 + [worse]) == 0.29
    assert sum([better] * 3, worse).scores()["iou"][[28, 49]] == pytest.approx([380 / 405, 320 / 380])
    assert best_threshold([better] * 3 + [worse]) == 0.5  # one of four makes half of the difference


def test_tables_have_json_types():
    found = Certainty(2, Calibration(2.0, 0.4))
    found.add(LABEL, BOTH)
    reliability, curve = found.tables()
    assert (reliability["temperature"], reliability["ece"], len(reliability["bins"])) == (2.0, found.own.error, 15)
    assert (curve["chosen"], curve["thresholds"][39], len(curve["iou"])) == (0.4, 0.4, 99)
    assert curve["precision"][-1] is None


def test_nets_of_several_thresholds_have_none_that_was_chosen():
    found = Certainty(2, Calibration(1.0, 0.4), mixed=True)
    found.add(LABEL, BOTH)
    assert found.tables()[1]["chosen"] is None
    assert found.tables()[0]["temperature"] == 1.0


def test_a_mean_of_nets_with_temperatures_has_no_error_without_them():
    mean, alone = Certainty(2, Calibration(), averaged=True), Certainty(2, Calibration())
    for one in (mean, alone):
        one.add(LABEL, BOTH)
    for found in (mean, mean + alone, alone + mean):
        table = found.tables()[0]
        assert (table["temperature"], table["ece"]) == (None, pytest.approx(alone.own.error))
        assert not {"ece_raw", "bins_raw"} & table.keys()
    assert alone.tables()[0]["ece_raw"] == alone.tables()[0]["ece"]


def test_nets_of_several_temperatures_may_have_one_threshold_and_the_other_way_round():
    counted = []
    for calibration in (Calibration(1.0, 0.4), Calibration(2.0, 0.4), Calibration(2.0, 0.3)):
        counted.append(Certainty(2, calibration))
        counted[-1].add(LABEL, BOTH)
    first, second, third = counted
    for one, other, temperature, threshold in (
        (first, second, None, 0.4), (second, third, 2.0, None), (first, third, None, None), (third, third, 2.0, 0.3),
    ):  # fmt: skip
        reliability, curve = (one + other).tables()
        assert (reliability["temperature"], curve["chosen"]) == (temperature, threshold)
    assert (first + second + third).tables()[1]["chosen"] is None


def test_more_classes_have_no_curve_and_masks_neither():
    three = np.full((1, 1, 3), 1 / 3)
    found = Certainty(3, Calibration())
    found.add(np.zeros((1, 1), np.uint8), three)
    assert found.tables()[1] is None
    masks = Certainty(2, Calibration())
    masks.add(LABEL, np.eye(2)[label_of(BOTH)])
    assert masks.tables() == (None, None)


def test_strips_borders_and_the_net_without_its_temperature(monkeypatch):
    three = np.random.default_rng(0).dirichlet((1, 1, 1), (7, 5)).astype(np.float32)
    masks = MaskFormat("instance", 3, border=1)
    label = np.random.default_rng(1).integers(0, 2, (7, 5)).astype(np.uint8)
    whole = Certainty(3, Calibration(2.0), masks)
    whole.add(label, three)
    monkeypatch.setattr(module, "STRIP", 10)
    parts = Certainty(3, Calibration(2.0), masks)
    parts.add(label, three)
    own, raw = Reliability(), Reliability()
    own.add(label, masks.real_probabilities(three))
    raw.add(label, masks.real_probabilities(tempered(three, 0.5)))
    for found in (whole.tables()[0], parts.tables()[0]):
        assert found["ece"] == pytest.approx(own.error)
        assert found["ece_raw"] == pytest.approx(raw.error)
