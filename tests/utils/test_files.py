import pytest

from unet_tf.errors import InputError
from unet_tf.utils.files import replacing


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
