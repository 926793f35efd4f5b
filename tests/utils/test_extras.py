import sys

import pytest

from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra

LINE = "Maps need the package maps: pip install maps."


@pytest.mark.parametrize("module", ["no_such_maps", "no_such_maps.raw", "json.no_such_part"])
def test_a_package_that_is_missing_is_said_with_its_line(module, tmp_path):
    with pytest.raises(InputError, match="pip install maps") as caught:
        import_extra(LINE, module, tmp_path / "a.tif")
    assert caught.value.file == tmp_path / "a.tif"


@pytest.mark.parametrize(
    ("content", "words"),
    [("import no_such_package", "no_such_package"), ("raise ImportError('libgdal.so')", "libgdal.so")],
)
def test_a_package_that_is_there_and_broken_is_not_said_to_be_missing(content, words, monkeypatch, tmp_path):
    (tmp_path / "broken_maps.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=words):
        import_extra(LINE, "broken_maps")


def test_what_is_there_is_given():
    assert import_extra(LINE, "json") is sys.modules["json"]
