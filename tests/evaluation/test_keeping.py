import pytest

from unet_tf.errors import InputError
from unet_tf.evaluation.keeping import check_out, command_of


def test_scores_go_into_a_folder_of_their_own(tmp_path):
    check_out(tmp_path / "new")
    check_out(tmp_path)
    (tmp_path / ".hidden").touch()
    check_out(tmp_path)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="a folder of their own; .* holds mine.txt. Choose another --out"):
        check_out(tmp_path)
    (tmp_path / "compare.json").touch()
    check_out(tmp_path)
    for name in ("bundle.json", "config.toml"):  # which are checked, and told by their files
        (tmp_path / name).touch()
        with pytest.raises(InputError, match=f"holds {name}"):
            check_out(tmp_path)
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="is a file"):
        check_out(tmp_path / "mine.txt")


def test_the_command_says_every_setting():
    settings = {
        "classes": ("sky", "road"), "void": ("9", "0,0,0"), "inverted": True, "mask_suffix": "-gt", "group": None,
        "mask_tolerance": 128.0,
    }  # fmt: skip
    assert command_of("compare", ["a", "b's", "data"], "test", "out", settings) == (
        "unet-tf compare a 'b'\"'\"'s' data --split test --out out --classes sky,road --void 9 --void 0,0,0 --inverted "
        "--mask-suffix=-gt --mask-tolerance 128.0"
    )


def test_a_path_that_begins_with_a_dash_is_no_option():
    said = command_of("evaluate", ["-runs/a", "-my cells"], out="-out", settings={"roi": "-fields of view"})
    assert said == "unet-tf evaluate ./-runs/a './-my cells' --out=-out '--roi=-fields of view'"
