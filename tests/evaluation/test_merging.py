import numpy as np
import pytest
from judging import judge

from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.judging import Truth
from unet_tf.evaluation.merging import merged

CLASSES = ("background", "cell")


@pytest.fixture
def pairs(tmp_path):
    """Nine files, of which one is of void alone; sizes differ, and so do the shares of the classes."""
    rng = np.random.default_rng(0)
    for number in range(9):
        side = 20 + number
        mask = (rng.random((side, side)) < (number + 1) / 12).astype(np.uint8) * 255
        write_picture(
            tmp_path / "images" / f"{'ab'[number % 2]}{number}.png", rng.integers(0, 256, mask.shape, np.uint8)
        )
        write_picture(
            tmp_path / "masks" / f"{'ab'[number % 2]}{number}.png", np.full_like(mask, 7) if number == 4 else mask
        )
    return find_named(tmp_path).splits[""]


def judged(pairs, group=None):
    def probabilities(image):
        p = np.abs(np.sin(image[..., :1].astype(np.float64)))
        return np.concatenate([1 - p, p], axis=-1).astype(np.float32)

    return judge(probabilities, Truth(pairs, MaskFormat("binary", void=(7,)), CLASSES, group))


def assert_close(found, wanted):
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_close(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)
    else:
        assert found == (pytest.approx(wanted, abs=1e-12) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize("group", [None, "^."])
def test_merged_is_as_judged_together(pairs, group):
    parts = [judged(some, group) for some in (pairs[5:], pairs[:2], pairs[2:5])]
    found, wanted = merged(parts, "all", group), judged(pairs, group)
    assert found.files == "all"
    assert_close({**found.to_json(), "files": ""}, wanted.to_json())
    assert [one.pair for one in found.judged] == [one.pair for one in wanted.judged]


def test_merged_can_be_merged_again(pairs):
    twice = merged([merged([judged(pairs[:3]), judged(pairs[3:6])]), judged(pairs[6:])])
    assert_close(twice.to_json(), judged(pairs).to_json())


def test_a_file_counts_once(pairs):
    with pytest.raises(InputError, match="A file must be judged once; b3 was judged twice"):
        merged([judged(pairs[:5]), judged([*pairs[5:], next(one for one in pairs if one.name == "b3")])])


def test_what_cannot_be_put_together_is_refused(pairs):
    with pytest.raises(InputError, match="received none"):
        merged([])
    from dataclasses import replace

    one = judged(pairs[:2])
    with pytest.raises(InputError, match="must have the same classes, and what was counted"):
        merged([one, replace(judged(pairs[2:]), sums=None)])
    with pytest.raises(InputError, match="must have the same classes"):
        merged([one, replace(judged(pairs[2:]), classes=("a", "b"))])
