import cv2
import numpy as np
import pytest

from unet_tf.data.folder import find_pairs, find_splits, match, read_image, read_pair, write_picture
from unet_tf.errors import InputError
from unet_tf.files import replacing


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array if array.ndim == 2 else array[..., ::-1])


@pytest.fixture
def data(tmp_path):
    """Ten pairs, 8x6 px."""
    for i in range(10):
        write(tmp_path / "images" / f"{i}.png", np.full((8, 6), i, np.uint8))
        write(tmp_path / "masks" / f"{i}.png", np.eye(8, 6, dtype=np.uint8) * 255)
    return tmp_path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_grey_and_rgb_pixels_survive(tmp_path, suffix):
    rng = np.random.default_rng(0)
    grey, rgb = rng.integers(0, 256, (7, 5), dtype=np.uint8), rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    write_picture(tmp_path / f"g{suffix}", grey)
    write_picture(tmp_path / f"c{suffix}", rgb)
    np.testing.assert_array_equal(read_image(tmp_path / f"g{suffix}"), grey[..., None])
    np.testing.assert_array_equal(read_image(tmp_path / f"c{suffix}"), rgb)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_survive(tmp_path, suffix):
    image = np.arange(35, dtype=np.uint16).reshape(7, 5) * 1000
    write(tmp_path / f"a{suffix}", image)
    found = read_image(tmp_path / f"a{suffix}")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[..., 0], image)


def test_alpha_is_dropped_and_equal_channels_are_grey(tmp_path):
    grey = np.arange(35, dtype=np.uint8).reshape(7, 5)
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 9)])
    cv2.imwrite(str(tmp_path / "a.png"), rgba)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), grey[..., None])


def test_pairs_match_by_stem_whatever_the_suffix(data):
    write(data / "images" / "x.tif", np.zeros((8, 6), np.uint8))
    write(data / "masks" / "x.png", np.zeros((8, 6), np.uint8))
    (data / "images" / "notes.txt").write_text("not a picture")
    (data / "images" / ".hidden.png").write_bytes(b"")
    names = [pair.name for pair in find_pairs(data)]
    assert names == [*map(str, range(10)), "x"]


def test_the_split_is_seeded_disjoint_and_complete(data):
    first, again, other = find_splits(data, seed=1), find_splits(data, seed=1), find_splits(data, seed=2)
    assert first == again
    assert first["val"] != other["val"]
    assert len(first["val"]) == 2
    assert sorted(p.name for p in first["train"] + first["val"]) == [*map(str, range(10))]
    assert first["test"] == []


def test_named_splits_are_taken_as_they_are(data, tmp_path):
    for split in ("train", "val", "test"):
        for role in ("images", "masks"):
            write(data / split / role / f"{split}.png", np.zeros((8, 6), np.uint8))
    assert {name: [p.name for p in pairs] for name, pairs in find_splits(data).items()} == {
        "train": ["train"],
        "val": ["val"],
        "test": ["test"],
    }


def test_unpaired_files_are_listed(data):
    (data / "masks" / "3.png").unlink()
    (data / "images" / "7.png").unlink()
    with pytest.raises(InputError, match=r"images without a mask in .*masks: 3\. masks without an image .*: 7\."):
        find_pairs(data)


def test_two_files_of_one_stem_are_refused(data):
    write(data / "images" / "3.bmp", np.zeros((8, 6), np.uint8))
    with pytest.raises(InputError, match="more than one file for 3"):
        find_pairs(data)
    assert len(match(data)[1]) == 1


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="There is no folder .*nowhere"):
        find_pairs(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no pair of image and mask: expected images/NAME\.png"):
        find_pairs(tmp_path)


def test_one_pair_cannot_be_split(tmp_path):
    for role in ("images", "masks"):
        write(tmp_path / role / "a.png", np.zeros((8, 6), np.uint8))
    with pytest.raises(InputError, match="has 1 pair; training needs 2"):
        find_splits(tmp_path)


def test_sizes_that_differ_are_refused(data):
    write(data / "masks" / "0.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(InputError, match=r"images.0\.png is 8x6, .*masks.0\.png is 6x8"):
        read_pair(find_pairs(data)[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.png is empty \(0 bytes\)"),
        (b"this is text", r"a\.png \(12 bytes\) is not a complete PNG"),
        (b"\x89PNG\r\n\x1a\n", "not a complete PNG"),
        (b"\xff\xd8\xff\xe0", "not a complete PNG"),
        (b"II*\x00\xff\xff\xff\xff", "not a complete PNG"),
        (b"BM\x00\x00", "not a complete PNG"),
    ],
)
def test_a_file_that_is_no_picture_is_refused(tmp_path, content, message, capfd):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_picture_is_refused(tmp_path, suffix, share, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    (tmp_path / f"a{suffix}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="truncated, damaged or of another type"):
        read_image(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")


def test_several_pages_and_values_that_are_not_finite_are_refused(tmp_path):
    page = np.ones((7, 5), np.float32)
    assert cv2.imwritemulti(str(tmp_path / "stack.tif"), [page, page])
    with pytest.raises(InputError, match=r"stack\.tif has 2 pages, and an image has one"):
        read_image(tmp_path / "stack.tif")
    page[2, 3] = np.nan
    assert cv2.imwrite(str(tmp_path / "nan.tif"), page)
    with pytest.raises(InputError, match=r"nan\.tif holds 1 values that are not finite"):
        read_image(tmp_path / "nan.tif")


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.gif"])
def test_pictures_are_written_without_loss_or_not_at_all(tmp_path, name):
    with pytest.raises(InputError, match="which lose nothing; received"):
        write_picture(tmp_path / name, np.zeros((3, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(InputError, match=r"Cannot write .*a\.txt: No space left.*Free space"), replacing(target) as t:
        t.write_text("half")
        raise OSError(28, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_other_errors_keep_their_name(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "d") as temporary:
        temporary.mkdir()
        (temporary / "f").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
