"""Worker of train_step.py: the paper's U-Net and its training step in PyTorch, channels last.

Usage: python step_torch.py DATA BASE_FILTERS PRECISION, then lines as in step_worker.py. DATA holds the batch.
"""

import contextlib
import os
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from step_worker import CLASSES, MOMENTUM, OUT, RATE, TILE, read, seconds_of, serve
from torch import nn


class Block(nn.Sequential):
    """Two 3x3 convolutions, each with its ReLU."""

    def __init__(self, channels: int, filters: int, padding: str) -> None:
        relu = [nn.ReLU(inplace=True) for _ in range(2)]
        convolutions = [nn.Conv2d(entering, filters, 3, padding=padding) for entering in (channels, filters)]
        super().__init__(convolutions[0], relu[0], convolutions[1], relu[1])


class UNet(nn.Module):
    """The net of `unet_tf.unet(base_filters=base, padding=padding)`; its modules stand in the order of their use."""

    def __init__(self, base: int, padding: str = "valid", depth: int = 4) -> None:
        super().__init__()
        widths = [base * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(Block(*pair, padding) for pair in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(
            nn.ModuleList((nn.ConvTranspose2d(2 * width, width, 2, stride=2), Block(2 * width, width, padding)))
            for width in reversed(widths[:-1])
        )
        self.logits = nn.Conv2d(base, CLASSES, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) to logits (B, classes, H - 184, W - 184), or (B, classes, H, W) if padded."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for (enlarge, block), skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = enlarge(x)
            margin = (skip.shape[-1] - x.shape[-1]) // 2
            skip = skip[..., margin : margin + x.shape[-2], margin : margin + x.shape[-1]]
            x = block(torch.cat([skip, x], 1))
        return self.logits(x)

    def take_weights(self, values: torch.Tensor) -> int:
        """Have the weights of a Keras model, all of them in a row; returns how many are left over."""
        with torch.no_grad():
            for weight in self.parameters():
                part, values = values[: weight.numel()], values[weight.numel() :]
                if weight.ndim == 4:  # Keras keeps (height, width, in, out), or out before in where it is transposed
                    part = part.reshape(*weight.shape[2:], weight.shape[1], weight.shape[0]).permute(3, 2, 0, 1)
                weight.copy_(part)
        return len(values)


class Contender:
    """Net, optimizer and batch; the methods are the worker's commands."""

    def __init__(self, data: str, base: int, precision: str) -> None:
        last = torch.channels_last
        self.net = UNet(base).to(memory_format=last)
        self.optimizer = torch.optim.SGD(self.net.parameters(), RATE, MOMENTUM)
        self.autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
        folder = Path(data)
        image = torch.frombuffer(read(f"{folder}/image"), dtype=torch.float32)
        self.image = image.reshape(1, 1, TILE, TILE).contiguous(memory_format=last)
        self.label = torch.frombuffer(read(f"{folder}/label"), dtype=torch.uint8).reshape(1, OUT, OUT).long()
        self.weight = torch.frombuffer(read(f"{folder}/weight"), dtype=torch.float32).reshape(1, OUT, OUT)

    def energy(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and loss of the batch."""
        with self.autocast:
            logits = self.net(self.image)
        pixels = F.cross_entropy(logits.float(), self.label, reduction="none")
        return logits, (pixels * self.weight).mean()

    def steps(self, number: str) -> float:
        """Seconds of so many training steps."""

        def run() -> None:
            for _ in range(int(number)):
                self.optimizer.zero_grad()
                loss = self.energy()[1]
                loss.backward()
                self.optimizer.step()
            loss.item()

        return seconds_of(run)

    def compare(self, folder: str) -> str:
        """Largest difference of the logits, and of the loss, from those in the folder, with its weights."""
        rest = self.net.take_weights(torch.frombuffer(read(f"{folder}/weights"), dtype=torch.float32))
        with torch.no_grad():
            logits, loss = self.energy()
        theirs = torch.frombuffer(read(f"{folder}/logits"), dtype=torch.float32).reshape(1, OUT, OUT, CLASSES)
        their_loss = torch.frombuffer(read(f"{folder}/loss"), dtype=torch.float32)
        gaps = (logits.permute(0, 2, 3, 1) - theirs).abs().max(), (loss - their_loss).abs()
        return f"{gaps[0].item():.1e} {gaps[1].item():.1e} {rest}"


def main() -> None:
    data, base, precision = sys.argv[1:]
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    contender = Contender(data, int(base), precision)
    parameters = sum(weight.numel() for weight in contender.net.parameters())
    versions = torch.__version__
    serve(parameters, {"steps": contender.steps, "compare": contender.compare, "version": lambda _: versions})


if __name__ == "__main__":
    main()
