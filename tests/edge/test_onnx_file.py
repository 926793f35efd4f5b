import onnx
import pytest

from unet_tf.edge.onnx_file import MOST_FIELDS, onnx_metadata


def written(**entries):
    model = onnx.helper.make_model(
        onnx.helper.make_graph([], "a", [], []), opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    onnx.helper.set_model_props(model, entries)
    return model.SerializeToString()


def test_metadata_is_what_the_package_wrote():
    entries = {"unet_tf": '{"a": "µ"}', "long": "x" * 70_000, "empty": ""}
    assert onnx_metadata(written(**entries)) == {name: value.encode() for name, value in entries.items()}
    assert onnx_metadata(written()) == {}
    assert onnx_metadata(b"") == {}


def test_fields_of_every_encoding_are_stepped_over():
    others = b"\x79" + bytes(8) + b"\x7d" + bytes(4)  # 15, of 8 and of 4 bytes
    assert onnx_metadata(others + written(a="b") + others) == {"a": b"b"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (written(a="b")[:-1], "within a field that ends at"),
        (b"\x72" + b"\xff" * 9 + b"\x01", "within a field that ends at"),  # 2^63 and more bytes
        (b"\x89PNG\r\n\x1a\n", "it has no whole number|unknown encoding|within a field"),
        (b"\x08" + b"\x80" * 20, "no whole number at byte 1"),
        (b"\x0b", "unknown encoding 3"),
        (b"\x08\x01" * (MOST_FIELDS + 1), f"at most {MOST_FIELDS} fields"),
        (b"\x72\x04\x0a\x02\xff\xfe", "can't decode"),
    ],
)
def test_what_is_no_such_file_is_refused(content, words):
    with pytest.raises(ValueError, match=words):
        onnx_metadata(content)
