"""Pixels are counted before anything is decoded."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from kinds_of_files import png_of
from malformed import bmp_of, jpeg_of

from unet_tf.serving.errors import ServingError
from unet_tf.serving.limits import Limits, declared

IMAGE = np.zeros((31, 47), np.uint8)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
def test_a_header_says_its_pixels(kind):
    assert declared(0, cv2.imencode(f".{kind}", IMAGE)[1].tobytes()) == 31 * 47


@pytest.mark.parametrize(
    "content, pixels",
    [
        (png_of(30_000, 30_000), 900_000_000),
        (png_of(2**31 - 1, 2**31 - 1, 16, 6), (2**31 - 1) ** 2),
        (jpeg_of(65_535, 65_535), 65_535**2),
        (bmp_of(30_000, -30_000), 900_000_000),
    ],
)
def test_a_bomb_is_counted_and_refused(content, pixels, recwarn):
    assert declared(0, content) == pixels
    assert not recwarn.list  # Pillow has a limit of its own, which is no part of this
    with pytest.raises(ServingError, match="A request may have") as caught:
        Limits().check(pixels)
    assert (caught.value.code, caught.value.status) == ("INVALID_ARGUMENT", 413)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"BM", b"II*\0", b"MM\0*", b"\xff\xd8\xff", b"GIF89a", b"a" * 99])
def test_what_declares_nothing_is_refused(content):
    with pytest.raises(ServingError, match=r"image_bytes\[3\] is not a complete PNG, JPEG or BMP picture\."):
        declared(3, content)


def test_pixels_of_a_request_are_those_of_all_its_pictures():
    limits = Limits(pixels=4000)
    files = np.array([png_of(40, 50), png_of(20, 100)], object)
    assert limits.count_pixels({"image_bytes": files}) == 4000
    assert limits.count_pixels({"image": np.zeros((2, 40, 50, 9))}) == 4000
    assert limits.count_pixels({"text": np.array([b"no picture"] * 7, object)}) == 7
    for value in ({"image_bytes": np.append(files, files[:1])}, {"image": np.zeros((2, 40, 51, 1))}):
        with pytest.raises(ServingError, match="A request may have 4,000 pixels; this one has"):
            limits.count_pixels(value)
    with pytest.raises(ServingError, match=r"image_bytes\[2\]"):
        limits.count_pixels({"image_bytes": np.append(files, b"no")})


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system gives a process all cores")
def test_as_many_run_as_the_process_has_cores():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from unet_tf.serving.limits import Limits; print(Limits().running)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"
