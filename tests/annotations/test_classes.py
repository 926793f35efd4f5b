import pytest

from unet_tf import InputError
from unet_tf.annotations.classes import asked_for, choose_classes, colours_of, palette_lines
from unet_tf.data.drawing import VOID_GREY
from unet_tf.data.palette import read_palette


@pytest.mark.parametrize(
    ("chosen", "names", "ids"),
    [
        (None, ("a", "b"), {"a": 1, "b": 2}),
        ("b", ("b",), {"b": 1}),
        ("b,a", ("b", "a"), {"b": 1, "a": 2}),
        ("x=a+b", ("x",), {"a": 1, "b": 1}),
        (["x = b", "a"], ("x", "a"), {"b": 1, "a": 2}),
        ({"x": ["a"], "void": ["b"]}, ("x",), {"a": 1, "b": 255}),
        ("b,background=a", ("b",), {"b": 1, "a": 0}),
    ],
)
def test_choices(chosen, names, ids):
    assert choose_classes(["a", "b"], chosen) == (("background", *names), ids)


def test_names_with_signs_are_taken_as_they_are_written():
    assert choose_classes(["CD3+", "a,b", "x=y"], "a,b").names == ("background", "a,b")
    assert choose_classes(["CD3+", "z"], "CD3+,z").ids == {"CD3+": 1, "z": 2}
    assert choose_classes(["x=y", "z"], ["x=y", "all=z"]).ids == {"x=y": 1, "z": 2}


def test_a_mapping_may_give_a_class_the_name_of_its_one_part():
    assert choose_classes(["dirt", "nucleus"], {"cell": "nucleus"}) == (("background", "cell"), {"nucleus": 1})


def test_void_and_background_need_not_be_chosen():
    assert choose_classes(["a", "void", "background"], "a").ids == {"a": 1, "void": 255, "background": 0}


@pytest.mark.parametrize(("there", "name"), [(["void"], "void"), (["void", "background"], "void"),
                                              (["background"], "background")])  # fmt: skip
def test_names_that_are_no_classes_are_said_with_what_makes_one_of_them(there, name):
    with pytest.raises(InputError, match=f"there are 0. What is called {name} is no class; --classes object={name} "):
        choose_classes(there)
    assert choose_classes(there, f"object={name}").names == ("background", "object")
    with pytest.raises(InputError, match=r"there are 0\.$"):
        choose_classes([*there, "a"], "void=a")


def test_what_becomes_background_or_void_is_asked_for():
    assert asked_for(["a", "b", "c"], "x=a,void=b") == {"a", "b"}
    assert asked_for(["a", "b", "c"], {"x": ["a"], "background": ["b", "c"]}) == {"a", "b", "c"}
    assert asked_for(["a"], None) == set()


@pytest.mark.parametrize(
    "chosen", ["c", "a,a", "a,x=a+b", "", ",", "x=", "=a", "x=a+", "void=a", [], {"x": ["a", "a"]}]
)
def test_wrong_choices(chosen):
    with pytest.raises(InputError):
        choose_classes(["a", "b"], chosen)


def test_no_more_classes_than_ids():
    assert len(choose_classes(map(str, range(253))).names) == 254
    with pytest.raises(InputError, match="1 to 253 classes"):
        choose_classes(map(str, range(254)))


def test_all_colours_differ_from_each_other_and_from_void():
    colours = colours_of(254)
    assert len({*colours, VOID_GREY}) == 255 and colours[0] == (0, 0, 0) and colours_of(2) == colours[:2]


def test_a_palette_of_names_that_are_numbers_is_read(tmp_path):
    path = tmp_path / "label_colors.txt"
    path.write_text(palette_lines(["1", "2"], colours_of(2)))
    assert read_palette(path).names == ("class1", "class2")


@pytest.mark.parametrize("names", [("Zone 1", "Zone 2"), ("1 Zone", "2 Zone"), ("3", "2 Zone")])
def test_a_palette_of_names_with_numbers_is_read(tmp_path, names):
    path = tmp_path / "label_colors.txt"
    path.write_text(palette_lines(names, colours_of(2)))
    assert read_palette(path) == (tuple(name.replace("3", "class3") for name in names), tuple(colours_of(2)))


def test_names_that_are_numbers_get_a_word_that_no_other_is_called_by(tmp_path):
    (tmp_path / "label_colors.txt").write_text(palette_lines(("1", "class1", "class_1", "2"), colours_of(4)))
    assert read_palette(tmp_path / "label_colors.txt").names == ("class__1", "class1", "class_1", "class2")
