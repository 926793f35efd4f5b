"""How long the nets of a bundle take, in turns, in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.edge.net import EdgeNet
from unet_tf.exporting.bundle import TFLITE, Bundle
from unet_tf.exporting.parity import THREADS, noise
from unet_tf.exporting.saved_model import MASK
from unet_tf.utils.stderr import quiet_tensorflow

ROUNDS, SECONDS = 15, 20.0
"""Most rounds, and seconds after which none begins."""


def milliseconds(folder: Path) -> dict[str, float]:
    """The median time that each net of a bundle takes for one tile of its TFLite files, with two threads.

    Raises:
        RuntimeError: a net cannot be run.
    """
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), str(THREADS))
    command = [sys.executable, "-m", "unet_tf.exporting.latency", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads)
    if done.returncode:
        raise RuntimeError(f"The nets of {folder} cannot be timed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(bundle: Bundle) -> dict[str, float]:
    """The same, in this process."""
    description = bundle.description
    step = description.geometry.tile_step(description.tile)
    image = noise(description, (description.tile, description.tile))
    runs: dict[str, Callable[[], Any]] = {}
    for name in bundle.artefacts():
        if name in TFLITE.values():
            runs[name] = _edge(bundle.path / name, image)
        else:
            runs[name] = _saved_model(bundle.path / name, image[:step, :step])
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            taken[name].append(1000 * (time.perf_counter() - start))
        if time.perf_counter() - begin > SECONDS:
            break
    return {name: statistics.median(times) for name, times in taken.items()}


def _edge(path: Path, window: NDArray) -> Callable[[], Any]:
    net = EdgeNet(path, THREADS)
    return lambda: net.run(window)


def _saved_model(path: Path, image: NDArray) -> Callable[[], Any]:
    signature = tf.saved_model.load(str(path)).signatures[MASK]
    return lambda: signature(image=tf.constant(image[None]))["mask"].numpy()


if __name__ == "__main__":
    quiet_tensorflow()
    sys.stdout.write(json.dumps(measure(Bundle(sys.argv[1]))))
