"""What goes along with a run."""

import keras
import pytest

from unet_tf import resume, train
from unet_tf.errors import InputError


@pytest.mark.parametrize(
    "callback", [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch: 1.0)]
)
def test_a_callback_that_sets_the_learning_rate_is_refused(callback, cells, tmp_path):
    callbacks = [keras.callbacks.TerminateOnNaN(), callback]
    words = f"own schedule of the learning rate, .* received a {type(callback).__name__}, which would change nothing"
    with pytest.raises(InputError, match=words):
        train(cells, tmp_path / "run", callbacks=callbacks, epochs=1)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=words):
        resume(tmp_path / "run", callbacks=callbacks)
