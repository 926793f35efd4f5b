import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from unet_tf import MaskFormat, Run, evaluate, predict_files
from unet_tf.config import TrainConfig
from unet_tf.data.folder import read_pair
from unet_tf.data.layout import find_named
from unet_tf.data.pictures import write_picture, write_stack
from unet_tf.errors import InputError
from unet_tf.evaluation.mask_folder import MaskFolder
from unet_tf.evaluation.opening import subject_of, subjects_of

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
MISSED = np.array([[0, 0, 0, 1], [0, 1, 1, 1]], np.uint8)  # one of 1 missed, one invented


def write(folder, masks, role="masks"):
    """Write masks a, b, .. and return their folder."""
    for name, mask in zip("abcdefgh", masks, strict=False):
        write_picture(folder / role / f"{name}.png", mask)
    return folder / role


@pytest.fixture
def data(tmp_path):
    """Two pictures whose truth is 0/255."""
    write(tmp_path / "data", [np.arange(8, dtype=np.uint8).reshape(2, 4)] * 2, "images")
    write(tmp_path / "data", [TRUTH * 255] * 2)
    return tmp_path / "data"


def test_the_truth_itself_scores_exactly_one_and_is_said_to_be_it(data, caplog):
    result = evaluate(data / "masks", data)
    assert result.mean_iou == result.scores["mean_dice"] == result.scores["pixel_accuracy"] == 1.0
    assert (result.boundaries.f == 1).all()
    assert f"2 of 2 masks of {data / 'masks'} are the very files of the truth" in caplog.text


def test_scores_are_those_of_the_pixels_by_hand_and_nothing_else_is_there(data, tmp_path):
    result = evaluate(write(tmp_path / "theirs", [TRUTH * 255, MISSED * 255]), data, out=tmp_path / "out")
    assert result.confusion.tolist() == [[7, 1], [1, 7]]
    assert [value for _, value in result.per_file] == [0.6, 1.0]  # 3 / 5 of each class
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["mean_soft_dice"] is None
    assert set(stored["soft_dice"].values()) == {None}
    assert stored["judged"] == {
        "kind": "masks",
        "path": str(tmp_path / "theirs" / "masks"),
        "data": str(data.resolve()),
        "command": f"unet-tf evaluate {tmp_path / 'theirs' / 'masks'} {data} --out {tmp_path / 'out'}",
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["evaluation.json", "panels", "report.html"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "soft Dice" not in page
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["masks"]


@pytest.mark.parametrize(
    ("values", "words"),
    [((0, 1), "binary, 0 background, 1 foreground"), ((0, 255), "binary, 0 background, 255 foreground"),
     ((0, 65535), "binary, 0 background, 65535 foreground"), ((1, 2), "index, 1 background, 2 foreground"),
     ((3, 9), "index, 3 background, 9 foreground")],
)  # fmt: skip
def test_two_values_of_another_kind_are_read_and_said(data, tmp_path, values, words):
    masks = [np.array(values, np.uint16)[label] for label in (TRUTH, MISSED)]
    if max(values) < 256:
        masks = [mask.astype(np.uint8) for mask in masks]
    result = evaluate(write(tmp_path / "theirs", masks), data)
    assert result.confusion.tolist() == [[7, 1], [1, 7]]
    assert result.files == f"2 files of {data}; the masks of {tmp_path / 'theirs' / 'masks'}, read as {words}"


def test_arrays_are_read(data, tmp_path):
    (tmp_path / "theirs").mkdir()
    for name, label in zip("ab", (TRUTH, MISSED), strict=True):
        np.save(tmp_path / "theirs" / f"{name}.npy", label.astype(bool))
    assert evaluate(tmp_path / "theirs", data).confusion.tolist() == [[7, 1], [1, 7]]


def test_no_foreground_at_all_is_no_error(data, tmp_path):
    result = evaluate(write(tmp_path / "theirs", [0 * TRUTH] * 2), data)
    assert result.confusion.tolist() == [[8, 0], [8, 0]]


def test_255_beside_0_is_a_class_although_the_truth_has_it_for_void(tmp_path):
    """Read as the truth is, all foreground would count nowhere, and the score be 1."""
    write(tmp_path, [TRUTH] * 2, "images")
    write(tmp_path, [np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)] * 2)
    theirs = write(tmp_path / "theirs", [MISSED * 255] * 2)
    for bits in ("L", "1"):  # of one file
        Image.fromarray(MISSED * 255).convert(bits).save(theirs / "b.png")
        result = evaluate(theirs, tmp_path, classes=2, masks="index")
        assert result.confusion.tolist() == [[6, 2], [2, 4]]
        assert "binary, 0 background, 255 foreground" in result.files


def test_void_in_the_masks_alone_counts_nowhere_and_is_said(tmp_path):
    write(tmp_path, [TRUTH] * 2, "images")
    truth = np.array([[0, 0, 1, 2], [0, 0, 1, 255]], np.uint8)
    theirs = np.array([[255, 0, 1, 1], [0, 0, 255, 0]], np.uint8)
    write(tmp_path, [truth] * 2)
    result = evaluate(write(tmp_path / "theirs", [theirs, truth]), tmp_path, classes="a,b,c", masks="index")
    assert result.confusion.tolist() == [[7, 0, 0], [0, 3, 0], [0, 1, 1]]
    assert result.files.endswith("; 14.29% of the pixels are void in them alone, and ignored")  # 2 of 14


def test_the_share_of_void_counts_a_picture_once_however_often_it_is_asked_for(tmp_path):
    """The median of many pictures is answered twice, to be drawn."""
    write(tmp_path, [TRUTH] * 2, "images")
    write(tmp_path, [TRUTH] * 2)
    theirs = write(tmp_path / "theirs", [np.where(TRUTH, 255, 0).astype(np.uint8), np.full_like(TRUTH, 1)])
    subject = subject_of(theirs, tmp_path, {"classes": "a,b", "masks": "index"})
    pairs = [pair for some in find_named(tmp_path).splits.values() for pair in some]
    subject.ready(pairs)
    subject.reading = subject.reading._replace(masks=replace(subject.masks, void=(255,)))
    for pair in (*pairs, pairs[0], pairs[0]):
        subject.answer(pair, read_pair(pair, subject.masks))
    assert "; 25.00% of the pixels are void in them alone" in subject.words  # 4 of 16


def test_masks_of_more_classes_than_the_truth_are_refused_with_their_values(tmp_path):
    write(tmp_path, [TRUTH] * 2, "images")
    write(tmp_path, [TRUTH] * 2)
    theirs = write(tmp_path / "theirs", [TRUTH + 2 * (MISSED & ~TRUTH)] * 2)
    with pytest.raises(
        InputError, match=r"classes background, foreground as the truth does \(binary, 0 .*hold 0, 1, 2"
    ):
        evaluate(theirs, tmp_path)
    write(tmp_path, [TRUTH + MISSED] * 2)
    theirs = write(tmp_path / "theirs", [TRUTH + MISSED, 2 * (TRUTH + MISSED)])
    with pytest.raises(
        InputError, match=r"also holds 4 \(.* It is judged, and must hold the classes of the truth: a, b, c"
    ):
        evaluate(theirs, tmp_path, classes="a,b,c", masks="index")


def test_colours_in_another_order_mean_the_same(tmp_path):
    colours = np.array([(0, 0, 255), (128, 64, 128), (0, 0, 0)], np.uint8)
    write(tmp_path, [TRUTH] * 2, "images")
    write(tmp_path, [colours[TRUTH], colours[2 * TRUTH]])
    (tmp_path / "label_colors.txt").write_text("0 0 255 sky\n128 64 128 road\n0 0 0 void\n")
    theirs = write(tmp_path / "theirs", [colours[MISSED], colours[MISSED]])
    assert evaluate(theirs, tmp_path).confusion.tolist() == [[6, 2], [1, 3]]
    own = {"road": (9, 9, 9), "sky": (200, 0, 0)}  # of another program, in another order
    write(tmp_path / "theirs", [np.array([own["sky"], own["road"]], np.uint8)[MISSED]] * 2)
    (theirs / "label_colors.txt").write_text("9 9 9 road\n200 0 0 sky\n")
    assert evaluate(theirs, tmp_path).confusion.tolist() == [[6, 2], [1, 3]]
    write(tmp_path / "theirs", [1 - MISSED] * 2)  # the lines of its file
    assert evaluate(theirs, tmp_path).confusion.tolist() == [[6, 2], [1, 3]]
    (theirs / "label_colors.txt").write_text("9 9 9 road\n200 0 0 water\n")
    with pytest.raises(InputError, match="classes of the truth, sky, road; .* has road, water"):
        evaluate(theirs, tmp_path)


def test_colour_tables_in_another_order_are_refused(tmp_path, caplog):
    table = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    write(tmp_path, [TRUTH] * 2, "images")
    for place, colours in (("masks", table), ("theirs", table[[0, 2, 1]]), ("ours", table + 5)):
        for name in "ab":
            write_picture(tmp_path / place / f"{name}.png", TRUTH + MISSED, colours)
    with pytest.raises(
        InputError, match=r"by the colour tables 1 is \(255, 0, 0\) in .*masks and \(0, 255, 0\) in .*theirs"
    ):
        evaluate(tmp_path / "theirs", tmp_path, classes="a,b,c", masks="index", masks_dir="masks")
    result = evaluate(tmp_path / "ours", tmp_path, classes="a,b,c", masks="index", masks_dir="masks")
    assert result.mean_iou == 1  # colours of their own say nothing
    write_picture(tmp_path / "ours" / "b.png", TRUTH + MISSED, table + np.uint8([[5], [5], [6]]))
    result = evaluate(tmp_path / "ours", tmp_path, classes="a,b,c", void="c", masks="index", masks_dir="masks")
    assert result.mean_iou == 1
    write_picture(tmp_path / "ours" / "b.png", 2 - TRUTH - MISSED, (table + 5)[::-1])
    evaluate(tmp_path / "ours", tmp_path, classes="a,b,c", masks="index", masks_dir="masks")
    assert "0 is (5, 5, 5) in" in caplog.text and "their colours another" in caplog.text
    write(tmp_path / "plain", [TRUTH + MISSED] * 2)
    write_picture(tmp_path / "masks" / "b.png", 2 - TRUTH - MISSED, table[::-1])
    caplog.clear()
    evaluate(tmp_path / "plain", tmp_path, classes="a,b,c", masks="index", masks_dir="masks")
    assert "0 is (0, 0, 0) in" in caplog.text and "their colours another" in caplog.text  # of the truth


def test_colours_that_nothing_explains_are_refused(data, tmp_path):
    theirs = write(tmp_path / "theirs", [np.array([(0, 0, 0), (200, 0, 0)], np.uint8)[TRUTH]] * 2)
    with pytest.raises(InputError, match="colour-coded, and nothing says which colour is which class"):
        evaluate(theirs, data)


def ids(number=5):
    """(50, 50) ids of squares of 4 px, each apart, and their binary mask."""
    found = np.zeros((50, 50), np.uint16)
    for n in range(number * number):
        row, column = divmod(n, number)
        found[2 + 9 * row : 6 + 9 * row, 2 + 9 * column : 6 + 9 * column] = n + 1
    return found


def test_ids_of_objects_against_two_classes_and_the_other_way_round(tmp_path):
    objects = ids()
    write(tmp_path / "binary", [objects] * 2, "images")
    write(tmp_path / "objects", [objects] * 2, "images")
    binary = write(tmp_path / "binary", [(objects > 0).astype(np.uint8) * 255] * 2)
    numbered = write(tmp_path / "objects", [objects, np.where(objects > 20, 0, objects)])
    result = evaluate(numbered, tmp_path / "binary")
    assert result.confusion.tolist() == [[2 * 2100, 0], [5 * 16, 2 * 400 - 5 * 16]]
    assert result.files.endswith("read as ids of objects")
    result = evaluate(binary, tmp_path / "objects")
    assert result.classes == ("background", "cell")
    assert result.confusion.tolist() == [[2 * 2100, 5 * 16], [0, 2 * 400 - 5 * 16]]


def test_masks_of_ids_say_their_objects(tmp_path):
    """For scores of objects: those of the masks themselves, those that predict wrote beside, or none."""
    objects = ids()
    write(tmp_path, [objects] * 2, "images")
    write(tmp_path, [objects, np.where(objects > 20, 0, objects)])

    def said(folder):
        subject = subject_of(folder, tmp_path, {})
        pairs = find_named(tmp_path).splits[""]
        subject.ready(pairs)
        return subject.answer(pairs[0], read_pair(pairs[0], subject.masks)).objects

    theirs = write(tmp_path / "theirs", [objects * 3, objects])
    np.testing.assert_array_equal(said(theirs), objects * 3)
    assert said(write(tmp_path / "binary", [(objects > 0).astype(np.uint8)] * 2)) is None
    predicted = write(tmp_path / "predicted", [(objects > 0).astype(np.uint8)] * 2)
    for name in "ab":
        write_picture(predicted / f"{name}_instances.tif", objects * 2)
    (predicted / "predict.json").write_text('{"instances": false}')
    assert said(predicted) is None  # they are of masks before these
    (predicted / "predict.json").write_text('{"instances": true}')
    np.testing.assert_array_equal(said(predicted), objects * 2)


def test_ids_that_a_program_kept_as_float_are_ids(tmp_path):
    objects = ids()
    write(tmp_path, [objects], "images")
    for place in ("masks", "theirs"):
        (tmp_path / place).mkdir()
        np.save(tmp_path / place / "a.npy", objects.astype(np.float32))
    result = evaluate(tmp_path / "theirs", tmp_path, masks="instance", masks_dir="masks")
    assert result.judged[0].objects.found == (25,) * 10


def test_another_size_is_refused_with_both(data, tmp_path):
    theirs = write(tmp_path / "theirs", [TRUTH * 255, TRUTH[:, :3] * 255])
    with pytest.raises(
        InputError, match=r"size of its picture: .*b\.png is 2x3, b 2x4\. Export it at that size"
    ) as caught:
        evaluate(theirs, data)
    assert caught.value.file == theirs / "b.png"


def test_a_damaged_mask_is_named(data, tmp_path):
    theirs = write(tmp_path / "theirs", [TRUTH * 255] * 2)
    (theirs / "b.png").write_bytes((theirs / "b.png").read_bytes()[:40])
    with pytest.raises(InputError, match=r"b\.png"):
        evaluate(theirs, data)


def test_values_that_are_no_ids_are_refused(data, tmp_path):
    (tmp_path / "theirs").mkdir()
    for name in "ab":
        np.save(tmp_path / "theirs" / f"{name}.npy", np.where(TRUTH, np.nan, 0.0))
    with pytest.raises(InputError, match="holds float64 pixels, such as nan, and masks hold whole numbers"):
        evaluate(tmp_path / "theirs", data)


def test_soft_edges_are_read_as_the_truth_where_it_tolerates_them(data, tmp_path):
    soft = [np.array([[3, 0, 250, 255], [0, 9, 240, 255]], np.uint8)] * 2
    theirs = write(tmp_path / "theirs", soft)
    with pytest.raises(InputError, match="must say the classes"):
        evaluate(theirs, data)
    assert evaluate(theirs, data, masks="binary", mask_tolerance=128).mean_iou == 1
    ones = write(tmp_path / "ones", [TRUTH] * 2)
    assert evaluate(ones, data, masks="binary", mask_tolerance=128).mean_iou == 1  # and not all background


def test_inverted_masks_are_inverted_in_both(data, tmp_path):
    result = evaluate(write(tmp_path / "theirs", [MISSED] * 2), data, inverted=True)
    assert result.confusion.tolist() == [[6, 2], [2, 6]]
    assert "binary, 1 background, 0 foreground" in result.files


def test_stacks_are_judged_page_by_page_and_belong_together(tmp_path):
    pages = np.stack([TRUTH, MISSED, TRUTH])
    for place, stack in (("images", pages), ("masks", pages * 255), ("theirs", pages[[0, 0, 0]])):
        (tmp_path / place).mkdir()
        write_stack(tmp_path / place / "s.tif", stack)
        write_stack(tmp_path / place / "t.tif", stack[:2])
    result = evaluate(tmp_path / "theirs", tmp_path, masks_dir="masks")
    scored = {pair.name: value for pair, value in result.per_file}
    assert scored == {"s_0": 1.0, "s_1": 0.6, "s_2": 1.0, "t_0": 1.0, "t_1": 0.6}
    assert len({one.group for one in result.judged}) == 2


def test_masks_read_the_truth_as_the_net_does_with_which_they_are_compared(tmp_path):
    run = Run("tests/saved/run_0_1")
    write(tmp_path, [TRUTH] * 2, "images")
    theirs = write(tmp_path / "theirs", [TRUTH] * 2)
    write(tmp_path, [TRUTH * 255] * 2)
    net, masks = subjects_of([run, theirs], tmp_path, {})
    assert (masks.classes, masks.masks) == (run.classes, run.masks)
    masks, net = subjects_of([theirs, run], tmp_path, {"mask_suffix": ""})
    assert (masks.classes, net.classes) == (run.classes, run.classes)


def test_borders_of_a_net_are_drawn_for_masks_as_for_itself(tmp_path):
    """Objects that touch: the truth of a net with a border class keeps them whole, and so it does masks."""
    objects = np.zeros((8, 8), np.uint16)
    objects[2:6, 1:4], objects[2:6, 4:7] = 1, 2
    write(tmp_path, [objects] * 2, "images")
    theirs = write(tmp_path, [objects] * 2)
    plain = subject_of(theirs, tmp_path, {"masks": "instance"})
    border = MaskFormat("instance", 3, border=1)
    like = replace(plain, masks=border, classes=("background", "cell", "border"))
    masks = MaskFolder.open(theirs, tmp_path, TrainConfig(), like)
    pairs = find_named(tmp_path).splits[""]
    masks.ready(pairs)
    decoded = read_pair(pairs[0], border)
    np.testing.assert_array_equal(masks.answer(pairs[0], decoded).label, decoded.label)


def test_what_predict_wrote_scores_as_its_net_does(cells, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = Run(shutil.copytree("tests/saved/run_0_1", tmp_path / "run"))
    predict_files(run, cells / "test" / "images", tmp_path / "out", probabilities=True, overlay=True, instances=True)
    own, masks = evaluate(run, cells), evaluate(tmp_path / "out", cells, classes=",".join(run.classes))
    np.testing.assert_array_equal(masks.confusion, own.confusion)
    np.testing.assert_array_equal(masks.boundary, own.boundary)
    assert masks.intervals == own.intervals
    assert masks.files.endswith("; predict wrote them, and its net's training files are not known")
    assert "were predicted from other pictures" not in caplog.text
    evaluate(tmp_path / "out", cells, "val")  # of the same names
    assert "Predicted from other pictures" in caplog.text
