import pytest

from unet_tf.evaluation.comparison_table import difference_rows, verdict
from unet_tf.evaluation.paired import Difference, compare_all

NAN = float("nan")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Difference(0.75, 0.5, 8, 8, 0, 8, 0, (-0.3, -0.2)),
         "A is better: mean IoU +0.250 (95 % +0.200 to +0.300), better on 8 of 8 images, p = 0.0078."),
        (Difference(0.5, 0.51, 6, 6, 4, 2, 0, (-0.01, 0.03)),
         "A and B cannot be told apart on these 6 images: B has mean IoU +0.010 (95 % -0.010 to +0.030), better on 4 "
         "of 6 images, p = 0.69."),
        (Difference(0.5, 0.75, 5, 5, 5, 0, 0, (0.2, 0.3)),
         "B may be better; interval and sign test do not agree: mean IoU +0.250 (95 % +0.200 to +0.300), better on 5 "
         "of 5 images, p = 0.062."),
        (Difference(0.5, 0.75, 2, 2, 2, 0, 0, None),
         "A and B cannot be told apart on these 2 images: B has mean IoU +0.250, better on 2 of 2 images, p = 0.5. "
         "Fewer than five images have no interval."),
        (Difference(0.5, 0.5, 3, 3, 0, 0, 3, None), "A and B have the same mean IoU on each of these 3 images."),
        (Difference(0.5, 0.75, 30, 6, 6, 0, 0, (0.2, 0.3)),
         "B is better: mean IoU +0.250 (95 % +0.200 to +0.300), better on 6 of 6 groups of 30 images, p = 0.031."),
        (Difference(NAN, NAN, 0, 0, 0, 0, 0, None), "A and B cannot be told apart: no image has a mean IoU."),
    ],
)  # fmt: skip
def test_the_verdict_says_who_and_how_sure(found, words):
    assert verdict(found) == words


def test_scores_that_no_image_has_are_no_row():
    rows = difference_rows(compare_all({"mean IoU": [0.5], "IoU moon": [NAN]}, {"mean IoU": [0.25], "IoU moon": [1.0]}))
    assert rows[1:] == [("mean IoU", "0.5000", "0.2500", "-0.250", "none", "0", "1", "0", "p = 1")]
