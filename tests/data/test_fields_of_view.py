import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kinds_of_files import pil, tiff
from PIL import Image

from unet_tf.data.fields_of_view import FieldsOfView
from unet_tf.data.folder import Pair
from unet_tf.data.pictures import write_picture, write_stack
from unet_tf.errors import InputError

FIELD = np.pad(np.full((2, 3), 255, np.uint8), 1)  # (4, 5)


def pairs_of(*names, split=""):
    return [Pair(name, Path("images", f"{name}.png"), Path("masks", f"{name}.png"), split=split) for name in names]


def put(folder, *names):
    for name in names:
        write_picture(folder / name, FIELD)
    return folder


@pytest.mark.parametrize(
    ("images", "fields"),
    [
        ("a b", "a.png b.png"),
        ("a b", "a_mask.png b_mask.png"),
        ("a b", "a_FOV.png b_FOV.png"),
        ("a", "a_roi.png"),
        ("21_training 22_training", "21_training_mask.png 22_training_mask.png 23_training_mask.png"),  # DRIVE
        ("01_dr 01_g", "01_dr_mask.tif 01_g_mask.tif"),  # HRF
        ("img_01 img_02", "fov_01.png fov_02.png"),
        ("p1/a p2/a", "p1/a.png p2/a.png"),
        ("p1/a p2/b", "a.png b.png c.png"),
        ("a b", "test/a.png test/b.png train/c.png"),
        ("A b", "a.png B.png"),
        (unicodedata.normalize("NFC", "für 図"), unicodedata.normalize("NFD", "für.png 図.png")),
    ],
)
def test_fields_are_known_by_their_names(images, fields, tmp_path):
    pairs = pairs_of(*images.split(), split="test")
    files = fields.split()
    found = FieldsOfView(put(tmp_path, *files), pairs)
    assert [found.files[pair.image].relative_to(tmp_path).as_posix() for pair in pairs] == files[: len(pairs)]
    assert found.read(pairs[0], (4, 5, 3)).sum() == 6


def test_all_that_is_not_zero_counts_in_grey_and_in_colour(tmp_path):
    colour = np.zeros((2, 2, 3), np.uint8)
    colour[0, 0], colour[1, 1] = (0, 0, 7), (1, 1, 1)
    write_picture(tmp_path / "a.png", colour)
    write_picture(tmp_path / "b.tif", np.array([[0, 1], [300, 0]], np.uint16))
    pairs = pairs_of("a", "b")
    fields = FieldsOfView(tmp_path, pairs)
    assert fields.read(pairs[0], (2, 2)).tolist() == [[True, False], [False, True]]
    assert fields.read(pairs[1], (2, 2)).tolist() == [[False, True], [True, False]]


def test_a_stack_has_a_field_for_each_page_or_one_for_all(tmp_path):
    pairs = [Pair(f"s_{page}", Path("images/s.tif"), Path("masks/s.tif"), page) for page in range(2)]
    write_picture(put(tmp_path / "one") / "s.png", FIELD)
    one = FieldsOfView(tmp_path / "one", pairs)
    assert [int(one.read(pair, (4, 5)).sum()) for pair in pairs] == [6, 6]
    (tmp_path / "each").mkdir()
    write_stack(tmp_path / "each" / "s.tif", [FIELD, np.ones_like(FIELD)])
    each = FieldsOfView(tmp_path / "each", pairs)
    assert [int(each.read(pair, (4, 5)).sum()) for pair in pairs] == [6, 20]
    with pytest.raises(InputError) as refused:
        each.read(replace(pairs[1], page=2), (4, 5))
    assert refused.value.file == tmp_path / "each" / "s.tif"


def test_what_is_missing_or_double_is_refused_by_name(tmp_path):
    pairs = pairs_of("a", "b", "c")
    with pytest.raises(InputError, match="no folder .*nowhere"):
        FieldsOfView(tmp_path / "nowhere", pairs)
    with pytest.raises(
        InputError, match=r"3 have none: images/a.png, images/b.png, images/c.png. Add them, .* DATA without these\)"
    ):
        FieldsOfView(tmp_path, pairs)
    (tmp_path / "b.svs").touch()
    with pytest.raises(InputError, match=r"2 have none: images/b.png, images/c.png.*Not read.*b.svs") as refused:
        FieldsOfView(put(tmp_path, "a.png"), pairs)
    assert refused.value.file == Path("images/b.png")
    put(tmp_path, "b.png", "c.png", "c.tif")
    several = re.escape(f"{tmp_path / 'c.png'}, {tmp_path / 'c.tif'}")
    with pytest.raises(InputError, match=f"one has several: {several}"):
        FieldsOfView(tmp_path, pairs)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (FIELD.T, "must have the size of its image: .*a.tif is 5x4, images/a.png 4x5"),
        (FIELD * 0, "pixels that are not 0, which count; .*a.tif has none"),
        (FIELD / np.float32(2), "masks hold whole numbers"),
        (np.where(FIELD > 0, np.nan, 0).astype(np.float32), "holds float32 pixels"),
    ],
)
def test_a_field_that_says_nothing_of_its_image_is_refused_by_name(field, words, tmp_path):
    write_picture(tmp_path / "a.tif", field)
    (pair,) = pairs_of("a")
    with pytest.raises(InputError, match=words) as refused:
        FieldsOfView(tmp_path, [pair]).read(pair, (4, 5, 1))
    assert refused.value.file == tmp_path / "a.tif"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_field_whose_shape_is_in_alpha_alone_is_refused(suffix, tmp_path):
    (pair,) = pairs_of("a")
    path = tmp_path / f"a{suffix}"
    for hidden, alpha, count in ((0, FIELD, 6), (255, FIELD * 0 + 255, 20), (255, FIELD, None)):
        values = np.where(FIELD > 0, np.uint8(255), np.uint8(hidden))
        pixels = np.dstack([values] * 3 + [alpha])
        path.write_bytes(pil(pixels, "PNG") if suffix == ".png" else tiff(pixels, photometric="rgb", extrasamples=[2]))
        if count is None:  # white all over, as a layer with transparent white is saved
            with pytest.raises(InputError, match=rf"a\{suffix} has pixels that are not 0 and .* Save its alpha") as no:
                FieldsOfView(tmp_path, [pair]).read(pair, (4, 5))
            assert no.value.file == path
        else:
            assert FieldsOfView(tmp_path, [pair]).read(pair, (4, 5)).sum() == count


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_no_transparent_pixel_counts(suffix, orientation, tmp_path):
    """A stroke of 0, or a field drawn in black, is no reason to count what alpha of PNG or TIFF hides."""
    (pair,) = pairs_of("a")
    path = tmp_path / f"a{suffix}"
    stroke = FIELD * 0 + 255
    stroke[1, 1] = 0
    for values, alpha, count in ((stroke, FIELD, None), (255 - FIELD, FIELD, None), (FIELD, np.maximum(FIELD, 100), 6)):
        pixels = np.dstack([values] * 3 + [alpha])
        if suffix == ".png":
            exif = Image.Exif()
            exif[274] = orientation
            path.write_bytes(pil(pixels, "PNG", exif=exif))
        else:
            tags = [(274, 3, 1, orientation, True)]
            path.write_bytes(tiff(pixels, photometric="rgb", extrasamples=[2], extratags=tags))
        fields, shape = FieldsOfView(tmp_path, [pair]), (4, 5) if orientation == 1 else (5, 4)
        if count is None:
            with pytest.raises(InputError, match="pixels that are not 0 and are transparent, in part or as a whole"):
                fields.read(pair, shape)
        else:
            assert fields.read(pair, shape).sum() == count


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_field_is_refused_by_name(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    (pair,) = pairs_of("a")
    with pytest.raises(InputError) as refused:
        FieldsOfView(tmp_path, [pair]).read(pair, (4, 5))
    assert refused.value.file == tmp_path / "a.png"


def test_no_jpeg_whose_noise_would_count(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.jpg"), FIELD)
    (pair,) = pairs_of("a")
    with pytest.raises(InputError, match=r"A field of view .*a.jpg is in JPEG or alike. Threshold it, and save it as"):
        FieldsOfView(tmp_path, [pair]).read(pair, (4, 5))
