"""Segment a picture of any size with the TFLite file of a bundle: no TensorFlow, no Keras.

Usage: python run.py BUNDLE IMAGE MASK [--threads N]
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import LOSSLESS, read_image, write_picture
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.tiling import fixed, run_tiles


def segment(bundle: Path, image_file: Path, mask_file: Path, threads: int) -> None:
    """Read the image, run it tile by tile, write its mask, drawn as the masks that the net learnt from."""
    if mask_file.suffix.lower() not in LOSSLESS:
        raise InputError(f"A mask is written as {', '.join(LOSSLESS)}, which lose nothing; received {mask_file.name}.")
    described = bundle / "bundle.json"
    if not described.is_file():
        raise InputError(f"{bundle} is no bundle: it has no bundle.json. Give the folder that unet-tf export wrote.")
    about = json.loads(described.read_text())
    image = read_image(image_file)
    if str(image.dtype) != about["pixel_type"]:
        raise InputError(f"{image_file} holds {image.dtype} pixels; the net expects {about['pixel_type']}. Convert it.")
    if image.shape[2] not in (1, about["channels"]):
        raise InputError(f"{image_file} is in colour, and the net was trained on grey images. Convert it to grey.")
    image = np.broadcast_to(image, (*image.shape[:2], about["channels"]))

    geometry = Geometry(about["depth"], about["padding"])
    runner = Interpreter(str(bundle / "model_float32.tflite"), num_threads=threads).get_signature_runner()
    grid = fixed(geometry, image.shape[:2], (about["tile"], about["tile"]))

    def net(window: np.ndarray) -> np.ndarray:
        return runner(image=window[None].astype(np.float32))["probabilities"][0]

    label = np.empty(image.shape[:2], np.uint8)
    total, start = len(grid), time.perf_counter()
    for done, (place, probabilities) in enumerate(run_tiles(net, image, grid), start=1):
        label[place] = probabilities.argmax(-1)
        milliseconds = 1000 * (time.perf_counter() - start) / done
        print(f"\rtile {done}/{total}, {milliseconds:.0f} ms each", end="", file=sys.stderr)
    print(file=sys.stderr)
    write_picture(mask_file, MaskFormat.restore(about["masks"]).mask(label))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Segment a picture with the TFLite file of a bundle.")
    parser.add_argument("bundle", type=Path, help="folder that unet-tf export wrote")
    parser.add_argument("image", type=Path, help="PNG, JPEG, BMP or TIFF, of the pixel type of the training images")
    parser.add_argument("mask", type=Path, help="picture to write; its suffix says the format")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    try:
        segment(arguments.bundle, arguments.image, arguments.mask, arguments.threads)
    except InputError as error:
        sys.exit(f"Error: {error}")
