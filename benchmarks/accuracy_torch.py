"""One contender of accuracy.py: a net of MONAI as its users train one, on FOLDER/arrays/train.

Four random crops of 256 px a step, flips and quarter turns, images scaled by mean and standard deviation of the
training files, cross-entropy and Dice loss, AdamW from 1e-3 on a cosine over the minutes, no validation; then label
maps of FOLDER/arrays/test. Void is left out of both losses. In float32 or in autocast's bfloat16, whichever is faster
here: that is found out before the minutes begin.

Usage: python accuracy_torch.py basic|dynamic FOLDER OUT MINUTES SEED CLASSES
"""

import copy
import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from accuracy_crops import VOID, Crops
from monai.networks.nets import BasicUNet, DynUNet
from torch.nn import functional

RATE = 1e-3
TIMED = 4
"""Steps of each precision, of which the median counts."""


def build(kind: str, channels: int, classes: int) -> torch.nn.Module:
    """The net, with MONAI's own defaults where it has some."""
    if kind == "basic":
        return BasicUNet(2, channels, classes, features=(32, 32, 64, 128, 256, 32))
    kernels, strides = [3] * 5, [1, 2, 2, 2, 2]
    return DynUNet(
        2, channels, classes, kernels, strides, strides[1:], filters=(32, 64, 128, 256, 320), deep_supervision=True,
        deep_supr_num=2,
    )  # fmt: skip


def loss_of(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, and the Dice loss of each class over each image, as `DiceCELoss` adds them, without void."""
    known = (label != VOID)[:, None].float()
    one_hot = functional.one_hot(torch.where(label == VOID, 0, label), logits.shape[1]).movedim(-1, 1) * known
    share = logits.softmax(1) * known
    hits, total = (share * one_hot).sum((2, 3)), (share + one_hot).sum((2, 3))
    dice = 1 - (2 * hits + 1e-5) / (total + 1e-5)
    return functional.cross_entropy(logits, label, ignore_index=VOID) + dice.mean()


def learn(model: torch.nn.Module, optimizer: torch.optim.Optimizer, crops: Crops, bfloat16: bool) -> torch.Tensor:
    """One step on four crops, and its loss."""
    images, labels = crops.batch()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(labels.astype(np.int64))
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = model(x)
    logits = logits.float()
    if logits.dim() == 5:  # (batch, head, classes, height, width): the heads of deep supervision
        weights = [0.5**head for head in range(logits.shape[1])]
        loss = sum(w * loss_of(logits[:, head], y) for head, w in enumerate(weights)) / sum(weights)
    else:
        loss = loss_of(logits, y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def bfloat16_is_faster(model: torch.nn.Module, crops: Crops) -> bool:
    """Whether steps of a copy of the net take less time in bfloat16."""
    medians = []
    for bfloat16 in (False, True):
        tried = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(tried.parameters(), RATE)
        learn(tried, optimizer, crops, bfloat16)  # the first is slow
        seconds = []
        for _ in range(TIMED):
            start = time.monotonic()
            learn(tried, optimizer, crops, bfloat16)
            seconds.append(time.monotonic() - start)
        medians.append(statistics.median(seconds))
    return medians[1] < medians[0]


def main(kind: str, folder: Path, out: Path, minutes: float, seed: int, classes: int) -> None:
    """Train, and predict."""
    start = time.monotonic()
    torch.manual_seed(seed)
    crops = Crops(folder, seed)
    model = build(kind, crops.channels, classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    started = time.monotonic()
    bfloat16 = bfloat16_is_faster(model, Crops(folder, seed))
    start += time.monotonic() - started

    steps = 0
    while (share := (time.monotonic() - start) / (60 * minutes)) < 1:
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * share))
        loss = learn(model, optimizer, crops, bfloat16)
        steps += 1
    precision = "bfloat16" if bfloat16 else "float32"
    print(f"{kind}: {steps} steps in {precision}, loss {float(loss):.3f}", file=sys.stderr, flush=True)

    model.eval()
    out.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        for path in crops.tests:
            image, (height, width) = crops.test(path)
            logits = model(torch.from_numpy(image).permute(2, 0, 1)[None])
            np.save(out / f"{path.stem}.npy", logits[0, :, :height, :width].argmax(0).numpy().astype(np.uint8))


if __name__ == "__main__":
    kind, folder, out, minutes, seed, classes = sys.argv[1:]
    main(kind, Path(folder), Path(out), float(minutes), int(seed), int(classes))
