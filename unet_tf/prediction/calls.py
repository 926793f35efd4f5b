"""What a call that predicts pictures wants of them, and what became of each: settings alone, no net."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from unet_tf.data.channels import ALL, Channels
from unet_tf.errors import InputError
from unet_tf.prediction.polygons import WRITERS
from unet_tf.prediction.sizes import Sizes

FORMATS = ("png", "tif")
UNKNOWN = "unknown"
"""What the record of a prediction says of a net of which nobody told."""
SINGLE = (".png", ".jpg", ".jpeg", ".bmp", ".npy", ".npz")
"""Suffixes of pictures that are no stacks."""
UNCERTAINTY, SPREAD = "_uncertainty.tif", "_spread.tif"
"""What follows the picture's name."""


@dataclass(frozen=True)
class Wanted:
    """What a picture is predicted into, and all settings that change a pixel of it.

    Attributes:
        format: of the masks of single pictures: "png" or "tif", which lies where a GeoTIFF lies; a stack gives a TIFF
            stack.
        probabilities: NAME.npy, (H, W, classes) float32; (pages, H, W, classes) of a stack.
        overlay: NAME_overlay.png, the mask laid over the picture.
        instances: NAME_instances.tif, ids of the objects, and NAME_objects.csv.
        min_area: pixels of the smallest object that counts.
        tta: "none", or turned tiles that are averaged: "rotations" or "all".
        polygons: formats of `WRITERS`: the outlines of the pieces, pages of a stack in one file.
        simplify: how far a point that is left out may lie from the outline, pixels.
        subpixel: outlines run between the pixels, where the probabilities are equal.
        uncertainty: NAME_uncertainty.tif, entropy of the probabilities, float32.
        spread: NAME_spread.tif too, how far the predictions of which these are the mean disagree.
        threshold: of two classes; None for that of the run.
    """

    format: str = "png"
    probabilities: bool = False
    overlay: bool = False
    instances: bool = False
    min_area: int = 1
    tta: str = "none"
    polygons: tuple[str, ...] = ()
    simplify: float = 0
    subpixel: bool = False
    uncertainty: bool = False
    spread: bool = False
    threshold: float | None = None

    def mask_name(self, picture: Path, pages: int) -> str:
        """Name the mask of a picture of so many pages."""
        return f"{picture.stem}.{self.format if pages == 1 else 'tif'}"

    def names(self, picture: Path) -> list[str]:
        """Name the files that a picture may become; whether a TIFF file is a stack is not known before it is read."""
        return list(dict.fromkeys(chain(*self.choices(picture))))

    def choices(self, picture: Path) -> list[list[str]]:
        """The files that it becomes of one page, and of several where it may have these."""
        return [self.names_of(picture, pages) for pages in (1, 2)[: 1 if picture.suffix.lower() in SINGLE else None]]

    def names_of(self, picture: Path, pages: int) -> list[str]:
        """Name the files that a picture of so many pages becomes."""
        stem, names = picture.stem, [self.mask_name(picture, pages)]
        names += [f"{stem}.npy"] * self.probabilities
        names += [f"{stem}_overlay.{'png' if pages == 1 else 'tif'}"] * self.overlay
        names += [f"{stem}_instances.tif", f"{stem}_objects.csv"] * self.instances
        names += [f"{stem}{suffix}" for suffix in (UNCERTAINTY, SPREAD)[: self.uncertainty + self.spread]]
        return names + [stem + WRITERS[kind][0] for kind in self.polygons]


@dataclass(frozen=True)
class Call:
    """All that a process needs to predict pictures of one call: paths and settings alone, so that it travels.

    Attributes:
        net: folder of the run or bundle; address of a server.
        model: SHA-256 of the net's file, so that no process takes another one for it; of a net that is served, that of
            its weights where the bundle is known, else `UNKNOWN`.
        out: folder of the files.
        wanted: what goes there.
        memory: what the tiles of a process may take, bytes or such as "2GB"; None for a quarter of what is free.
        channels: how the channels of a picture come from its files.
        engine: that computes, as `unet_tf.prediction.engines.resolve` gives it; of a net that is served where that is.
    """

    net: str
    model: str
    out: str
    wanted: Wanted
    memory: int | str | None = None
    channels: Channels = ALL
    engine: str = "tensorflow"

    @property
    def is_served(self) -> bool:
        """Whether a server computes."""
        return "//" in self.net

    def is_done(self, picture: Path) -> bool:
        """Say whether a mask of that name lies there: it is written last."""
        return any(Path(self.out, self.wanted.mask_name(self.named(picture), pages)).is_file() for pages in (1, 2))

    def state(self, picture: Path) -> str:
        """Say in which state all files of a picture are, "" where one is missing."""
        try:
            states = [state_of(file) for file in self.channels.files(picture)]
        except InputError:
            return ""
        return ", ".join(states) if all(states) else ""

    def named(self, picture: Path) -> Path:
        """What a picture is called, by the first of its files: without the suffix of a channel, where it has one."""
        try:
            return picture.with_name(f"{self.channels.stem(picture)}{picture.suffix}")
        except InputError:  # which whoever reads it says
            return picture


class Result(NamedTuple):
    """What became of a picture.

    Attributes:
        picture: its file.
        pixels: that were predicted; 0 where it failed.
        error: why it failed, or "".
        state: of the file when it was read (`state_of`).
        nodata: values in it that stand for "no measurement".
        sizes: of its objects, where they are wanted; None where it failed.
        former: names of files that it became when it was a stack, or was none, and that lie there still.
    """

    picture: str
    pixels: int
    error: str
    state: str = ""
    nodata: tuple[float, ...] = ()
    sizes: Sizes | None = None
    former: tuple[str, ...] = ()


def rest(overwrite: bool) -> str:
    """Say how to go on after what stopped a call.

    Args:
        overwrite: whether the call had begun anew: the same one would do so again.
    """
    return f"The same command{' without --overwrite' * overwrite} does what is left."


def state_of(picture: str | Path) -> str:
    """Say in which state a file is: another size or time is another picture."""
    try:
        found = Path(picture).stat()
    except OSError:
        return ""
    return f"{found.st_size} bytes of {found.st_mtime_ns}"
