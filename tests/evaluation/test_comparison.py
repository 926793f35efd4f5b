import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from unet_tf import Run, compare, evaluate
from unet_tf.data.fingerprint import identity
from unet_tf.data.pictures import read_image, write_picture, write_stack
from unet_tf.edge.description import Description, Origin
from unet_tf.errors import InputError
from unet_tf.evaluation.comparison import NotKept
from unet_tf.evaluation.verdict import seen
from unet_tf.utils.signals import Stopped

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"
NAMES = "abcdef"


def wrong(label, count):
    """A label of which so many pixels are the other class."""
    found = label.copy()
    found.ravel()[:count] = 1 - found.ravel()[:count]
    return found


@pytest.fixture
def data(tmp_path):
    """Six pictures of 20x24 px; A is wrong in 10 pixels of each, B in 2, and in 12 of the last."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        label = rng.integers(0, 2, (20, 24), np.uint8)
        write_picture(tmp_path / "data" / "images" / f"{name}.png", rng.integers(0, 256, (20, 24), np.uint8))
        write_picture(tmp_path / "data" / "masks" / f"{name}.png", label * 255)
        write_picture(tmp_path / "a" / f"{name}.png", wrong(label, 10) * 255)
        write_picture(tmp_path / "b" / f"{name}.png", wrong(label, 12 if name == "f" else 2))
    return tmp_path / "data"


def learnt(path, data, train="", val=""):
    """The saved run, as if it had learnt from pictures of the data."""
    shutil.copytree(SAVED, path)
    rows = ["split,name,sha256,label_sha256"]
    for split, names in (("train", train), ("val", val)):
        rows += [f"{split},{name},{identity(read_image(data / 'images' / f'{name}.png'))},x" for name in names]
    (path / Run.FILES).write_text("\n".join(rows) + "\n")
    return path


def test_each_image_is_compared_with_itself(data, tmp_path):
    result = compare(tmp_path / "a", tmp_path / "b", data)
    found = result.differences["pixel accuracy"]
    assert (found.a, found.b) == pytest.approx((470 / 480, (5 * 478 + 468) / 6 / 480))
    assert (found.better, found.worse, found.ties, found.images) == (5, 1, 0, 6)
    assert found.p == 2 * 7 / 2**6
    for name in ("mean IoU", "IoU foreground", "Dice background"):
        low, high = result.differences[name].interval
        assert low < result.differences[name].difference < high
    own = evaluate(tmp_path / "a", data)
    np.testing.assert_array_equal(result.a.confusion, own.confusion)
    assert result.differences["mean IoU"].a == pytest.approx(np.mean([value for _, value in own.per_file]))
    assert result.verdict.startswith("B may be better; interval and sign test do not agree: mean IoU +0.0")
    assert [case.title for case in result.cases][-1] == "f"
    case = result.cases[0]
    assert (case.image.shape, case.b - case.a > 0) == ((20, 24, 1), True)
    assert [(case.label != one).sum() for one in (case.prediction_a, case.prediction_b)] == [10, 2]


def test_the_same_twice_differs_by_exactly_nothing(data, tmp_path, caplog):
    result = compare(tmp_path / "a", tmp_path / "a", data)
    assert f"A and B are the same, {tmp_path / 'a'}" in caplog.text
    assert {(one.difference, one.interval, one.p) for one in result.differences.values()} == {(0.0, (0.0, 0.0), 1.0)}
    assert result.verdict == "A and B have the same mean IoU on each of these 6 images."
    assert result.cases == ()


def test_what_is_kept_is_whole(data, tmp_path, caplog):
    result = compare(tmp_path / "a", tmp_path / "b", data, out=tmp_path / "out", void=(), group=None)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["compare.html", "compare.json"]
    stored = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert stored == result.to_json()
    assert stored["verdict"] == result.verdict
    assert [one["name"] for one in stored["images"]] == list(NAMES)
    assert stored["images"][0]["a"]["pixel accuracy"] == 470 / 480
    assert stored["a"]["judged"]["path"] == str(tmp_path / "a")
    assert stored["differences"]["mean IoU"]["difference"] == result.differences["mean IoU"].difference
    assert stored["command"] == f"unet-tf compare {tmp_path}/a {tmp_path}/b {data} --out {tmp_path}/out"
    page = (tmp_path / "out" / "compare.html").read_text()
    assert result.verdict in page
    compare(tmp_path / "a", tmp_path / "b", data, out=tmp_path / "out")
    assert "was of" not in caplog.text
    compare(tmp_path / "b", tmp_path / "a", data, out=tmp_path / "out")  # again, in its place
    (said,) = [text for text in caplog.messages if "was of" in text]
    a, b = tmp_path.resolve() / "a", tmp_path.resolve() / "b"
    assert said.startswith(f"{tmp_path / 'out' / 'compare.html'} was of A: {a}; B: {b}; 6 files of {data}")
    assert f" and is now of A: {b}; B: {a}; 6 files of {data}" in said
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["a"]["judged"]["path"] == str(tmp_path / "b")
    compare(tmp_path / "b", tmp_path / "a", data, out=tmp_path / "out", masks_dir="masks")
    (_, said) = [text for text in caplog.messages if "was of" in text]
    assert f" and is now of A: {b}; B: {a}; 6 files of {data}; paired by --masks-dir masks; " in said


def test_files_that_one_of_the_two_learnt_from_are_left_out(data, tmp_path):
    one, other = learnt(tmp_path / "one", data, "ab"), learnt(tmp_path / "other", data, "bc", "d")
    result = compare(one, other, data)
    assert [first.pair.name for first, _ in result.images] == ["d", "e", "f"]
    assert result.left_out == ("a", "b", "c")
    assert result.files == (
        f"3 files of {data}, without 3 that A or B was trained on; among them validation files of B, by which the best "
        "epoch was chosen"
    )
    assert [seen(side.files) for side in (result.a, result.b)] == [
        "it never saw",
        "it was not trained on, though its best epoch was chosen by such",
    ]
    assert result.differences["mean IoU"].ties == 3
    result = compare(tmp_path / "b", one, data)
    assert result.left_out == ("a", "b")
    assert result.files.endswith(f"; A: the masks of {tmp_path / 'b'}, read as binary, 0 background, 1 foreground")
    assert len(compare(one, other, data, "all").images) == 6
    with pytest.raises(InputError, match="files that neither was trained on; of the 6 of .* none is such"):
        compare(learnt(tmp_path / "abc", data, "abc"), learnt(tmp_path / "def", data, "def"), data)


def test_files_of_a_split_are_those_of_both(data, tmp_path):
    one, other = learnt(tmp_path / "one", data, "a", "bcd"), learnt(tmp_path / "other", data, "ae", "cdf")
    result = compare(one, other, data, "val")
    assert result.left_out == ("a", "b", "e", "f")
    chosen = "by which the best epoch was chosen"
    assert result.files == (
        f"2 files of {data}, without 4 that are not among the val files of both; among them validation files of A, "
        f"{chosen}; among them validation files of B, {chosen}"
    )
    learnt_from = compare(one, other, data, "train")
    assert learnt_from.files == (
        f"1 file of {data}, without 5 that are not among the train files of both, seen in training or not"
    )
    of_masks = compare(tmp_path / "b", one, data, "val").files
    assert of_masks.startswith(
        f"3 files of {data}, without 3 that are not among the val files of B; among them validation files of B, "
    )
    with pytest.raises(InputError, match="on files that are val files of both; of the 6 of .* none is such"):
        compare(one, learnt(tmp_path / "third", data, "b", "aef"), data, "val")


def test_what_is_said_of_a_split_of_the_folder_depends_on_what_both_learnt(data, tmp_path):
    for role in ("images", "masks"):
        (data / role).rename(data / f"{role}_of_all")
        for split, names in (("val", "abc"), ("test", "def")):
            (data / split / role).mkdir(parents=True)
            for name in names:
                shutil.move(data / f"{role}_of_all" / f"{name}.png", data / split / role)
        (data / f"{role}_of_all").rmdir()
    one, other = learnt(tmp_path / "one", data / "val", "a", "b"), learnt(tmp_path / "other", data / "val", "", "c")
    assert compare(one, other, data, "test").files == f"3 files of {data} (test)"
    chosen = "; among them validation files of {}, by which the best epoch was chosen"
    result = compare(one, other, data, "val")
    assert result.files == f"3 files of {data} (val), seen in training or not{chosen.format('B')}"
    assert result.a.files == f"3 files of {data} (val), seen in training or not"
    assert result.b.files == f"3 files of {data} (val){chosen.format('B')}"


def test_two_that_see_the_same_channels_read_each_image_once_to_know_it(data, tmp_path, monkeypatch):
    from unet_tf.data import folder

    read, own = [], folder.Pair.read
    monkeypatch.setattr(folder.Pair, "read", lambda pair: read.append(pair.name) or own(pair))
    one, other = learnt(tmp_path / "one", data, "abcde"), learnt(tmp_path / "other", data)
    compare(one, other, data)
    assert [read.count(name) for name in "abcde"] == [1] * 5  # to tell that it is left out


def test_files_that_a_bundle_lists_as_learnt_are_left_out(data, tmp_path):
    run = learnt(tmp_path / "run", data, "a")
    about = Run(SAVED)
    origin = Origin(data={"fingerprint": "", "train": 2, "val": 1})
    said = Description(about.classes, about.masks, about.normalisation, about.geometry, 32, origin, about.channels)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    shutil.copy(SAVED / Run.BEST, bundle / "model.keras")
    listed = [identity(read_image(data / "images" / f"{name}.png"))[:16] for name in "bc"]
    (bundle / "bundle.json").write_text(json.dumps(said.to_json() | {"learnt": listed}))
    result = compare(run, bundle, data)
    assert result.left_out == ("a", "b", "c")
    assert result.files == (
        f"3 files of {data}, without 3 that A or B was trained on; of B: by which files its best epoch was chosen is "
        "not known"
    )
    (bundle / "bundle.json").write_text(json.dumps(said.to_json()))
    result = compare(run, bundle, data)
    assert result.files.endswith("; of B: the bundle's training files are not known")
    assert [seen(side.files) for side in (result.a, result.b)] == ["it never saw", "that it may have been trained on"]


def test_a_run_scores_as_when_it_is_judged_alone(data, tmp_path):
    run = learnt(tmp_path / "run", data)
    alone, compared = evaluate(run, data), compare(tmp_path / "a", run, data).b
    np.testing.assert_array_equal(alone.confusion, compared.confusion)
    np.testing.assert_array_equal(alone.boundary, compared.boundary)


def test_progress_counts_both_and_stops_between_two_images(data, tmp_path):
    seen, known = [], []

    def tell(done, total):
        seen.append((done, total))
        if done == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        compare(tmp_path / "a", tmp_path / "b", data, None, tell, lambda *at: known.append(at), tmp_path / "out")
    assert seen == [(done, 12) for done in range(1, 8)]
    assert known[-1] == (6, 6)
    assert not (tmp_path / "out").exists()


def test_void_of_either_counts_for_neither(data, tmp_path):
    """Else whoever leaves the hard pixels out would be better."""
    mask = np.full((20, 24), 255, np.uint8)
    mask[5:] = read_image(data / "masks" / "a.png")[5:, :, 0] // 255  # the rest as it is
    write_picture(tmp_path / "b" / "a.png", mask)
    result = compare(tmp_path / "a", tmp_path / "b", data)
    assert "B: the masks of" in result.files
    assert "read as index, 0 background, 1 foreground; 4.17% of the pixels" in result.files  # 120 of 6 x 480
    for side in (result.a, result.b):
        assert next(one for one in side.judged if one.pair.name == "a").counts[1].sum() == 15 * 24
    assert "of the pixels are void in them alone" in result.files


def test_pages_of_a_stack_count_as_one(data, tmp_path):
    rng = np.random.default_rng(1)
    pages = rng.integers(0, 2, (4, 20, 24)).astype(np.uint8)
    for place in (data / "images", data / "masks", tmp_path / "a", tmp_path / "b"):
        shown = pages * 255 if place.name in ("masks", "a") else pages
        write_stack(place / "s.tif", shown)
    found = compare(tmp_path / "a", tmp_path / "b", data).differences["mean IoU"]
    assert (found.images, found.groups, found.better, found.ties) == (10, 7, 5, 1)
    found = compare(tmp_path / "a", tmp_path / "b", data, group="^[a-f]|^s").differences["mean IoU"]
    assert found.groups == 7


def test_few_images_have_no_interval(data, tmp_path):
    for name in "cdef":
        for role in ("images", "masks"):
            (data / role / f"{name}.png").unlink()
    result = compare(tmp_path / "a", tmp_path / "b", data)
    assert result.differences["mean IoU"].interval is None
    assert result.verdict.endswith("better on 2 of 2 images, p = 0.5. Fewer than five images have no interval.")
    assert result.to_json()["differences"]["mean IoU"]["interval"] is None


def test_a_class_that_occurs_nowhere_in_an_image_is_left_out_there_and_said(data, tmp_path):
    write_picture(data / "masks" / "a.png", np.zeros((20, 24), np.uint8))
    write_picture(tmp_path / "a" / "a.png", np.zeros((20, 24), np.uint8))
    result = compare(tmp_path / "a", tmp_path / "b", data)
    assert result.differences["IoU foreground"].images == 5
    assert result.differences["mean IoU"].images == 6
    assert "are left out of IoU foreground, Dice foreground." in result.notes[1]
    assert result.to_json()["images"][0]["a"]["IoU foreground"] is None


def test_classes_of_other_names_are_refused_with_both_lists(data, tmp_path):
    one, other = learnt(tmp_path / "one", data), learnt(tmp_path / "other", data)
    config = (other / Run.CONFIG).read_text()
    (other / Run.CONFIG).write_text(config.replace('"foreground"', '"cell"'))
    with pytest.raises(InputError, match=r"same classes: A \(.*one\) has background, foreground; B .*, cell"):
        compare(one, other, data)


def test_classes_in_another_order_are_the_same(data, tmp_path):
    one, other = learnt(tmp_path / "one", data), learnt(tmp_path / "other", data)
    config = (other / Run.CONFIG).read_text()
    turned = '"foreground",\n    "background",'
    (other / Run.CONFIG).write_text(config.replace('"background",\n    "foreground",', turned))
    result = compare(one, other, data)
    assert result.a.classes == result.b.classes == ("background", "foreground")
    own = result.a.confusion
    np.testing.assert_array_equal(result.b.confusion, own[:, ::-1])  # its first class is now the other's second


def test_a_comparison_that_cannot_be_kept_is_not_lost(data, tmp_path, monkeypatch):
    from unet_tf.evaluation import comparison

    def read_only(path, stored):
        raise InputError(f"Cannot write {path}: Read-only file system.")

    monkeypatch.setattr(comparison, "write_json", read_only)
    with pytest.raises(NotKept, match=r"cannot be stored in .*out\. Cannot write") as caught:
        compare(tmp_path / "a", tmp_path / "b", data, out=tmp_path / "out")
    assert caught.value.comparison.differences["mean IoU"].better == 5


def test_a_folder_with_other_things_is_refused_before_the_work(data, tmp_path):
    with pytest.raises(InputError, match="Scores must go into a folder of their own"):
        compare(tmp_path / "a", tmp_path / "b", data, on_image=pytest.fail, out=tmp_path)


def test_names_of_a_and_b_tell_them_apart(data, tmp_path):
    shutil.copytree(tmp_path / "a", tmp_path / "x" / "masks")
    shutil.copytree(tmp_path / "b", tmp_path / "y" / "masks")
    assert compare(tmp_path / "a", tmp_path / "b", data).names == ("a", "b")
    both = tmp_path / "x" / "masks", tmp_path / "y" / "masks"
    assert compare(*both, data).names == ("x/masks", "y/masks")
    assert compare(both[0], both[0], data).names == ("masks", "masks")


def test_nets_may_see_other_channels_of_the_same_files(data, tmp_path):
    one, other = learnt(tmp_path / "one", data, "a"), learnt(tmp_path / "other", data, "b")
    with (other / Run.CONFIG).open("a") as config:
        config.write('\n[channels]\npicked = ["0"]\n')
    result = compare(one, other, data)
    assert result.left_out == ("a", "b")
    assert result.differences["mean IoU"].ties == 4
    text = (other / Run.CONFIG).read_text()
    (other / Run.CONFIG).write_text(text.replace('picked = ["0"]', 'suffixes = ["_r", "_g"]'))
    with pytest.raises(InputError, match=r"same files: B \(.*other\) reads images of _r, _g, .*one of one file"):
        compare(one, other, data)


def test_objects_are_compared_where_the_truth_tells_them_apart(tmp_path):
    """A gives ids: nine whole objects in ten; B a mask in which two of these are one piece."""
    ids = np.zeros((60, 30), np.uint16)
    for n in range(24):
        row, column = divmod(n, 4)
        ids[2 + 9 * row : 8 + 9 * row, 1 + 7 * column : 7 + 7 * column] = n + 1
    joined = (ids > 0).astype(np.uint8)
    joined[4, 7] = 1  # the first two
    for name in NAMES:
        write_picture(tmp_path / "data" / "images" / f"{name}.png", ids.astype(np.uint8))
        write_picture(tmp_path / "data" / "masks" / f"{name}.png", ids if name > "a" else np.where(ids > 22, 0, ids))
        write_picture(tmp_path / "a" / f"{name}.png", 3 * ids)
        write_picture(tmp_path / "b" / f"{name}.png", joined)
    result = compare(tmp_path / "a", tmp_path / "b", tmp_path / "data")
    found = result.differences["AP at 0.5"]
    # A invents two in the first image; the piece of B is none of the two that it holds: half of it is 36 of 73 px
    assert found.a == pytest.approx((22 / 24 + 5) / 6)
    assert found.b == pytest.approx((20 / 25 + 5 * 22 / 25) / 6)
    assert (found.better, found.worse) == (0, 6)
    assert result.to_json()["images"][1]["b"]["AP at 0.75"] == 22 / 25
