"""The ONNX graph of a net, run by ONNX Runtime: what Keras gives, of a net and of a mean of nets."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from unet_tf import InputError, unet
from unet_tf.model.calibration import Calibration, label_of
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.model.inference import Network, folded
from unet_tf.model.onnx_graph import onnx_graph


def run(model, image):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(
        zip((one.name for one in session.get_outputs()), session.run(None, {"image": image[None]}), strict=True)
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("count", [1, 2])
def test_it_is_the_net_of_keras(padding, count):
    nets = [unet((None, None, 2), 3, 4, 2, padding, batch_norm=True) for _ in range(count)]
    members = [Member(f"fold{n}", net, (1.0, 0.9), (0.0, 0.1), 1.3) for n, net in enumerate(nets)]
    model = nets[0] if count == 1 else ensemble(members)
    window = np.random.default_rng(0).normal(size=(92, 108, 2)).astype(np.float32)
    found = run(onnx_graph(folded(model), Calibration(1.5)), window)
    expected = Network(model, 1.5).probabilities(window)
    np.testing.assert_allclose(found["probabilities"][0], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["mask"][0], found["probabilities"][0].argmax(-1))


def test_raw_pixels_are_scaled_and_gaps_are_the_mean_and_classes_part_at_the_threshold():
    net = unet((None, None, 1), 2, 4, 1)
    raw = np.random.default_rng(0).integers(0, 256, (28, 28, 1)).astype(np.float32)
    how = Calibration(1.0, 0.4)
    made = onnx_graph(net, how, mean=[100.0], std=[50.0], nodata=[7.0, 9.0], size=(28, 28), metadata={"a": "b"})
    found = run(made, raw)
    normalised = np.where((raw == 7) | (raw == 9), np.float32(0), (raw - 100) / 50).astype(np.float32)
    np.testing.assert_allclose(found["probabilities"][0], Network(net).probabilities(normalised), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["mask"], label_of(found["probabilities"], 0.4))
    assert [(one.key, one.value) for one in made.metadata_props] == [("a", "b")]
    assert found["mask"].dtype == np.uint8


def test_what_cannot_be_written_is_refused(monkeypatch):
    with pytest.raises(InputError, match="27"):
        onnx_graph(unet(base_filters=2, depth=1), size=(27, 28))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[onnx\]'"):
        onnx_graph(unet(base_filters=2, depth=1))
