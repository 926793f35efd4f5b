"""Read damaged picture files in a process of its own: fuzz_readers.py FOLDER COUNT, one line of JSON for each.

The parent ends it when it stays silent, and it may take no more memory than RLIMIT_AS leaves it.
"""

import io
import json
import resource
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import tifffile
from kinds_of_files import kinds
from PIL import Image

from unet_tf.data.pictures import read_image, read_mask
from unet_tf.errors import InputError

# Fax is left out: its decoder passes over damage, as fax machines do.
SOURCES = (
    "tiff grey none", "tiff 1 bit packbits", "tiff rgb lzw", "tiff table lzw", "tiff cmyk deflate",
    "tiff predictor 2 lzw", "bigtiff", "tiff planar tiles deflate", "tiff float predictor 3",
    "imagej composite of three", "tiff jpeg rgb", "png rgb", "png table", "png interlaced", "png rgb 16 bit",
    "bmp table", "bmp run lengths", "gif", "webp lossless", "jpeg", "jpeg progressive", "jpeg 2000", "ppm",
)  # fmt: skip
MEMORY = 3 << 30
"""Bytes of addresses that the process may take, libraries included."""
SECONDS = 900
"""Time of a processor that it may take: 20,000 files take about 20."""


def mutated(data, other, rng):
    """A damaged version of a file: bytes flipped, cut, extended, spliced, or a number in it changed."""
    data = bytearray(data)
    at = int(rng.integers(len(data)))
    if rng.integers(2):  # headers, where lengths are
        at = int(rng.integers(min(len(data), 200)))
    match int(rng.integers(6)):
        case 0:
            for place in rng.integers(len(data), size=int(rng.integers(1, 6))):
                data[place] ^= 1 << int(rng.integers(8))
        case 1:
            del data[at:]
        case 2:
            data += rng.bytes(int(rng.integers(1, 99)))
        case 3:
            length = int(rng.integers(1, 60))
            data[at : at + length] = other[at : at + length]
        case 4:
            length = int(rng.choice([1, 2, 4, 8]))
            data[at : at + length] = int(rng.choice([0, 1, 0xFF, 0x7F])).to_bytes(1, "big") * length
        case 5:
            del data[at : at + int(rng.integers(1, 40))]
    return bytes(data)


def second(data):
    """What other decoders give, as they can: Pillow, OpenCV, tifffile."""
    found = []
    for decode in (
        lambda: np.array(Image.open(io.BytesIO(data)).convert("RGB")),
        lambda: np.array(Image.open(io.BytesIO(data))),
        lambda: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH),
        lambda: tifffile.TiffFile(io.BytesIO(data)).pages[0].asarray(),
        lambda: np.dstack([page.asarray() for page in tifffile.TiffFile(io.BytesIO(data)).pages]),
    ):
        try:
            image = decode()
            found += [image, image[..., ::-1], np.moveaxis(image, 0, -1)] if image.ndim == 3 else [image]
        except Exception:
            continue  # they fail in their own ways
    if data[:2] in (b"II", b"MM"):  # "white is zero", which others invert and we do not
        found += [~image for image in found if image.dtype == np.uint8]
    return found


def like(image, others):
    """Whether one of the others holds the same numbers, whatever their axes."""
    image = image.squeeze()
    return any(
        (image.shape == other.squeeze().shape and np.array_equal(image, other.squeeze()))
        or (other.ndim == 3 and image.shape == other.shape[:2] and np.array_equal(image, other[..., 0]))
        for other in others
    )  # fmt: skip


def outcome(path, kind):
    """ "refused", "original", "second decoder" or "alone": read as no other decoder does."""
    try:
        image = read_image(path)
        read_mask(path, ids=True, allow_jpeg=True)
    except InputError as error:
        return "refused" if error.file == path else "refused without the name"
    shown = kind.shown if kind.image is None else kind.image
    if image.squeeze().shape == shown.shape and np.abs(image.squeeze().astype(float) - shown).max() <= kind.lossy:
        return "original"
    return "second decoder" if like(image, second(path.read_bytes())) else "alone"


def main(folder, count):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    warnings.simplefilter("ignore")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    rng = np.random.default_rng(11)
    chosen = [kind for kind in kinds() if kind.name in SOURCES]
    for number in range(count):
        kind = chosen[number % len(chosen)]
        other = chosen[int(rng.integers(len(chosen)))].data
        path = folder / f"a{kind.suffix}"
        path.write_bytes(mutated(kind.data, other, rng))
        print(json.dumps({"number": number, "kind": kind.name, "outcome": outcome(path, kind)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
