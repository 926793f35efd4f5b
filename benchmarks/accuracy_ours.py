"""One contender of accuracy.py: train on FOLDER/train with nothing set, and write label maps of FOLDER/test.

Usage: python accuracy_ours.py ours FOLDER OUT MINUTES SEED CLASSES
"""

import logging
import sys
from pathlib import Path

import numpy as np

import unet_tf


def main(folder: Path, out: Path, minutes: float, seed: int) -> None:
    """Train, and predict."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    run = unet_tf.train(folder, out, minutes=minutes, seed=seed)
    for path in sorted((folder / "arrays" / "test").glob("*.npz")):
        label = unet_tf.predict(run, np.load(path)["image"])
        if run.masks.border:  # read as the masks of the test files are: borders are the objects', and a gap parts these
            label = unet_tf.label_from_instances(run.masks.mask(label))
        np.save(out / f"{path.stem}.npy", label)


if __name__ == "__main__":
    main(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
