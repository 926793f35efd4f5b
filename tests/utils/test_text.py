import pytest

from unet_tf.errors import InputError
from unet_tf.utils.text import folded, form, read_lines, shown

LINES = ["images/größe 1.png", "", "b.png\tb_mask.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_the_same_in_every_encoding(tmp_path, encoding, end):
    (tmp_path / "list.txt").write_bytes(end.join(LINES).encode(encoding))
    assert read_lines(tmp_path / "list.txt") == LINES


def test_a_marked_utf16_of_the_other_byte_order_is_read(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xfe\xff" + "\n".join(LINES).encode("utf-16-be"))
    assert read_lines(tmp_path / "list.txt") == LINES


def test_bytes_that_are_no_utf8_stay_what_file_names_make_of_them(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.png\n")
    assert read_lines(tmp_path / "list.txt") == ["caf\udce9.png", ""]
    assert shown("caf\udce9 größe") == "caf\\udce9 größe"


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\0\0\0\rIHDR", b"\xff\xfea\0b", b"\xff\xfe\0\xd8a\0"])
def test_what_is_no_text_is_refused_by_name(tmp_path, data):
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(InputError, match=r"list\.txt must be text") as caught:
        read_lines(tmp_path / "list.txt")
    assert caught.value.file == tmp_path / "list.txt"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt cannot be read: No such file"):
        read_lines(tmp_path / "nowhere.txt")


def test_names_are_compared_in_one_form():
    assert form("E\u0301.PNG") == form("\xc9.PNG") == "\xc9.PNG"
    assert folded("E\u0301.PNG") == folded("\xe9.png") == "\xe9.png"
