import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from forked import Forked

from unet_tf.model.loss_scaling import LossScaling
from unet_tf.model.muon import Muon

TWO_DEVICES = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from unet_tf.model.loss_scaling import LossScaling
from unet_tf.model.muon import Muon
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for overflows in (0, 1, 2):
    with strategy.scope():
        weight = keras.Variable(np.ones((3, 3, 2, 4), "float32"))
        optimizer = LossScaling(Muon(1e-3), initial_scale=1024.0)
        optimizer.build([weight])
    def of_replica():
        own = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradient = tf.fill((3, 3, 2, 4), tf.where(own == overflows, float("inf"), 1.0))
        optimizer.apply([gradient], [weight])
    tf.function(lambda: strategy.run(of_replica))()
    scales = strategy.experimental_local_results(optimizer.dynamic_scale.value)
    print(overflows, np.isfinite(weight.numpy()).all(), (weight.numpy() == 1).all(), *map(float, scales))
"""


def test_a_step_is_left_out_whichever_replica_overflows():
    process = Forked(TWO_DEVICES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = process.communicate(timeout=300)[0].splitlines()
    assert process.returncode == 0, lines
    assert lines[-3:] == ["0 True True 512.0 512.0", "1 True True 512.0 512.0", "2 True False 1024.0 1024.0"]


@pytest.mark.parametrize(("gradient", "scale", "stepped"), [(1.0, 1024, True), (np.nan, 512, False)])
def test_on_one_device_it_is_that_of_keras(gradient, scale, stepped):
    weight = keras.Variable(np.ones(3, np.float32))
    optimizer = LossScaling(keras.optimizers.SGD(1.0), initial_scale=1024.0)
    optimizer.apply([keras.ops.full((3,), gradient)], [weight])
    assert float(optimizer.dynamic_scale) == scale
    assert bool((weight.numpy() != 1).all()) == stepped


def test_it_is_registered_by_the_loss_whatever_is_imported_first():
    code = "import unet_tf\nfrom unet_tf import WeightedCrossentropy\nimport keras\n"
    code += "print(keras.saving.get_registered_object('unet_tf>LossScaling').__name__)"
    environment = os.environ | {"KERAS_BACKEND": "numpy"}  # imported soonest
    said = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert said.splitlines()[-1] == "LossScaling"


def test_it_comes_back_from_its_config():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(LossScaling(Muon(0.1))))
    assert type(again) is LossScaling and type(again.inner_optimizer) is Muon
    assert float(again.learning_rate) == pytest.approx(0.1)
