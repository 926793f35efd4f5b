import errno
import fcntl

import pytest

from unet_tf.errors import InputError
from unet_tf.utils.files import held, is_one_file, placed, replacing, sha256_of


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


def test_the_hash_of_a_file_is_that_of_its_bytes_and_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of FIPS 180-2
    assert sha256_of(tmp_path / "a") == sha256_of(b"abc") == known
    with pytest.raises(InputError, match=r"Cannot read .*/b: No such file or directory\. Check the path") as caught:
        sha256_of(tmp_path / "b")
    assert caught.value.file == tmp_path / "b"


def test_a_link_keeps_its_name_where_it_leads_to_a_file_whose_name_says_nothing(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    for name in ("c0ffee", "b.TIF"):
        (tmp_path / "store" / name).write_text("")
    (tmp_path / "run").symlink_to("store")
    for name, target in {"a.tif": "c0ffee", "c.tif": "b.TIF", "d": "b.TIF"}.items():
        (tmp_path / "store" / name).symlink_to(target)
    monkeypatch.chdir(tmp_path / "store")
    for name in ("a.tif", "../run/a.tif", tmp_path / "run" / "a.tif"):
        assert placed(name, [".tif"]) == tmp_path.resolve() / "store" / "a.tif"
    for name in ("b.TIF", "c.tif", "d", "../run/c.tif"):
        assert placed(name, [".tif"]) == tmp_path.resolve() / "store" / "b.TIF"
    for name in (".", "../run", tmp_path / "store" / ".." / "run"):
        assert placed(name, [".tif"]) == tmp_path.resolve() / "store"


def test_two_names_of_one_file_are_told(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("the same")
    (tmp_path / "c").hardlink_to(tmp_path / "a")
    (tmp_path / "d").symlink_to(tmp_path / "a")
    assert [is_one_file(tmp_path / "a", tmp_path / name) for name in "abcde"] == [True, False, True, True, False]
    assert not is_one_file(tmp_path / "e", tmp_path / "e")  # which is not there


@pytest.mark.parametrize("name", [".", "a"])
def test_what_is_held_is_nobody_else_s_alone(name, tmp_path):
    (tmp_path / "a").touch()
    path, refused = tmp_path / name, r"must not be in use .* and another call writes into it\. Wait for its end"
    with held(path), held(path), pytest.raises(InputError, match=refused), held(path, alone=True):
        pass
    with held(path, alone=True), pytest.raises(InputError, match=refused), held(path, alone=True):
        pass
    with pytest.raises(InputError, match=r"Cannot write .*nowhere: its folder is gone"), held(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize("said", ["EAGAIN", "EACCES", "ENOLCK", "ENOTSUP", "ENOSYS", "EBADF", "EPERM"])
def test_what_a_file_system_says_of_a_lock_is_a_lock_of_others_or_none_at_all(said, tmp_path, monkeypatch):
    """A share of Windows says EACCES where another has the lock."""
    ways = []

    def flock(handle, way):
        ways.append(way)
        raise OSError(getattr(errno, said), "said")

    monkeypatch.setattr(fcntl, "flock", flock)
    if said in ("EAGAIN", "EACCES"):
        with pytest.raises(InputError, match="must not be in use"), held(tmp_path, alone=True):
            pass
    else:
        with held(tmp_path, alone=True), held(tmp_path):
            pass
    assert ways[0] == fcntl.LOCK_EX | fcntl.LOCK_NB
