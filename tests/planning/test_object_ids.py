import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.folder import Pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.planning.object_ids import FEW_IDS, IdFacts, doubt_of_ids, id_facts
from unet_tf.planning.objects import plan_objects

TWO = np.zeros((40, 40), np.uint8)
TWO[2:12, 2:12] = TWO[20:30, 20:35] = 255


def of(pieces, *ids):
    return IdFacts(frozenset(ids), pieces)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([], ""),
        ([of(0), of(0)], ""),  # nothing is there
        ([of(1, 1), of(1, 1)], ""),  # an object a picture
        ([of(1, 255), of(1, 255)], "hold the id 255 alone, 2 pieces in 2 masks, as binary masks do"),
        ([of(1, 1), of(0), of(2, 1)], "hold the id 1 alone, 3 pieces in 2 masks"),  # one is hidden in its middle
        ([of(3, 1), of(1, 2)], ""),
        ([of(5, 1, 2), of(9, 1, 2, 3)], ""),
        ([of(9, 1, 2)], ""),
        ([of(4, 1, 2), of(4, 1, 2)], ""),  # broken in two
        ([of(9, 1, 2), of(4, 1, 2)], "hold the same ids (1, 2), each in 3.2 pieces in the mean"),
        ([of(0, *range(FEW_IDS + 1)), of(2, 1)], ""),
    ],
)
def test_what_ids_tell(seen, said):
    assert said in doubt_of_ids(seen)
    assert bool(said) == bool(doubt_of_ids(seen))


@pytest.mark.parametrize("seen", [[of(2, 255)], [of(1, 1), of(0), of(3, 1)]])
def test_binary_masks_are_no_object_ids(seen):
    with pytest.raises(InputError, match=r"binary masks: (255|1) is the only id, in [24] pieces of [12] masks?"):
        doubt_of_ids(seen)


def test_pieces_are_of_one_id_and_void_is_none():
    mask = np.array([[1, 0, 2, 2], [0, 1, 9, 9], [2, 0, 0, 0]], np.uint16)
    assert id_facts(mask, (9,)) == of(3, 1, 2)
    assert id_facts(mask[..., None], (9,)) == of(3, 1, 2)
    assert id_facts(np.arange(1, 101).reshape(10, 10)) == of(0, *range(1, FEW_IDS + 2))
    assert id_facts(np.zeros((1, 1), np.uint8)) == IdFacts()


def test_check_and_training_refuse_binary_masks_that_are_said_to_be_ids(tmp_path):
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 200, (40, 40), dtype=np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", image)
        write_picture(tmp_path / "masks" / f"{number}.png", TWO)
    findings = check(tmp_path, masks="instance")
    assert [one for one in findings.problems if "unet-tf import DATA --from masks --instances" in one]
    pairs = [Pair("0", tmp_path / "images/0.png", tmp_path / "masks/0.png")]
    with pytest.raises(InputError, match="255 is the only id, in 2 pieces of 1 mask"):
        plan_objects(pairs, MaskFormat("instance"))
    assert check(tmp_path).problems == []


def test_class_ids_that_are_said_to_be_objects_are_doubted(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[::8, ::8], mask[4::8, 4::8] = 1, 2
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 200, (40, 40), dtype=np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", image)
        write_picture(tmp_path / "masks" / f"{number}.png", mask)
    findings = check(tmp_path, masks="instance")
    assert findings.problems == []
    assert [one for one in findings.warnings if "--masks index --classes 3" in one]
