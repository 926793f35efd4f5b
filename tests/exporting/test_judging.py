import numpy as np
import pytest

from unet_tf import InputError, unet
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.exporting.judging import judged
from unet_tf.exporting.parity import BundledNet, keras_net
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import label_of
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.utils.progress import unseen


def test_nets_of_several_may_be_as_far_off_as_their_temperatures_make_it():
    """Each divides its logits by its own temperature, and multiplies their rounding."""
    net = unet((None, None, 1), 2, base_filters=2, depth=1, padding="same")
    about = Description(
        ("a", "b"), MaskFormat(), Normalisation((9.0,), (2.0,), "uint8"), Geometry(1, "same"), 32, nets=2
    )
    model = ensemble([Member(name, net, (1.0,), (0.0,), 0.1) for name in ("a", "b")])
    keras = keras_net(model, about)

    def off(by):
        return BundledNet(lambda image: keras(image) + by, lambda image: label_of(keras(image), 0.5))

    found = judged({"saved_model/1": off(5e-4)}, model, about, [], unseen)
    assert found["saved_model/1"].difference == pytest.approx(5e-4, rel=1e-2)
    with pytest.raises(RuntimeError, match=r"saved_model/1 differs from Keras by 1\.5e-03 .*, and may by 1\.0e-03"):
        judged({"saved_model/1": off(1.5e-3)}, model, about, [], unseen)


@pytest.mark.parametrize(
    ("broken", "kind", "words"),
    [
        ("model_float16.tflite", InputError, r"Nothing was exported\. To leave one out, .*--variants.*--bfloat16\.$"),
        ("model_float32.tflite", RuntimeError, r"differs from Keras by inf in probability.* Please report this"),
    ],
)
def test_a_net_is_trained_again_only_where_keras_itself_is_not_finite(broken, kind, words):
    net = unet((None, None, 1), 2, base_filters=2, depth=1, padding="same")
    about = Description(("a", "b"), MaskFormat(), Normalisation((9.0,), (2.0,), "uint8"), Geometry(1, "same"), 32)
    keras = keras_net(net, about)
    nan = BundledNet(lambda image: keras(image) * np.nan, lambda image: label_of(keras(image), 0.5))
    right = BundledNet(keras, lambda image: label_of(keras(image), 0.5))
    with pytest.raises(kind, match=words) as told:
        judged({"saved_model/1": right, broken: nan}, net, about, [], unseen)
    assert broken in str(told.value)
    assert "--learning-rate" not in str(told.value)
    net.set_weights([values * np.nan for values in net.get_weights()])
    with pytest.raises(InputError, match=r"model\.keras must give finite .* Train again, with a lower --learning-rate"):
        judged({broken: nan}, net, about, [], unseen)
