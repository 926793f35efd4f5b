import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from unet_tf.exporting.bundle import TFLITE

NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


def operations(model, graph):
    return [NAMES[model.operatorCodes[one.opcodeIndex].builtinCode] for one in graph.operators]


@pytest.mark.parametrize("variant", TFLITE)
def test_a_second_signature_gives_the_probabilities_without_argmax_and_shares_the_weights(tflite_files, variant):
    model = flatbuffer_utils.read_model(tflite_files / TFLITE[variant])
    whole, part = model.subgraphs
    assert [(one.signatureKey.decode(), one.subgraphIndex) for one in model.signatureDefs] == [
        ("serving_default", 0),
        ("probabilities", 1),
    ]
    tail = ("ARG_MAX", "CAST", "GREATER", "SELECT_V2", "STRIDED_SLICE")
    assert set(tail).isdisjoint(operations(model, part))
    assert set(tail) & set(operations(model, whole))
    without = [name for name in operations(model, whole) if name in operations(model, part)]
    assert len(without) >= len(operations(model, part)) > 8
    held = {graph.name: {one.buffer for one in graph.tensors if has_values(model, one)} for graph in (whole, part)}
    assert len(held[part.name]) > 5
    assert held[part.name] <= held[whole.name]


def has_values(model, tensor):
    values = model.buffers[tensor.buffer].data
    return values is not None and len(values) > 0


@pytest.mark.parametrize("variant", TFLITE)
def test_both_signatures_give_the_same_bits(tflite_files, variant):
    interpreter = Interpreter(str(tflite_files / TFLITE[variant]))
    whole, part = map(interpreter.get_signature_runner, ("serving_default", "probabilities"))
    (details,) = part.get_input_details().values()
    assert list(part.get_output_details()) == ["probabilities"]
    image = np.random.default_rng(0).integers(0, 256, details["shape"]).astype(details["dtype"])
    found, expected = part(image=image)["probabilities"], whole(image=image)["probabilities"]
    assert found.std() > 0
    np.testing.assert_array_equal(found, expected)
