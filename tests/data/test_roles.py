"""Which folders are read to tell what they hold."""

import os

import pytest
from folders import put

from unet_tf.data.roles import told_apart


@pytest.mark.parametrize(
    ("folders", "most"),
    [
        ([f"p{n}" for n in range(9)], 0),
        (["test_a", "val_a"], 0),  # none is for training
        (["train_a", "test_a", *(f"p{n}" for n in range(9))], 1),
        (["train_a", "test_a"], 2),
    ],
)
def test_names_tell_splits_before_folders_are_read(tmp_path, monkeypatch, folders, most):
    put(tmp_path, *(f"{name}/0.png" for name in folders))
    read, scandir = [], os.scandir

    def counting(path):
        read.append(path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", counting)
    paths = [tmp_path / name for name in folders]
    assert told_apart(paths) == (dict(zip(("train", "test"), paths, strict=True)) if most == 2 else {})
    assert len(read) == most
