"""Stopped at any moment, a run goes on as if it had never been."""

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import keras
import pytest

from unet_tf import Run, resume, train
from unet_tf.errors import InputError
from unet_tf.training.checkpoint import STATE

KILLS = int(os.environ.get("UNET_TF_KILLS", "3"))
"""SIGKILLs at random moments; 10 in the long form of the test."""
# Dropout, batch norm, rare tiles and Adam's moments: all that has a memory.
SETTINGS = {
    "base_filters": 4, "depth": 2, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32",
    "dropout": 0.3, "rare_share": 0.5, "epochs": 10 * KILLS, "steps_per_epoch": 4,
}  # fmt: skip
# A thread kills the process some time after training has begun: in a step, a validation, or while files are written.
KILLED = """
import keras, os, signal, threading, time, unet_tf
def begin(logs):
    threading.Thread(target=lambda: (time.sleep({seconds}), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
killer = keras.callbacks.LambdaCallback(on_train_begin=begin)
"""


def fingerprint(path):
    """SHA-256 of weights, optimizer and history of a run, and of the weights of its best net."""
    hashes = {}
    for name in (Run.LAST, Run.BEST):
        model = keras.saving.load_model(path / name)
        variables = [*model.weights, *(model.optimizer.variables if name == Run.LAST else ())]
        hashes[name] = hashlib.sha256(b"".join(v.numpy().tobytes() for v in variables)).hexdigest()
    with (path / Run.HISTORY).open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return hashes, rows


@pytest.fixture(scope="module")
def undisturbed(cells, tmp_path_factory):
    return train(cells, tmp_path_factory.mktemp("runs") / "whole", **SETTINGS)


def start(code):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=environment)


def test_a_run_killed_again_and_again_ends_equal_to_the_bit(cells, undisturbed, tmp_path):
    out, rng = tmp_path / "run", random.Random(2015)
    begin = f"unet_tf.train({str(cells)!r}, {str(out)!r}, callbacks=[killer], **{SETTINGS})"
    go_on = f"unet_tf.resume({str(out)!r}, callbacks=[killer])"
    reached: list[int] = []
    while len(reached) < KILLS:
        # From the first step, which is compiled for some seconds, to an epoch or two later.
        seconds = rng.uniform(2, 8) / (1 + (sum(reached) > 0))
        code = KILLED.format(seconds=seconds) + (go_on if (out / Run.CONFIG).exists() else begin)
        process = start(code)
        errors = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, errors
        reached.append(len(json.loads(zipfile.ZipFile(out / Run.LAST).read(STATE))["history"])
                       if (out / Run.LAST).exists() else 0)  # fmt: skip
    resume(out)
    print(f"killed after epochs {reached}")
    assert fingerprint(out) == fingerprint(undisturbed.path), f"killed after epochs {reached}"
    assert 0 < max(reached) < SETTINGS["epochs"], f"killed after epochs {reached}: none in the midst of the run"
    assert (out / Run.REPORT).is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_the_line_that_resumes_it(cells, tmp_path, number):
    out = tmp_path / "run"
    arguments = ["train", cells, "--out", out, "--base-filters", 2, "--depth", 1, "--tile", 32, "--epochs", 100000]
    process = subprocess.Popen(
        [sys.executable, "-m", "unet_tf", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background
    )  # fmt: skip
    while not (out / Run.HISTORY).exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.splitlines()[-1] == f"Stopped. Go on with: unet-tf train --resume {out}"
    assert "Traceback" not in errors
    assert "Stopped. Go on" in (out / Run.LOG).read_text()


def test_one_process_at_a_time_trains_in_a_folder(cells, undisturbed, tmp_path):
    from unet_tf.training.run_files import locked

    with locked(tmp_path), pytest.raises(InputError, match="another does in"):
        train(cells, tmp_path, **SETTINGS)
    assert {p.name for p in tmp_path.iterdir()} == {Run.LOCK}
    code = f"import unet_tf; unet_tf.resume({str(undisturbed.path)!r})"
    with locked(undisturbed.path):
        process = start(code)
        assert "One process at a time trains in a run folder" in process.communicate()[1]


def test_what_a_killed_process_left_half_done_is_completed(undisturbed, tmp_path):
    """Killed between `last.keras` and what follows from it."""
    out = shutil.copytree(undisturbed.path, tmp_path / "run")
    for name in (Run.BEST, Run.HISTORY, Run.REPORT):
        (out / name).unlink()
    state = json.loads(zipfile.ZipFile(out / Run.LAST).read(STATE))
    scores = [row["val_mean_iou"] for row in state["history"]]
    if scores.index(max(scores)) < len(scores) - 1:  # best.keras is then of an earlier process
        shutil.copy(undisturbed.path / Run.BEST, out)
    resume(out)
    assert fingerprint(out) == fingerprint(undisturbed.path)
    assert (out / Run.REPORT).is_file()


def test_a_run_does_not_go_on_with_other_data(cells, undisturbed, tmp_path):
    data = shutil.copytree(cells, tmp_path / "data")
    assert resume(undisturbed.path, data).path == undisturbed.path
    mask = data / "train" / "masks" / "cells_001.png"
    shutil.copy(data / "train" / "masks" / "cells_002.png", mask)
    with pytest.raises(InputError, match="changed, gone or new since then: cells_001. Restore them"):
        resume(undisturbed.path, data)


def test_a_damaged_checkpoint_is_named(undisturbed, tmp_path):
    out = shutil.copytree(undisturbed.path, tmp_path / "run")
    (out / Run.LAST).write_bytes((out / Run.LAST).read_bytes()[:1000])
    with pytest.raises(InputError, match=r"last\.keras is damaged, or no checkpoint"):
        resume(out)


def test_a_process_killed_before_its_run_has_begun_leaves_the_folder_free(cells, undisturbed, tmp_path):
    for name in (Run.FILES, Run.LOCK):  # config.toml comes last
        shutil.copy(undisturbed.path / name, tmp_path)
    (tmp_path / ".last.12345678.keras").write_bytes(b"half")
    with pytest.raises(InputError, match="is no run: it has no config.toml"):
        resume(tmp_path)
    run = train(cells, tmp_path, **SETTINGS | {"epochs": 1})
    assert not list(run.path.glob(".*.keras"))


def test_a_run_begun_but_without_an_epoch_goes_on_from_the_start(undisturbed, tmp_path):
    for name in (Run.CONFIG, Run.FILES):
        shutil.copy(undisturbed.path / name, tmp_path)
    resume(tmp_path)
    assert fingerprint(tmp_path) == fingerprint(undisturbed.path)
