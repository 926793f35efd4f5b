"""Stopped at any moment, a run goes on as if it had never been."""

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from forked import Forked

from unet_tf import Run, resume, train
from unet_tf.errors import InputError
from unet_tf.evaluation.best_epoch import best_row
from unet_tf.plan import Plan
from unet_tf.training.checkpoint import State, restore_checkpoint, save_checkpoint
from unet_tf.training.compile import compiled
from unet_tf.training.distributed import _Steps
from unet_tf.training.run_writer import RunWriter

KILLS = int(os.environ.get("UNET_TF_KILLS", "3"))
"""SIGKILLs, each when the process says that it has come to a moment; 10 in the long form of the test."""
# Dropout, batch norm, rare tiles and the optimizer's moments: all that has a memory.
SETTINGS = {
    "base_filters": 2, "depth": 1, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32",
    "dropout": 0.3, "rare_share": 0.5, "epochs": 3 * KILLS, "steps_per_epoch": 4,
}  # fmt: skip
# The n-th call of a function says so and waits to be killed: a step, a tile of validation, a file that is whole but has
# its temporary name still.
KILLED = """
import keras, os, sys, time, unet_tf
calls = 0
def here(*arguments, **names):
    global calls
    calls += 1
    if calls == {number}:
        print("here", flush=True)
        time.sleep(3600)
callbacks = []
if {moment!r} == "fsync":
    os.fsync = here
else:
    callbacks = [type("Callback", (keras.callbacks.Callback,), dict({moment}=here))()]
"""
MOMENTS = ("on_train_batch_end", "fsync", "on_test_batch_end")


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


def test_a_run_killed_again_and_again_ends_equal_to_the_bit(cells, undisturbed, tmp_path):
    out, rng = tmp_path / "run", random.Random(2015)
    begin = f"unet_tf.train({str(cells)!r}, {str(out)!r}, callbacks=callbacks, **{SETTINGS})"
    go_on = f"unet_tf.resume({str(out)!r}, callbacks=callbacks)"
    reached: list[int] = []
    while len(reached) < KILLS:
        moment, number = MOMENTS[len(reached) % 3], rng.randint(5, 8)
        code = KILLED.format(moment=moment, number=number) + (go_on if (out / Run.CONFIG).exists() else begin)
        with Forked(code, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == "here\n"
            process.kill()
        assert process.returncode == -signal.SIGKILL
        reached.append(len(Run(out).history()))
    resume(out)
    assert fingerprint(out) == fingerprint(undisturbed.path), f"killed after epochs {reached}"
    assert sorted(reached) == reached
    assert 0 < reached[-1] < SETTINGS["epochs"], f"killed after epochs {reached}: none in the midst of the run"
    assert (out / Run.REPORT).is_file()


def test_a_signal_ends_a_process_with_the_line_that_resumes_it(cells, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", cells, "--out", out, "--base-filters", 2, "--depth", 1, "--tile", 32, "--epochs", 100000]
    arguments += ["--batch-size", 2, "--steps-per-epoch", 4, "--precision", "float32", "--optimizer", "sgd"]
    code = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # ignored in a shell's background
        "runpy.run_module('unet_tf', run_name='__main__')"
    )
    with (tmp_path / "errors").open("w") as errors:
        process = Forked(code, *arguments, stdout=subprocess.PIPE, stderr=errors)
    lines = [next(line for line in process.stdout if line.startswith("epoch    1"))]
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130
    assert [line for line in lines + output.splitlines() if line.startswith("Stopped")] == [
        f"Stopped. Go on with: unet-tf train --resume {out}"
    ]
    assert output.splitlines()[-1].startswith("Stopped")
    assert "Traceback" not in (tmp_path / "errors").read_text()
    assert "Stopped. Go on" in (out / Run.LOG).read_text()


def test_what_a_killed_process_left_half_done_is_completed(undisturbed, tmp_path):
    """Killed between `last.keras` and what follows from it."""
    out = shutil.copytree(undisturbed.path, tmp_path / "run")
    for name in (Run.BEST, Run.HISTORY, Run.REPORT):
        (out / name).unlink()
    state = json.loads(zipfile.ZipFile(out / Run.LAST).read(Run.STATE))
    if best_row(state["history"])["epoch"] < len(state["history"]) - 1:  # best.keras is then of an earlier process
        shutil.copy(undisturbed.path / Run.BEST, out)
    resume(out)
    assert fingerprint(out) == fingerprint(undisturbed.path)
    assert (out / Run.REPORT).is_file()


def test_a_run_does_not_go_on_with_other_data(cells, undisturbed, tmp_path):
    data, run = shutil.copytree(cells, tmp_path / "data"), shutil.copytree(undisturbed.path, tmp_path / "run")
    assert resume(run, data).path == run
    mask = data / "train" / "masks" / "cells_001.png"
    shutil.copy(data / "train" / "masks" / "cells_002.png", mask)
    with pytest.raises(InputError, match="changed, gone or new since then: cells_001. Restore them"):
        resume(run, data)


@pytest.fixture(scope="module")
def net(undisturbed):
    """A net of the plan of that run, into which checkpoints are read that are none."""
    return compiled(undisturbed.plan, 1)


def rewritten(path, change):
    """The archive at `path` with one member changed, or left out where the change gives None."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if (content := change(name, content)) is not None:
                archive.writestr(name, content)


def directory_moved(path):
    """Let the end of the archive say that its directory lies further on, so that its members lie before the file."""
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\5\6") + 16
    place = int.from_bytes(content[end : end + 4], "little") + 1_000_000
    content[end : end + 4] = place.to_bytes(4, "little")
    path.write_bytes(content)


def state(change):
    """Change the state that is stored in the checkpoint."""

    def changed(name, content):
        return json.dumps(change(json.loads(content))) if name == Run.STATE else content

    return lambda path: rewritten(path, changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9),
        lambda path: path.write_text("text"),
        directory_moved,
        lambda path: rewritten(path, lambda name, content: None if name == Run.STATE else content),
        lambda path: rewritten(path, lambda name, content: b"{" if name == Run.STATE else content),
        lambda path: rewritten(path, lambda name, content: content[:99] if name.endswith(".h5") else content),
        lambda path: rewritten(path, lambda name, content: None if name.endswith(".h5") else content),
        state(lambda found: []),
        state(lambda found: found | {"more": 1}),
        state(lambda found: found | {"history": 3}),
        state(lambda found: found | {"history": "abc"}),
        state(lambda found: found | {"history": found["history"][1:]}),
        state(lambda found: found | {"history": [row | {"val_mean_iou": "x"} for row in found["history"]]}),
        state(lambda found: found | {"generators": []}),
        state(lambda found: found | {"generators": [["x"]]}),
        state(lambda found: found | {"finished": "no"}),
    ],
)
def test_a_damaged_checkpoint_is_named(undisturbed, net, tmp_path, damage):
    path = Path(shutil.copy(undisturbed.path / Run.LAST, tmp_path))
    damage(path)
    with pytest.raises(InputError, match=r"last\.keras is damaged, or no checkpoint") as raised:
        restore_checkpoint(net, path)
    assert raised.value.file == path


@pytest.mark.parametrize(
    ("failure", "expected", "words"),
    [
        (MemoryError(), MemoryError, None),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), tf.errors.ResourceExhaustedError, "OOM"),
        (OSError(5, "Input/output error"), InputError, r"Cannot read .*last\.keras: Input/output error. Check"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_now_is_not_called_damaged(
    undisturbed, net, monkeypatch, failure, expected, words
):
    def fail(*arguments):
        raise failure

    monkeypatch.setattr(net, "load_weights", fail)
    with pytest.raises(expected, match=words):
        restore_checkpoint(net, undisturbed.path / Run.LAST)


def test_a_folder_in_the_place_of_a_checkpoint_is_said(net, tmp_path):
    with pytest.raises(InputError, match="Cannot read .*: Is a directory"):
        restore_checkpoint(net, tmp_path)


def test_the_scale_of_the_loss_goes_on_where_it_was(undisturbed, tmp_path):
    plan = Plan.of(replace(undisturbed.plan.config, precision="float16", dropout=0.0), {})
    model, again = compiled(plan, 1), compiled(plan, 1)
    model.optimizer.dynamic_scale.assign(1024.0)
    model.optimizer.step_counter.assign(7)
    model.optimizer.inner_optimizer.iterations.assign(99)
    save_checkpoint(model, tmp_path / Run.LAST, State())
    restore_checkpoint(again, tmp_path / Run.LAST)
    _Steps(again, tf.distribute.get_strategy())
    assert (float(again.optimizer.dynamic_scale), int(again.optimizer.step_counter)) == (1024, 7)
    assert int(again.optimizer.inner_optimizer.iterations) == 99
    assert len(again.optimizer.variables) == len(model.optimizer.variables)


def test_an_optimizer_that_its_file_does_not_fit_does_not_begin_anew(undisturbed, net, tmp_path):
    save_checkpoint(compiled(replace(undisturbed.plan, optimizer="sgd"), 1), tmp_path / Run.LAST, State())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras only warns
        with pytest.raises(InputError, match="(?s)no checkpoint of this run: .*Skipping variable loading"):
            restore_checkpoint(net, tmp_path / Run.LAST)


def test_a_process_killed_before_its_run_has_begun_leaves_the_folder_free(undisturbed, tmp_path):
    for name in (Run.FILES, Run.LOCK):  # config.toml comes last
        shutil.copy(undisturbed.path / name, tmp_path)
    with pytest.raises(InputError, match="is no run: it has no config.toml"):
        resume(tmp_path)
    RunWriter(tmp_path).check_free()


def test_a_run_begun_but_without_an_epoch_goes_on_from_the_start(undisturbed, tmp_path):
    for name in (Run.CONFIG, Run.FILES):
        shutil.copy(undisturbed.path / name, tmp_path)
    resume(tmp_path)
    assert fingerprint(tmp_path) == fingerprint(undisturbed.path)
