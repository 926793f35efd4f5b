import json

import tensorflow as tf

from unet_tf import Run


def test_a_host_that_is_not_the_chief_ends_well_without_scores(call, own_run, monkeypatch):
    (own_run.path / Run.EVALUATION).unlink()  # the chief judges still
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    monkeypatch.setattr("unet_tf.training.train.choose_strategy", tf.distribute.get_strategy)  # no other host comes
    code, out, err = call("train", "--resume", own_run.path)
    assert (code, "Report" in out) == (0, False), err
    assert not (own_run.path / Run.EVALUATION).exists()
