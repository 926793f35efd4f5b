"""What the peers of accuracy.py learn from: images scaled by the set, random crops flipped and turned. NumPy alone."""

from pathlib import Path

import numpy as np

TILE, BATCH, VOID = 256, 4, 255


class Crops:
    """Crops of FOLDER/arrays/train, and the images of FOLDER/arrays/test.

    Images are scaled by mean and standard deviation of all training pixels of a channel. A file is drawn as often as it
    has pixels; a smaller one than a crop is mirrored at its lower and right border.

    Args:
        folder: as `accuracy.py` laid it out.
        seed: of the draws.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.tests = sorted((folder / "arrays" / "test").glob("*.npz"))
        self.rng = np.random.default_rng(seed)
        files = [np.load(path) for path in sorted((folder / "arrays" / "train").glob("*.npz"))]
        images = [file["image"].astype(np.float32) for file in files]
        self.channels = max(image.shape[2] for image in images)
        pixels = np.concatenate([self._wide(image).reshape(-1, self.channels) for image in images])
        self.mean, self.std = pixels.mean(0), pixels.std(0) + 1e-6
        self.data = [
            (padded((image - self.mean) / self.std, TILE, TILE), padded(file["label"], TILE, TILE))
            for image, file in zip(images, files, strict=True)
        ]
        areas = np.array([label.size for _, label in self.data], float)
        self.shares = areas / areas.sum()

    def _wide(self, image: np.ndarray) -> np.ndarray:
        return np.broadcast_to(image, (*image.shape[:2], self.channels))

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Images (4, 256, 256, C) float32 and labels (4, 256, 256) uint8."""
        images, labels = zip(*(self._crop() for _ in range(BATCH)), strict=True)
        return np.stack(images).astype(np.float32), np.stack(labels)

    def _crop(self) -> tuple[np.ndarray, np.ndarray]:
        image, label = self.data[self.rng.choice(len(self.data), p=self.shares)]
        top, left = (self.rng.integers(size - TILE + 1) for size in label.shape)
        image, label = (a[top : top + TILE, left : left + TILE] for a in (image, label))
        turns, mirror = self.rng.integers(4), self.rng.integers(2)
        image, label = (np.rot90(a, turns) for a in (image, label))
        return (image[:, ::-1], label[:, ::-1]) if mirror else (image, label)

    def test(self, path: Path, multiple: int = 16) -> tuple[np.ndarray, tuple[int, int]]:
        """The image (H, W, C) float32 of a test file, mirrored to a multiple of both sides; and its own size."""
        image = np.load(path)["image"]
        height, width = image.shape[:2]
        sides = (-(-side // multiple) * multiple for side in (height, width))
        return padded((self._wide(image) - self.mean) / self.std, *sides).astype(np.float32), (height, width)


def padded(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mirrored at the lower and right border to a size at least."""
    margins = [(0, max(0, height - array.shape[0])), (0, max(0, width - array.shape[1]))]
    return np.pad(array, margins + [(0, 0)] * (array.ndim - 2), mode="symmetric")
