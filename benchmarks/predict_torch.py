"""Worker of predict.py: the same net in PyTorch, channels last, and the sliding windows of MONAI and of nnU-Net.

Usage: python predict_torch.py DATA BASE_FILTERS PRECISION PADDING, then lines as in predict_worker.py. DATA holds the
images and the weights.
"""

import contextlib
import math
import os
import sys
from itertools import product

import numpy as np
import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from predict_worker import STEP, TILE, Commands, Scheme, inner, mirrored, mirrored_count, usual_count, usual_tiles
from step_torch import UNet
from step_worker import CLASSES

PATCH = 512
"""Side of the windows of the padded net, of MONAI and of nnU-Net alike."""
WINDOWS = 4
"""Windows that MONAI gives the net at once, as its tutorials do."""
OVERLAP = 0.25
"""MONAI's default."""
FLIPS = [], [2], [3], [2, 3]
"""Axes that nnU-Net mirrors in two dimensions."""


def answer(logits: torch.Tensor, probabilities: bool) -> NDArray:
    """(classes, H, W) logits to labels or the softmax."""
    if probabilities:
        return logits.float().softmax(0).permute(1, 2, 0).numpy()
    return logits.argmax(0).to(torch.uint8).numpy()


def nnunet_steps(side: int) -> list[int]:
    """Where windows begin: evenly, at most half a window apart."""
    count = math.ceil((side - PATCH) / (PATCH / 2)) + 1
    return [round(i * (side - PATCH) / max(1, count - 1)) for i in range(count)]


def nnunet_weights() -> torch.Tensor:
    """A Gaussian of an eighth of the window, 10 at its middle, in half precision as nnU-Net has it."""
    line = np.exp(-((np.arange(PATCH) - PATCH // 2) ** 2) / (2 * (PATCH / 8) ** 2))
    return torch.from_numpy(10 * np.outer(line, line)).half()


class Schemes:
    """The net, and ways to predict an image with it."""

    def __init__(self, data: str, base: int, precision: str, padding: str) -> None:
        self.padding = padding
        self.net = UNet(base, padding).to(memory_format=torch.channels_last).eval()
        assert self.net.take_weights(torch.from_numpy(np.load(f"{data}/weights-{base}.npy"))) == 0
        self.mixed = precision == "bfloat16"

    def logits(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, 1, h, w) to (B, classes, h', w') float32."""
        precision = torch.autocast("cpu", torch.bfloat16) if self.mixed else contextlib.nullcontext()
        with torch.inference_mode(), precision:
            return self.net(windows.contiguous(memory_format=torch.channels_last)).float()

    def mirror_mean(self, windows: torch.Tensor) -> torch.Tensor:
        """As `logits`, the mean over the mirror images."""
        return sum(torch.flip(self.logits(torch.flip(windows, axes)), axes) for axes in FLIPS) / len(FLIPS)

    def plain(self, image: NDArray, probabilities: bool) -> NDArray:
        """One pass over the image; beyond its border there are zeros."""
        return answer(self.logits(torch.from_numpy(image)[None, None])[0], probabilities)

    def plain_mirrors(self, image: NDArray, probabilities: bool) -> NDArray:
        """One pass over the image and one over each mirror image, beyond whose border there are zeros."""
        return answer(self.mirror_mean(torch.from_numpy(image)[None, None])[0], probabilities)

    def whole(self, image: NDArray, probabilities: bool) -> NDArray:
        """One pass over the mirrored image."""
        return inner(self.plain(mirrored(image, self.padding), probabilities), len(image), self.padding)

    def loop(self, image: NDArray, probabilities: bool) -> NDArray:
        """The usual loop: one tile after the other."""
        origins, padded = usual_tiles(image)
        result = np.empty((*image.shape, CLASSES), np.float32) if probabilities else np.empty(image.shape, np.uint8)
        for y, x in origins:
            logits = self.logits(torch.from_numpy(padded[y : y + TILE, x : x + TILE])[None, None])[0]
            place = result[y : y + STEP, x : x + STEP]
            place[...] = answer(logits[:, : place.shape[0], : place.shape[1]], probabilities)
        return result

    def monai(self, image: NDArray, probabilities: bool) -> NDArray:
        with torch.inference_mode():
            pixels = torch.from_numpy(image)[None, None]
            return answer(
                sliding_window_inference(pixels, (PATCH, PATCH), WINDOWS, self.logits, OVERLAP)[0], probabilities
            )

    def nnunet(self, image: NDArray, probabilities: bool) -> NDArray:
        """nnU-Net's order of things: a window, its mirror images, their mean times a Gaussian, summed in half."""
        pixels, weights = torch.from_numpy(image)[None, None], nnunet_weights()
        total, weight = torch.zeros((CLASSES, *image.shape)).half(), torch.zeros(image.shape).half()
        for y, x in product(*map(nnunet_steps, image.shape)):
            window = pixels[..., y : y + PATCH, x : x + PATCH]
            total[:, y : y + PATCH, x : x + PATCH] += self.mirror_mean(window)[0] * weights
            weight[y : y + PATCH, x : x + PATCH] += weights
        return answer(total.div_(weight), probabilities)

    def all(self) -> dict[str, Scheme]:
        interval = int(PATCH * (1 - OVERLAP))

        def monai_count(side: int) -> tuple[int, int, int]:
            return len(dense_patch_slices((side, side), (PATCH, PATCH), (interval, interval))), PATCH, PATCH

        return {
            "whole": Scheme(self.whole, lambda side: mirrored_count(side, self.padding)),
            "plain": Scheme(self.plain, lambda side: (1, side, side)),
            "plain-mirrors": Scheme(self.plain_mirrors, lambda side: (len(FLIPS), side, side)),
            "loop": Scheme(self.loop, usual_count),
            "monai": Scheme(self.monai, monai_count),
            "nnunet": Scheme(self.nnunet, lambda side: (len(nnunet_steps(side)) ** 2 * len(FLIPS), PATCH, PATCH)),
        }


def main() -> None:
    data, base, precision, padding = sys.argv[1:]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    schemes = Schemes(data, int(base), precision, padding)
    Commands(data, schemes.all()).serve(sum(weight.numel() for weight in schemes.net.parameters()))


if __name__ == "__main__":
    main()
