from collections import Counter
from pathlib import Path

import pytest

from unet_tf.annotations.features import name_features
from unet_tf.annotations.read_geojson import read_geojson
from unet_tf.errors import InputError

LEFT = (
    "annotations without a class or of Region* around several detections, which are regions unless --classes names "
    "object or Region*"
)
LEFT_OF_SHARED = LEFT.replace(
    "object or Region*", "Region* (others are called object, too; give a class to those that are no regions)"
)


def square(low, high):
    return [[low, low], [high, low], [high, high], [low, high], [low, low]]


def plain(*properties):
    """A feature for each of some properties."""
    geometry = {"type": "Polygon", "coordinates": [square(0, 1)]}
    return [{"type": "Feature", "geometry": geometry, "properties": one} for one in properties]


def feature(kind, low, high, name=None, old=None, hole=()):
    """An object of QuPath, of today or of version 0.2 or 0.3."""
    properties = {None: {"objectType": kind}, "0.3": {"object_type": kind}, "0.2": {"isLocked": False}}[old]
    return {
        "type": "Feature", "id": f"Path{kind.title()}Object" if old == "0.2" else "0d5f6c0e",
        "geometry": {"type": "Polygon", "coordinates": [square(low, high), *hole]},
        "properties": properties | ({} if name is None else {"classification": {"name": name}}),
    }  # fmt: skip


def named(*files, class_field=None, chosen=None):
    """The classes of the shapes of each file, what is said, and what is left out."""
    skipped = Counter()
    read = [one for n, file in enumerate(files) for one in read_geojson(Path(f"{n}.geojson"), file, skipped)]
    pictures, notes = name_features(read, skipped, class_field, chosen)
    assert all(len(one.shapes) == len(one.features) for one in pictures)
    return [[shape.name for shape in one.shapes] for one in pictures], notes, skipped


@pytest.mark.parametrize(
    ("properties", "names", "field"),
    [
        (({"class": "tumor", "area": 3}, {"class": "stroma"}), ["tumor", "stroma"], "class"),
        (({"category": 1, "category_name": "tumor"}, {"category_name": "a"}), ["tumor", "a"], "category_name"),
        (({"Class_Name": "tumor"}, {"Class_Name": None}), ["tumor", "object"], "Class_Name"),
        (({"Class": "tumor"}, {"class": "stroma"}), ["tumor", "stroma"], "Class"),
        (({"class": "", "label": "tumor"}, {"class": None, "label": "stroma"}), ["tumor", "stroma"], "label"),
        (({"class": {"name": "tumor", "color": [1]}}, {"class": {"name": "a"}}), ["tumor", "a"], "class"),
        (({"classification": None, "class": "a"}, {"class": "b"}), ["a", "b"], "class"),
        (({"label": "tumor"}, {"label": 2}), ["object", "object"], None),
        (({"label": "1"}, {"label": "2.5"}), ["object", "object"], None),
        (({"label": ["tumor"]}, {"label": ["stroma"]}), ["object", "object"], None),
        (({"label": 1, "category": "tumor"}, {"label": 2, "category": "a"}), ["tumor", "a"], "category"),
        (({"name": "tumor"}, {"name": "stroma"}), ["object", "object"], None),
        (({"classification": {"name": "tumor"}, "class": "a"}, {"class": "b"}), ["tumor", "object"], None),
    ],
)
def test_classes_of_other_programs(properties, names, field):
    (found,), notes, _ = named(plain(*properties))
    assert found == names
    assert (notes[:1] == [f'The class is what the field "{field}" names; --class-field says another.']) == bool(field)
    assert any("Features that name no class" in note for note in notes) == ("object" in names)


def test_a_field_that_tells_every_object_apart_names_no_class():
    apart = [{"label": f"cell {n}", "area": 3} for n in range(21)]
    (names,), notes, _ = named(plain(*apart))
    assert {*names} == {"object"} and "They have area, label" in notes[0]
    assert {*named(plain(*apart, *map(dict, apart)))[0][0]} == {f"cell {n}" for n in range(21)}
    parts = [one | {"geometry": {"type": "MultiPolygon", "coordinates": [[square(0, 1)]] * 2}} for one in plain(*apart)]
    assert {*named(parts)[0][0]} == {"object"}  # the parts of an object do not repeat it


@pytest.mark.parametrize(
    ("labels", "chosen", "names"),
    [
        (("a", "b"), "object", ["object", "object"]),
        (("a", "b"), "cell=object", ["object", "object"]),
        (("a", "b", None), {"cell": ["object"]}, ["object"] * 3),
        (("a", "b"), "a", ["a", "b"]),
        (("a", None), "a,other=object", ["a", "object"]),
        (("a", None), "a,void=object", ["a", "object"]),
        (("object", "b"), "object", ["object", "b"]),
        (("a, b", "c"), "a, b", ["a, b", "c"]),
    ],
)
def test_no_field_names_the_class_where_object_is_chosen_and_no_word_of_it(labels, chosen, names):
    (found,), notes, _ = named(plain(*({"label": one} for one in labels)), chosen=chosen)
    assert found == names
    assert notes[0].startswith("Features that name no class" if {*names} == {"object"} else "The class is what the")


def test_the_field_that_is_taken_is_no_other_that_may_name_the_class():
    _, note = named(plain({"Label": "a"}, {"label": None, "area": 3}))[1]
    assert note == (
        "Features that name no class, which are called object: in 1 file. They have area; if one of these names the "
        "class, say --class-field."
    )
    for nameless in ({"label": None}, {}):
        _, note = named(plain({"label": "a"}, nameless))[1]
        assert note == "Features that name no class, which are called object: in 1 file."
    assert len(named(plain({"label": "a"}))[1]) == 1


def test_the_field_is_one_for_all_files():
    files = plain({"class": "a", "label": "x"}), plain({"label": "y"})
    assert named(*files)[0] == [["a"], ["object"]]
    assert named(*files, plain({"classification": "Tumor"}))[0] == [["object"], ["object"], ["Tumor"]]


def test_a_field_that_is_said_need_not_be_in_every_file():
    files = plain({"kind": "a"}, {"kind": 2.0}), plain({"area": 3})
    names, notes, _ = named(*files, class_field="kind")
    assert names == [["a", "2"], ["object"]]
    assert notes == ['Features without the field "kind", which are called object: in 1 file.']
    with pytest.raises(InputError, match=r'no field "sort" in 0\.geojson, 1\.geojson; there is: kind, area'):
        named(*files, class_field="sort")
    with pytest.raises(InputError, match=r"1\.geojson: 'kind' of feature 0 must name one class; received"):
        named(files[0], plain({"kind": ["a", "b"]}), class_field="kind")


def test_what_qupath_writes_names_no_class():
    for own in ({"objectType": "annotation"}, {"object_type": "annotation"}, {"isLocked": False}):
        assert named(plain(own | {"name": "3", "measurements": {}, "metadata": {}, "color": [1, 2, 3]}))[1] == []


@pytest.mark.parametrize("old", [None, "0.2", "0.3"])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("outer", "inner", "left"),
    [
        (("annotation",), ("detection",), True),
        (("annotation",), ("cell", "Tumor"), True),
        (("annotation", "Region*"), ("cell", "Tumor"), True),
        (("tma_core",), ("tile",), True),
        (("annotation",), ("annotation", "Tumor"), False),
        (("annotation", "Stroma"), ("detection", "Tumor"), False),
        (("annotation", "object"), ("detection", "Tumor"), False),
        (("detection",), ("detection",), False),
    ],
)
def test_an_annotation_without_a_class_around_detections_is_a_region(outer, inner, left, order, old):
    objects = [feature(outer[0], 0, 80, *outer[1:], old=old)]
    objects += [feature(inner[0], low, low + 9, *inner[1:], old=old) for low in (5, 40)]
    (names,), notes, skipped = named(objects[::order])
    assert (len(names), notes) == (3 - left, [])
    assert skipped == ({LEFT if inner[1:] else LEFT_OF_SHARED: 1} if left else {})


def test_a_ring_around_detections_in_its_hole_is_an_object():
    objects = [feature("annotation", 0, 80, hole=[square(4, 60)])]
    objects += [feature("detection", low, low + 9, "Tumor") for low in (5, 40)]
    assert named(objects)[0] == [["object", "Tumor", "Tumor"]]


@pytest.mark.parametrize("name", [None, "Region*"])
def test_a_region_whose_class_is_asked_for_is_an_object(name):
    objects = [feature("annotation", 0, 80, name)] + [feature("detection", low, low + 9, "Tumor") for low in (5, 40)]
    called = name or "object"
    for settings in (
        {"chosen": f"Tumor,gland={called}"},
        {"chosen": {"gland": [called]}},
        {"chosen": f"Tumor,void={called}"},
        {"chosen": f"Tumor,background={called}"},
        {"class_field": "objectType"},
    ):
        names, _, skipped = named(objects, **settings)
        assert len(names[0]) == 3 and not skipped
    for chosen in ("Tumor", None):
        assert named(objects, chosen=chosen)[0] == [["Tumor", "Tumor"]]


@pytest.mark.parametrize("chosen", ["cell=object", "object", "Tumor,other=object", "Tumor,void=object", None])
def test_object_asks_for_no_region_where_detections_are_called_so_too(chosen):
    region = feature("annotation", 0, 80)
    first = [region, *(feature("detection", low, low + 9, "Tumor") for low in (5, 40))]
    second = [region, *(feature("detection", low, low + 9) for low in (5, 40))]
    names, notes, skipped = named(first, second, chosen=chosen)
    assert (names, notes) == ([["Tumor", "Tumor"], ["object", "object"]], [])
    assert skipped == {LEFT_OF_SHARED: 2}
    second[0] = feature("annotation", 0, 80, "Region*")
    assert named(second, chosen="object,gland=Region*")[0] == [["Region*", "object", "object"]]


def test_annotations_around_one_detection_may_be_cells_around_nuclei():
    objects = [feature("annotation", 0, 20), feature("annotation", 40, 60)]
    objects += [feature("detection", 5, 9), feature("detection", 45, 49)]
    for more in ([], [feature("annotation", 0, 90)]):
        (names,), (note,), skipped = named([*objects, *more])
        assert len(names) == 4 and "around one detection or none, and are taken for objects: 2." in note
        assert skipped.total() == len(more)


def test_an_annotation_beside_detections_is_an_object():
    corner = {"type": "Polygon", "coordinates": [[[0, 0], [80, 0], [0, 80], [0, 0]]]}  # its box holds the other
    objects = [feature("annotation", 0, 0) | {"geometry": corner}, feature("detection", 60, 70)]
    assert named(objects) == ([["object", "object"]], [], {})


def test_only_annotations_of_an_area_and_without_a_class_are_doubted():
    point = {"type": "Point", "coordinates": [1, 1]}
    objects = [feature("annotation", 0, 80), *(feature("detection", low, low + 9) for low in (5, 40))]
    others = [feature("annotation", 0, 1) | {"geometry": point}, feature("annotation", 90, 99, "Region*")]
    (names,), notes, _ = named([*objects, *others])
    assert (names, notes) == (["object", "object", "Region*"], [])
