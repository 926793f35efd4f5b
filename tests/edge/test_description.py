import json
from dataclasses import asdict

import pytest

from unet_tf.data.channels import ALL
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description, Origin, StoredDescription, read_bundle
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.utils.typed_json import parsed

MASKS = MaskFormat("palette", 2, colours=((1, 2, 3), (4, 5, 6)), void=((0, 0, 0),), tolerance=3.0)
ONE = Description(
    ("a", "b"),
    MASKS,
    Normalisation((1.5, 2.0, 3.0), (1.0, 2.0, 0.5), "uint16"),
    Geometry(3, "same"),
    200,
    Origin(max_iou_drop=0.01, scores={"mean_iou": 0.5}),
)


MASKED = ONE.to_json()["masks"]


def restored(stored):
    return Description.restore(parsed(json.dumps(stored).encode(), StoredDescription))


def test_a_description_goes_through_json():
    assert restored(ONE.to_json()) == ONE


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("classes", "ab", "classes must be a list; received ab"),
        ("classes", ["a", 3], r"classes\[1\] must be a text; received 3"),
        ("classes", ["a"], "There must be 2 to 254 classes"),
        ("nets", 0, "nets must be 1 or more; received 0"),
        ("nets", "3", "nets must be a whole number; received 3"),
        ("depth", 3.0, "depth must be a whole number; received 3.0"),
        ("depth", 10**9, "depth must be 0 to 16"),
        ("depth", 4, "is not a legal tile size|must be .* by the other values"),
        ("tile", 201, "is not a legal tile size"),
        ("tile", True, "tile must be a whole number; received True"),
        ("step", 1, "step must be .* by the other values; received 1"),
        ("channels", 1, "channels must be 3 by the other values; received 1"),
        ("pixel_type", "uint7", "a type of numbers; received .* 'uint7'"),
        ("pixel_type", "object", "a type of numbers; received .* 'object'"),
        ("normalisation", {"mean": [1, 2, 3], "std": [1, 0, 1]}, "std above 0"),
        ("normalisation", {"mean": [1, 2, 3], "std": [1, 1]}, "a std above 0 for each channel"),
        ("normalisation", {"mean": [1, 2, 10**400], "std": [1, 1, 1]}, "must be a finite number"),
        ("normalisation", {"mean": [1, 2, float("nan")], "std": [1, 1, 1]}, "must be finite; received NaN"),
        ("max_iou_drop", None, "max_iou_drop must be a finite number; received None"),
        ("masks", {"kind": "binary"}, "masks must have the field"),
        ("masks", {**MASKED, "newer": 1}, "masks must not have the field 'newer'"),
        ("masks", {**MASKED, "void": []}, "masks must not have the field 'void'"),
        ("masks", {**MASKED, "values": 3}, "masks.values must be a list; received 3"),
        ("masks", {**MASKED, "values": ["a", 2]}, r"masks.values\[0\] must be a whole number; received a"),
        ("masks", {**MASKED, "values": [1]}, "must have one value a class"),
        ("channels_of_files", {**asdict(ALL), "newer": 1}, "channels_of_files must not have the field 'newer'"),
    ],
)
def test_values_that_no_net_has_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        restored({**ONE.to_json(), name: value})


def test_a_bundle_of_another_version_is_refused_by_name(tmp_path):
    stored = ONE.to_json()
    (tmp_path / "bundle.json").write_text(json.dumps(stored))
    assert read_bundle(tmp_path) == ONE
    for changed, words in (
        ({"tile": "200"}, "tile must be a whole number; received 200"),
        ({"masks": {**MASKED, "newer": 1}}, "masks must not have the field 'newer'"),
    ):
        (tmp_path / "bundle.json").write_text(json.dumps({**stored, **changed}))
        with pytest.raises(InputError) as caught:
            read_bundle(tmp_path)
        start = f"{tmp_path / 'bundle.json'} is damaged or of another version: "
        assert str(caught.value) == f"{start}{words}. Export again."
