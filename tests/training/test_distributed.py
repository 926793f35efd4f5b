"""Several devices and hosts train as one does: real processes on this machine."""

import csv
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack

import numpy as np
import pytest
from forked import Forked

from unet_tf import Run, train
from unet_tf.data.pictures import read_mask, write_picture
from unet_tf.data.pipeline import training_dataset

# SGD: where batch norm makes a true gradient zero, Adam would blow its rounding up. 0.003: with 0.01 and a momentum of
# 0.99 rounding grows to 1e-5 in nine steps; with this to 1e-6.
SETTINGS = {
    "base_filters": 2, "depth": 1, "padding": "same", "tile": 32, "batch_size": 4, "precision": "float32",
    "optimizer": "sgd", "learning_rate": 0.003, "void": 128, "epochs": 3, "steps_per_epoch": 3,
}  # fmt: skip
TWO_DEVICES = """
import tensorflow as tf, unet_tf, unet_tf.training.train
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
unet_tf.training.train.choose_strategy = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""


@pytest.fixture(scope="module")
def patchy(cells, tmp_path_factory):
    """Cells whose masks are void in one half: devices see other numbers of pixels that count."""
    data = shutil.copytree(cells, tmp_path_factory.mktemp("data") / "patchy")
    for path in data.glob("*/masks/*.png"):
        mask = read_mask(path)
        mask[: len(mask) // 2] = 128
        write_picture(path, mask)
    return data


@pytest.fixture(scope="module")
def alone(patchy, tmp_path_factory):
    return train(patchy, tmp_path_factory.mktemp("runs") / "alone", **SETTINGS)


def start(code, config=None):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    if config is not None:
        environment["TF_CONFIG"] = json.dumps(config)
    return Forked(code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


@pytest.fixture
def start_hosts(monkeypatch):
    """A function that starts two processes, told to be hosts of one cluster; nobody else gets their ports meanwhile."""
    monkeypatch.setenv("TF_GRPC_REUSE_PORT", "1")
    with ExitStack() as held:

        def hosts(code):
            sockets = [held.enter_context(socket.socket()) for _ in range(2)]
            for one in sockets:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(("127.0.0.1", 0))
            workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
            tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in (0, 1)]
            return [start(code, task) for task in tasks]

        yield hosts


def end(processes, seconds=400):
    outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)[-3000:]


def history(path):
    return list(csv.DictReader((path / Run.HISTORY).read_text().splitlines()))


def check_equal(out, alone):
    rows, expected = history(out), history(alone.path)
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        for key in ("loss", "mean_iou", "val_loss", "val_mean_iou", "learning_rate"):
            near = 5e-4 if "iou" in key else 1e-5  # rounding may turn a pixel
            assert float(row[key]) == pytest.approx(float(other[key]), abs=near), key
    for a, b in zip(Run(out).model.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_two_devices_train_as_one_does(patchy, alone, tmp_path):
    out = tmp_path / "run"
    end([start(TWO_DEVICES + f"unet_tf.train({str(patchy)!r}, {str(out)!r}, **{SETTINGS})")])
    check_equal(out, alone)
    assert (out / Run.REPORT).is_file()


def test_two_hosts_train_as_one_does_and_where_one_dies_the_other_ends_and_both_go_on(
    patchy, alone, start_hosts, tmp_path
):
    out = tmp_path / "run"
    # After the first epoch the chief waits until the other host is gone.
    wait = (
        "import keras, os, time\n"
        "def pause(epoch, logs):\n"
        f"    while epoch == 1 and not os.path.exists({str(tmp_path / 'gone')!r}): time.sleep(0.1)\n"
        "pause = keras.callbacks.LambdaCallback(on_epoch_begin=pause)\n"
    )
    code = f"{wait}import unet_tf; unet_tf.train({str(patchy)!r}, {str(out)!r}, callbacks=[pause], **{SETTINGS})"
    chief, worker = start_hosts(code)
    while not (out / Run.HISTORY).exists() and chief.poll() is worker.poll() is None:
        time.sleep(0.05)
    worker.kill()
    worker.communicate()
    (tmp_path / "gone").touch()
    output = chief.communicate(timeout=300)[0]
    assert chief.returncode == 1
    assert "All hosts train to the end together; one has gone" in output
    assert len(history(out)) == 1
    end(start_hosts(f"import unet_tf; unet_tf.resume({str(out)!r})"))
    check_equal(out, alone)


def test_shares_of_hosts_make_up_the_whole_batch(cells):
    from unet_tf.config import TrainConfig
    from unet_tf.planning.prepare import prepare

    draw = prepare(cells, TrainConfig(depth=1, padding="same", tile=32)).tiles()

    def batches(share):
        return [image.numpy() for image, *_ in training_dataset(draw, 4, first_tile=8, share=share).take(2)]

    whole, first, second = batches((0, 1)), batches((0, 2)), batches((1, 2))
    for one, a, b in zip(whole, first, second, strict=True):
        np.testing.assert_array_equal(one, np.concatenate([a, b]))
