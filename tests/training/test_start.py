"""Training that starts from the weights of another net."""

import keras
import numpy as np
import pytest

from unet_tf import Run, train, unet
from unet_tf.config import TrainConfig
from unet_tf.errors import InputError
from unet_tf.training.compile import compiled
from unet_tf.training.start import read_start, said_of

FEW = {"tile": 52, "batch_size": 1, "precision": "float32", "steps_per_epoch": 1, "epochs": 1}


def test_a_run_starts_from_another_with_its_sizes_and_a_lower_learning_rate(run, cells, tmp_path):
    found = train(cells, tmp_path / "run", start_from=str(run.path), learning_rate=1e-12, **FEW)
    for setting in ("base_filters", "depth", "padding"):
        assert getattr(found.plan, setting) == getattr(run.plan, setting)
    weights = zip(found.model.trainable_weights, run.model.trainable_weights, strict=True)
    assert max(float(abs(np.array(one) - np.array(other)).max()) for one, other in weights) < 1e-9
    assert f"the net starts from all weights of {run.path}" in (found.path / Run.LOG).read_text()
    assert found.plan.start_from == str(run.path)
    assert train(cells, tmp_path / "other", start_from=str(run.path), **FEW).plan.learning_rate == 3e-4


def test_layers_that_fit_are_taken_and_the_others_named(run, tmp_path):
    wide = unet((None, None, 3), 3, base_filters=run.plan.base_filters, depth=run.plan.depth, batch_norm=True)
    wide.save(tmp_path / "wide.keras")
    net = compiled(run.plan, 1, [0.5, 0.5])
    logits = net.get_layer("logits").get_weights()
    start = read_start(tmp_path / "wide.keras")
    left = start.give(net, ("a", "b"))
    width = run.plan.base_filters
    assert left == [
        f"down0_conv1 ((3, 3, 3, {width}) there, (3, 3, 1, {width}) here)",
        f"logits ((1, 1, {width}, 3) there, (1, 1, {width}, 2) here)",
    ]
    np.testing.assert_array_equal(
        net.get_layer("up0_conv2").get_weights()[0], wide.get_layer("up0_conv2").get_weights()[0]
    )
    np.testing.assert_array_equal(net.get_layer("logits").get_weights()[0], logits[0])
    assert said_of(left, start) == (
        f"the net starts from the weights of {tmp_path / 'wide.keras'}, but for {left[0]}, {left[1]}, which start anew"
    )


def test_logits_of_other_classes_start_anew(run):
    net = compiled(run.plan, run.normalisation.channels, [0.5, 0.5])
    assert read_start(run.path).give(net, run.classes) == []
    assert read_start(run.path).give(net, ("a", "b")) == [f"logits (classes {', '.join(run.classes)} there, a, b here)"]


def test_sizes_that_are_said_stay(run):
    found = read_start(run.path).sizes_for(TrainConfig(depth=1))
    assert (found.depth, found.base_filters) == (1, run.plan.base_filters)


@pytest.mark.parametrize("name", ["none", "none.keras", "damaged.keras"])
def test_what_is_no_net_is_refused(cells, tmp_path, name):
    (tmp_path / "damaged.keras").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=f"{name} is (no run|not a Keras model)|There is no model .*{name}"):
        train(cells, tmp_path / "run", start_from=str(tmp_path / name), **FEW)
    assert not (tmp_path / "run").exists()


def test_a_model_of_another_kind_is_refused(tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)]).save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"The model must be one that unet_tf\.unet built"):
        read_start(tmp_path / "other.keras")
