"""The core - net, loss, metric, optimizer - on Keras' JAX backend, from NumPy batches, without TensorFlow."""

import json
import os
import subprocess
import sys

import pytest
from forked import Forked

pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
CODE = """
import json, sys
if sys.argv[1] == "jax":
    sys.modules["tensorflow"] = None
import keras, numpy as np
from unet_tf import MeanIoU, Muon, WeightedCrossentropy, unet
rng = np.random.default_rng(0)
images = rng.normal(size=(4, 20, 20, 1)).astype("float32")
labels = (images[:, 8:12, 8:12, 0] > 0).astype("uint8")
labels[0] = 255
weights = rng.uniform(0.5, 5, labels.shape).astype("float32")
model = unet(base_filters=2, depth=1, batch_norm=True)
model.set_weights([rng.normal(0, 0.3, w.shape) ** (2 if "variance" in w.path else 1) for w in model.weights])
model.compile(Muon(0.001), WeightedCrossentropy(), metrics=[MeanIoU(2)])
history = model.fit(images, labels, sample_weight=weights, batch_size=2, epochs=3, shuffle=False, verbose=0).history
print(json.dumps([keras.backend.backend(), history, float(np.abs(model.get_weights()[0]).sum())]))
"""


def run(backend):
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # which take longer than all steps
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": environment}
    if backend == "tensorflow":
        process = Forked(CODE, backend, **pipes)
    else:
        process = subprocess.Popen([sys.executable, "-c", CODE, backend], text=True, **pipes)
    said = process.communicate()[0]
    assert process.returncode == 0, said[-2000:]
    return json.loads(said.splitlines()[-1])


def test_the_core_trains_on_jax_as_on_tensorflow():
    (name, history, weights), (_, expected, expected_weights) = run("jax"), run("tensorflow")
    assert name == "jax"
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert history["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-6)
    assert history["loss"][-1] < history["loss"][0]
    assert weights == pytest.approx(expected_weights, rel=1e-5)
