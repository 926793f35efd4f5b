"""One contender of accuracy.py: a net of MONAI as its users train one, on FOLDER/arrays/train.

Four random crops of 256 px a step, flips and quarter turns, images scaled by mean and standard deviation of the
training files, cross-entropy and Dice loss, AdamW from 1e-3 on a cosine over the minutes, no validation; then label
maps of FOLDER/arrays/test. Void is left out of both losses.

Usage: python accuracy_torch.py basic|dynamic FOLDER OUT MINUTES SEED CLASSES
"""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import BasicUNet, DynUNet
from torch.nn import functional

TILE, BATCH, RATE, VOID = 256, 4, 1e-3, 255


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


def padded(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mirrored at the lower and right border to a size at least."""
    margins = [(0, max(0, height - array.shape[0])), (0, max(0, width - array.shape[1]))]
    return np.pad(array, margins + [(0, 0)] * (array.ndim - 2), mode="symmetric")


def main(kind: str, folder: Path, out: Path, minutes: float, seed: int, classes: int) -> None:
    """Train, and predict."""
    start = time.monotonic()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    files = [np.load(path) for path in sorted((folder / "arrays" / "train").glob("*.npz"))]
    images = [file["image"].astype(np.float32) for file in files]
    channels = max(image.shape[2] for image in images)
    pixels = np.concatenate([np.broadcast_to(i, (*i.shape[:2], channels)).reshape(-1, channels) for i in images])
    mean, std = pixels.mean(0), pixels.std(0) + 1e-6
    data = [
        (padded((image - mean) / std, TILE, TILE), padded(file["label"], TILE, TILE))
        for image, file in zip(images, files, strict=True)
    ]
    areas = np.array([label.size for _, label in data], float)
    model = build(kind, channels, classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE)

    def crop() -> tuple[np.ndarray, np.ndarray]:
        image, label = data[rng.choice(len(data), p=areas / areas.sum())]
        top, left = (rng.integers(size - TILE + 1) for size in label.shape)
        image, label = (a[top : top + TILE, left : left + TILE] for a in (image, label))
        turns, mirror = rng.integers(4), rng.integers(2)
        image, label = (np.rot90(a, turns) for a in (image, label))
        return (image[:, ::-1], label[:, ::-1]) if mirror else (image, label)

    steps = 0
    while (share := (time.monotonic() - start) / (60 * minutes)) < 1:
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * share))
        some, labels = zip(*(crop() for _ in range(BATCH)), strict=True)
        x = torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        y = torch.from_numpy(np.stack(labels).astype(np.int64))
        logits = model(x)
        if logits.dim() == 5:  # (batch, head, classes, height, width): the heads of deep supervision
            weights = [0.5**head for head in range(logits.shape[1])]
            loss = sum(w * loss_of(logits[:, head], y) for head, w in enumerate(weights)) / sum(weights)
        else:
            loss = loss_of(logits, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps += 1
    print(f"{kind}: {steps} steps, loss {float(loss):.3f}", file=sys.stderr, flush=True)

    model.eval()
    out.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        for path in sorted((folder / "arrays" / "test").glob("*.npz")):
            image = np.load(path)["image"]
            height, width = image.shape[:2]
            image = np.broadcast_to(image, (height, width, channels))
            x = padded((image - mean) / std, -(-height // 16) * 16, -(-width // 16) * 16).astype(np.float32)
            logits = model(torch.from_numpy(x).permute(2, 0, 1)[None])
            np.save(out / f"{path.stem}.npy", logits[0, :, :height, :width].argmax(0).numpy().astype(np.uint8))


if __name__ == "__main__":
    kind, folder, out, minutes, seed, classes = sys.argv[1:]
    main(kind, Path(folder), Path(out), float(minutes), int(seed), int(classes))
