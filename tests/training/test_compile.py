"""A net that is ready for `fit`, and what a step of it costs."""

import os
import random
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf import TrainConfig
from unet_tf.errors import InputError
from unet_tf.model.loss_scaling import LossScaling
from unet_tf.model.unet import start_at_edges
from unet_tf.plan import Plan
from unet_tf.training.compile import compiled, memory_in_words, step_seconds
from unet_tf.utils.chance import own_chance
from unet_tf.utils.signals import Stopped, stoppable

PLAN = Plan.of(
    TrainConfig(
        ("a", "b"), masks="binary", base_filters=2, depth=1, padding="same", tile=16, batch_size=1, epochs=1,
        precision="float32", loss="crossentropy", learning_rate=1e-3, val_tiles=1, val_share=0.2, upright=False,
        steps_per_epoch=1, rare_share=0.0, border_class=0, border_weight=0.0, threshold=0.5, dropout=0.1, seed=7,
    ),
    {},
)  # fmt: skip


def test_start_weights_follow_the_seed_of_the_plan_and_nothing_else():
    keras.utils.set_random_seed(7)
    net = PLAN.build(1)
    start_at_edges(net)
    expected = net.get_weights()
    random.seed(0)
    state = random.getstate()
    found = compiled(PLAN, 1).get_weights()
    assert random.getstate() == state
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_net_of_the_paper_starts_as_the_paper_says():
    paper = replace(PLAN, batch_norm=False)
    with own_chance(paper.seed):
        expected = paper.build(1).get_weights()
    for a, b in zip(compiled(paper, 1).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "plan", [PLAN, replace(PLAN, precision="float16"), replace(PLAN, optimizer="sgd")], ids=["", "float16", "sgd"]
)
def test_a_net_whose_steps_were_timed_starts_as_a_new_one_to_the_bit_and_is_not_traced_anew(plan, monkeypatch):
    rng, loss, traced = np.random.default_rng(0), type(compiled(plan, 1).loss), []
    image, label = rng.normal(size=(4, 1, 16, 16, 1)).astype(np.float32), rng.integers(0, 2, (4, 1, 16, 16), np.uint8)
    tiles = tf.data.Dataset.from_tensor_slices((image, label, np.ones_like(image[..., 0])))
    timed, new = compiled(plan, 1, [0.9, 0.1]), compiled(plan, 1, [0.9, 0.1])
    step_seconds(timed, plan, 1)
    of_loss = loss.__call__
    monkeypatch.setattr(loss, "__call__", lambda *arguments: traced.append(1) or of_loss(*arguments))
    timed.fit(tiles, epochs=2, verbose=0, shuffle=False)
    assert not traced
    new.fit(tiles, epochs=2, verbose=0, shuffle=False)
    assert traced == [1]  # the variables of the optimizer are there before
    for one, other in zip(
        timed.variables + timed.optimizer.variables, new.variables + new.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_step_that_is_timed_may_be_stopped():
    with stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            step_seconds(compiled(PLAN, 1), PLAN, 1)
    assert step_seconds(compiled(PLAN, 1), PLAN, 1) > 0


def test_memory_that_does_not_do_is_said_with_a_remedy_that_is_taken():
    message = "2 base filters at depth 1 with 1 tiles of 16 px"
    for begun, remedy in (
        (False, "Lower --batch-size, --tile, --base-filters or --depth."),
        (True, "The run goes on as it was begun: free memory, .*CUDA_VISIBLE_DEVICES.*, or train anew with less"),
    ):
        for failure in (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), MemoryError()):
            with pytest.raises(InputError, match=f"{message}. {remedy}"), memory_in_words(PLAN, begun):
                raise failure


def test_the_scale_of_float16_is_shared_by_replicas():
    assert type(compiled(replace(PLAN, precision="float16"), 1).optimizer) is LossScaling
