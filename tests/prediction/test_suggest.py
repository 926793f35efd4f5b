"""Which pictures to annotate next."""

import csv
import shutil

import cv2
import numpy as np
import pytest

from unet_tf import predict, read_image, suggest
from unet_tf.data.pictures import write_picture, write_stack
from unet_tf.errors import InputError
from unet_tf.prediction import suggest as suggesting
from unet_tf.prediction.suggest import _Candidate, choose, object_uncertainty
from unet_tf.utils.signals import Stopped


def candidate(name, uncertainty, *features):
    return _Candidate(name, 0, uncertainty, np.array(features, np.float32))


def names(found):
    return [one.picture for one in found]


def noise(number, shape=(60, 70), down=0):
    """A picture, or what lies so many rows further down in the same field."""
    small = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(small, (shape[1], shape[0] + 1))[down : down + shape[0]]


def test_sure_background_counts_for_nothing_and_doubtful_objects_for_most():
    sure, doubtful = [0.999999, 0.000001], [0.6, 0.4]  # no pixel of either becomes an object
    wide = np.array([[sure] * 99 + [doubtful]], np.float32)
    assert object_uncertainty(wide) == pytest.approx(0.971, abs=2e-3)
    objects = np.array([[[0.0, 1.0]] * 9 + [doubtful]], np.float32)
    assert 0 < object_uncertainty(objects) < 0.1
    assert object_uncertainty(np.array([[[1.0, 0.0]]], np.float32)) == 0


def test_of_copies_one_comes_before_the_others_and_the_rest_after():
    there = [candidate("a", 0.9, 0, 0), candidate("a copy", 0.89, 0, 1e-6), candidate("another copy", 0.88, 1e-6, 0),
             candidate("b", 0.3, 5, 5), candidate("c", 0.2, -5, 5), candidate("d", 0.1, 5, -5)]  # fmt: skip
    found = list(choose(there, 6))
    assert names(found) == ["a", "b", "c", "d", "a copy", "another copy"]
    assert (found[0].nearest, found[0].distance) == ("", 1)
    assert (found[4].nearest, found[4].distance) == ("a", pytest.approx(0, abs=1e-5))
    assert names(choose(there, 2)) == ["a", "b"]
    assert names(choose(there[::-1], 3)) == ["a", "b", "c"]


def test_pictures_that_are_merely_different_do_not_beat_doubtful_ones():
    there = [candidate(str(n), 0.9 - n / 100, n % 3, n // 3) for n in range(9)] + [candidate("far", 0.01, 1000, -1000)]
    assert names(choose(there, 10))[-1] == "far"


def test_equals_none_and_one_are_no_trouble():
    assert list(choose([], 3)) == []
    assert names(choose([candidate("a", 0.0, 1)], 3)) == ["a"]
    assert names(choose([candidate(name, 0.5, 1, 2) for name in "abc"], 3)) == ["a", "b", "c"]
    assert names(choose([candidate("a", 0.0, 1), candidate("b", 0.0, 2)], 2)) == ["a", "b"]


@pytest.fixture
def pictures(tmp_path):
    """Five pictures, and for each of two of them two near copies: shifted by a pixel, and a little brighter."""
    folder = tmp_path / "pictures"
    for number in range(5):
        write_picture(folder / f"{number}.png", noise(number))
    for number in (0, 1):
        write_picture(folder / f"{number}_brighter.png", np.clip(noise(number), 0, 254) + np.uint8(1))
        write_picture(folder / f"{number}_shifted.png", noise(number, down=1))
    return folder


def test_near_copies_come_after_one_of_each_kind(run, pictures):
    found = suggest(run, pictures, count=9).chosen
    assert len(found) == 9
    kinds = [one.picture.rsplit("/", 1)[1][0] for one in found]
    assert sorted(kinds[:5]) == list("01234")
    assert max(one.distance for one in found[5:]) < 0.5 * min(one.distance for one in found[1:5])
    assert suggest(run, pictures, count=3).chosen == found[:3]


def test_the_first_is_the_one_whose_objects_are_least_sure(run, pictures):
    found = suggest(run, pictures, count=9).chosen
    own = {path: object_uncertainty(predict(run, noise(int(path.stem)), probabilities=True))
           for path in pictures.glob("?.png")}  # fmt: skip
    listed = {one.picture: one.uncertainty for one in found}
    for path, value in own.items():
        assert listed[str(path)] == pytest.approx(value, abs=1e-6)
    assert found[0].uncertainty == max(listed.values())


def test_pictures_of_the_run_are_left_out_whatever_they_are_called(run, cells, pictures):
    shutil.copy(sorted((cells / "train" / "images").iterdir())[0], pictures / "learnt.png")
    shutil.copy(sorted((cells / "val" / "images").iterdir())[0], pictures / "validated.png")
    shutil.copy(sorted((cells / "test" / "images").iterdir())[0], pictures / "unseen.png")
    found = suggest(run, pictures, count=99)
    assert [name.rsplit("/", 1)[1] for name in found.known] == ["learnt.png", "validated.png"]
    assert found.looked == len(found.chosen) == 10
    assert str(pictures / "unseen.png") in names(found.chosen)


def test_a_cross_validation_knows_the_pictures_of_all_its_nets(folds, pictures):
    shutil.copy(sorted((folds.parent / "data" / "images").iterdir())[0], pictures / "learnt.png")
    found = suggest(folds, pictures, count=99)
    assert [name.rsplit("/", 1)[1] for name in found.known] == ["learnt.png"]
    first = found.chosen[0]
    own = object_uncertainty(predict(folds, read_image(first.picture)[..., 0], probabilities=True))
    assert first.uncertainty == pytest.approx(own, abs=1e-6)


def test_what_cannot_be_read_is_named_and_pages_are_pictures(run, pictures, tmp_path):
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n")
    write_picture(pictures / "deep.png", noise(3).astype(np.uint16))
    write_stack(pictures / "stack.tif", [noise(7), noise(8)])
    at = []
    found = suggest(run, pictures, 99, on_file=lambda *done: at.append(done))
    assert sorted(words.split(".png")[0].rsplit("/", 1)[1] for words in found.failed) == ["broken", "deep"]
    assert at[-1] == (12, 12)
    assert f"{pictures / 'stack.tif'}, page 1" in [one.name for one in found.chosen]
    only = suggest(run, pictures / "broken.png", 3, tmp_path / "list.txt")
    assert (only.chosen, only.looked, len(only.failed)) == ((), 0, 1)
    assert not (tmp_path / "list.txt").exists()


def test_a_picture_for_which_there_is_not_enough_memory_is_named_and_the_others_are_looked_at(
    run, pictures, monkeypatch
):
    def first_alone(predictor, file, *others):
        if file.endswith("/0.png"):
            raise MemoryError
        return candidate_of(predictor, file, *others)

    candidate_of = suggesting._candidate
    monkeypatch.setattr(suggesting, "_candidate", first_alone)
    found = suggest(run, pictures, 99)
    assert found.failed == (f"A picture must fit into memory, and {pictures / '0.png'} does not. Give parts of it.",)
    assert found.looked == 8


def test_lists_are_written_whole(run, pictures, tmp_path):
    found = suggest(run, pictures, 3, tmp_path / "new" / "list.txt").chosen
    assert (tmp_path / "new" / "list.txt").read_text().splitlines() == names(found)
    suggest(run, pictures, 3, tmp_path / "list.csv")
    rows = list(csv.DictReader((tmp_path / "list.csv").read_text().splitlines()))
    assert [row["picture"] for row in rows] == names(found)
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["uncertainty"]) == pytest.approx(found[0].uncertainty, abs=1e-6)


def test_a_list_of_no_picture_replaces_the_former_one(run, cells, tmp_path):
    learnt = sorted((cells / "train" / "images").iterdir())[0]
    for name, text in (("a.txt", ""), ("a.csv", "rank,picture,page,uncertainty,nearest,distance\n")):
        (tmp_path / name).write_text("former")
        assert suggest(run, learnt, 3, tmp_path / name).chosen == ()
        assert (tmp_path / name).read_text() == text


def test_a_signal_leaves_no_list(run, pictures, tmp_path, monkeypatch):
    def stop():
        raise Stopped

    monkeypatch.setattr("unet_tf.prediction.suggest.look", stop)
    with pytest.raises(Stopped):
        suggest(run, pictures, 3, tmp_path / "list.txt")
    assert not (tmp_path / "list.txt").exists()


def test_what_cannot_be_done_is_refused_before_a_picture_is_read(run, pictures, tmp_path):
    for count in (0, -1, True):
        with pytest.raises(InputError, match="1 picture or more"):
            suggest(run, pictures, count)
    for out in ("list.json", "list"):
        with pytest.raises(InputError, match=r"written as \.txt or \.csv"):
            suggest(run, pictures, 3, tmp_path / out)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        suggest(run, pictures, 3, tmp_path / "folder.csv")
    with pytest.raises(InputError, match="no run"):
        suggest(tmp_path, pictures)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture"):
        suggest(run, tmp_path / "empty")
