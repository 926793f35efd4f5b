import pytest
from jinja2 import UndefinedError

from unet_tf.errors import InputError
from unet_tf.pages.page import render, write_page


def base(**more):
    return {"heading": "h", "verdict": "v", "notes": []} | more


def test_what_is_data_is_never_markup():
    page = render("base.html", **base(heading="<script>alert(1)</script>", notes=['"><img src=x onerror=y>']))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_data_that_a_template_asks_for_and_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="verdict"):
        render("base.html", heading="h", notes=[])


def test_a_page_is_whole_or_not_there(tmp_path):
    with pytest.raises(InputError, match="Cannot make the folder"):
        (tmp_path / "file").touch()
        write_page(tmp_path / "file" / "page.html", "base.html", **base())
    with pytest.raises(UndefinedError):
        write_page(tmp_path / "page.html", "base.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bytes_that_are_no_utf_8_stand_as_escapes(tmp_path):
    page = write_page(tmp_path / "page.html", "base.html", **base(heading="caf\udce9")).read_text(encoding="utf-8")
    assert "caf\\udce9" in page


def test_a_page_may_load_nothing():
    assert "default-src 'none'; img-src data:" in render("base.html", **base())
