"""What goes along with a run."""

import keras
import pytest

from unet_tf import resume, train
from unet_tf.errors import InputError
from unet_tf.training.fit import Watchers


@pytest.mark.parametrize(
    "callback", [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch: 1.0)]
)
def test_a_callback_that_sets_the_learning_rate_is_refused(callback, cells, tmp_path):
    callbacks = [keras.callbacks.TerminateOnNaN(), callback]
    words = f"own schedule of the learning rate: .* received a {type(callback).__name__}, which would change nothing"
    with pytest.raises(InputError, match=words):
        train(cells, tmp_path / "run", callbacks=callbacks, epochs=1)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=words):
        resume(tmp_path / "run", callbacks=callbacks)


def test_callbacks_are_taken_as_keras_takes_them():
    one = keras.callbacks.TerminateOnNaN()
    for given, listed in (
        (one, [one]),
        ([one], [one]),
        (None, []),
        ([[one], (one,)], [one, one]),
        (filter(None, [one, None]), [one]),
        ((each for each in [one]), [one]),
    ):
        watchers = Watchers(given)
        assert [list(watchers.callbacks) for fold in range(2)] == [listed, listed]
    schedule = keras.callbacks.ReduceLROnPlateau()
    for given in (schedule, [one, [schedule]], iter([schedule])):
        with pytest.raises(InputError, match="received a ReduceLROnPlateau"):
            Watchers(given)
