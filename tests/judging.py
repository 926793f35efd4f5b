"""A function in the place of a net, judged on labelled files.

Import it as `from judging import judge`: pytest puts this folder on the path.
"""

from unet_tf.evaluation.calibration import Certainty
from unet_tf.evaluation.judging import judge_answers
from unet_tf.evaluation.subject import said
from unet_tf.evaluation.sums import Sums
from unet_tf.model.calibration import PLAIN


def judge(predict_fn, truth, membranes=None):
    """Score a function of (H, W, C) raw pixels to (H, W, num_classes) probabilities."""
    masks = truth.masks
    certainty = Certainty(masks.num_classes, PLAIN, masks)
    sums = Sums(len(truth.classes[: masks.real_classes]), membranes, certainty)
    return judge_answers(lambda pair, decoded: said(lambda: predict_fn(decoded.filled), pair), truth, sums=sums)
