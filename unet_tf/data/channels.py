"""Which channels of picture files a net takes: all, some by name, of several files, of neighbouring planes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.nodata import nodata_pixels, nodata_samples, nodata_values
from unet_tf.data.pictures import Pictures, open_pictures
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.tiling import Picture, mirror_index
from unet_tf.utils.files import tuples
from unet_tf.utils.text import form

Axes = Sequence[tuple[str, int]]
"""Names and sizes of the axes that count planes, slowest first."""


class Channelled(NamedTuple):
    """A picture as read.

    Attributes:
        image: (H, W, C), the channels that the net takes.
        names: of all channels that the files have, "" for each that they do not name.
        nodata: values that the files themselves name as "no measurement".
    """

    image: NDArray
    names: tuple[str, ...]
    nodata: tuple[float, ...] = ()


@dataclass(frozen=True)
class Channels:
    """How the channels of a net come from picture files.

    Attributes:
        picked: names, or numbers from 0, of channels of a picture, in the order of the net; empty for all.
        suffixes: what the names of the files of one picture end in, in order; empty where a picture is one file.
        context: planes before and behind, within a stack, whose channels are taken too.
        names: of all channels that a picture has, "" for each that no file names; empty before any was read.

    Example:
        >>> Channels(picked=("NIR", "0"), names=("red", "green", "blue", "NIR")).taken
        ('NIR', 'red')
    """

    picked: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    context: int = 0
    names: tuple[str, ...] = ()

    @classmethod
    def restore(cls, stored: Mapping[str, Any]) -> Channels:
        """Make it of what `dataclasses.asdict` gave and TOML or JSON stored."""
        return cls(**{name: tuples(value) for name, value in stored.items()})

    @property
    def plain(self) -> bool:
        """Whether all channels of one file are taken as they are."""
        return not (self.picked or self.suffixes or self.context)

    @property
    def taken(self) -> tuple[str, ...]:
        """What the channels of the net are called, in its order: a name, or the number in the file.

        Neighbouring planes come one after the other, the first one first.
        """
        each = [self.names[n] or str(n) for n in self.numbers(self.names, Path("the picture"))]
        planes = range(-self.context, self.context + 1)
        return tuple(name if not self.context else f"z{z:+d} {name}" for z in planes for name in each)

    def read(self, files: Sequence[Path], page: int = 0) -> Channelled:
        """Read a picture.

        Args:
            files: of the picture: one, or one for each of `suffixes`.
            page: which picture of TIFF stacks.

        Raises:
            InputError: a file cannot be read, the files do not fit together, one of them holds what another names as
                nodata, but for the gaps of that one, or the channels are not those of `names`.
        """
        opened = [open_pictures(file) for file in files]
        if self.plain:
            image = opened[0].read(page)
            names = opened[0].channel_names(image.shape[2])
            self.check(names, files[0])
            return Channelled(image, names, opened[0].nodata)
        self._check_pages(opened)
        tiff = opened[0].tiff
        pages = self.planes(page, () if tiff is None else tiff.axes, files[0])
        read = {at: self._joined(opened, at) for at in dict.fromkeys(pages)}
        _, names, holders = read[pages[0]]
        numbers = self.numbers(names, files[0])
        image = np.concatenate([read[at][0][..., numbers] for at in pages], axis=2)
        return Channelled(image, names, _nodata(opened, image, np.array(holders)[numbers * len(pages)]))

    def check(self, names: Sequence[str], file: Path) -> None:
        """Raise InputError unless the channels of a file are those that the net was trained on, in their order.

        Where a file or the training files do not name a channel, its place alone counts. Whether grey is taken for RGB
        is not said here.
        """
        if not self.names or (self.plain and {len(names), len(self.names)} == {1, 3}):
            return
        differ = [a for a, b in zip(names, self.names, strict=False) if a and b and a != b]
        if differ or len(names) != len(self.names):
            raise InputError(
                f"A picture must have the channels that the net was trained on, {len(self.names)} "
                f"({listed(self.names)}); {file} has {len(names)} ({listed(names)}). Give it such pictures, or train a "
                "net on these.",
                file,
            )

    def numbers(self, names: Sequence[str], file: Path) -> list[int]:
        """Which channels of a file are taken, by number, in the order of the net.

        Raises:
            InputError: `names` are not those of training, one of `picked` is none of them, or two are the same.
        """
        self.check(names, file)
        known = self.names or tuple(names)
        if not self.picked:
            return [*range(len(names))]
        found = []
        for one in self.picked:
            if known.count(one) > 1:
                raise InputError(f"{file} has several channels {one!r}: {listed(known)}. Choose by number.", file)
            if one not in known and not (one.isdecimal() and int(one[:9]) < len(known)):
                raise InputError(
                    f"{file} has no channel {one!r}: it has {len(known)} ({listed(known)}). Choose of these with "
                    "--channels.",
                    file,
                )
            found.append(known.index(one) if one in known else int(one))
        if len({*found}) < len(found):
            raise InputError(f"Each channel must be taken once; {', '.join(self.picked)} are {found} of {file}.", file)
        return found

    def planes(self, page: int, axes: Axes, file: Path) -> list[int]:
        """Numbers of the planes whose channels make a picture: itself alone, or its neighbours too.

        Neighbours are those along z, or else along the axis that counts fastest, but for positions of a stage (p);
        beyond its ends it is mirrored.

        Raises:
            InputError: neighbours are wanted of what is no stack.
        """
        if not self.context:
            return [page]
        sizes = [size for _, size in axes]
        several = [number for number, (name, size) in enumerate(axes) if size > 1 and name != "p"]
        if not several:
            each = " of each position" if max(sizes, default=1) > 1 else ""
            raise InputError(
                f"--context takes neighbouring planes of a stack, and {file} holds one picture{each}. Save the planes "
                "as the pages of one TIFF file, masks alike.",
                file,
            )
        along = next((number for number in several if axes[number][0] == "z"), several[-1])
        index = [int(at) for at in np.unravel_index(page, sizes)]
        near = mirror_index(index[along] - self.context, index[along] + self.context + 1, sizes[along])
        return [int(np.ravel_multi_index([*index[:along], at, *index[along + 1 :]], sizes)) for at in near.tolist()]

    def of(self, planes: Sequence[Picture], names: Sequence[str], file: Path) -> Picture:
        """The picture that the net takes of planes that `planes` named, of which a window is read when it is taken."""
        if self.plain:
            self.check(names, file)
            return planes[0]
        return Chosen(planes, self.numbers(names, file))

    def files(self, file: Path) -> tuple[Path, ...]:
        """The files of a picture, by one of them.

        Raises:
            InputError: the name ends in none of `suffixes`, or another file of the picture is missing.
        """
        if not self.suffixes:
            return (file,)
        found = tuple(file.with_name(f"{self.stem(file)}{suffix}{file.suffix}") for suffix in self.suffixes)
        if missing := [one.name for one in found if not one.exists()]:
            raise InputError(
                f"The channels of a picture are files that end in {', '.join(self.suffixes)}; beside {file} there is "
                f"no {', '.join(missing)}. Add what is missing.",
                file,
            )
        return found

    def whole(self, file: Path) -> bool:
        """Whether all files of a picture are there, by one of them."""
        try:
            return bool(self.files(file))
        except InputError:
            return False

    def stem(self, file: Path) -> str:
        """The name of the picture that a file belongs to.

        Raises:
            InputError: it ends in none of `suffixes`.
        """
        if not self.suffixes:
            return file.stem
        stem = form(file.stem)
        if (suffix := self._suffix(stem)) is None:
            raise InputError(
                f"The channels of a picture are files that end in {', '.join(self.suffixes)}; {file} does not. Give "
                "such files, or others to a net that takes one file a picture.",
                file,
            )
        return file.stem[: len(file.stem) - len(suffix)] if file.stem.endswith(suffix) else stem[: -len(suffix)]

    def join(self, names: Mapping[Path, str]) -> tuple[dict[str, tuple[Path, ...]], list[str]]:
        """Put the files of each picture together.

        Args:
            names: of files, without the suffix of their kind.

        Returns:
            Files by the name of the picture; and what is wrong with the others, one text each.
        """
        groups: dict[str, dict[str, Path]] = defaultdict(dict)
        problems, alone = [], []
        for file, name in names.items():
            called = form(name)
            if (suffix := self._suffix(called)) is None:
                alone.append(file)
                continue
            there = groups[called[: -len(suffix)]]
            if suffix in there:
                problems.append(f"{there[suffix]} and {file} are the same channel of one picture. Keep one of them.")
            there[suffix] = file
        if alone:
            problems.append(
                f"{many(len(alone), 'image ends', 'images end')} in none of {', '.join(self.suffixes)} "
                f"(--channel-suffix): {_some(alone)}."
            )
        for suffix in self.suffixes:
            if lacking := [name for name, there in groups.items() if suffix not in there]:
                problems.append(
                    f"{many(len(lacking), 'picture has', 'pictures have')} no file that ends in {suffix}: "
                    f"{_some(lacking)}."
                )
        whole = {name: there for name, there in groups.items() if len(there) == len(self.suffixes)}
        return {name: tuple(there[suffix] for suffix in self.suffixes) for name, there in whole.items()}, problems

    def ends(self, name: str) -> bool:
        """Whether a name ends in one of `suffixes`."""
        return self._suffix(form(name)) is not None

    def _suffix(self, name: str) -> str | None:
        """The one of the suffixes in which a name ends, before which there is something."""
        return next((one for one in self.suffixes if name.endswith(one) and Path(name).name != one), None)

    @staticmethod
    def _check_pages(opened: Sequence[Pictures]) -> None:
        if len({len(one) for one in opened}) > 1:
            told = ", ".join(f"{one.path} has {len(one)}" for one in opened)
            raise InputError(f"The files of one picture must have one number of pages; {told}.", opened[0].path)

    def _joined(self, opened: Sequence[Pictures], page: int) -> tuple[NDArray, tuple[str, ...], tuple[int, ...]]:
        """All channels of all files of a picture, (H, W, C), their names, and the number of the file of each."""
        parts = [one.read(page, all_channels=True) for one in opened]
        if len({(part.shape[:2], part.dtype) for part in parts}) > 1:
            told = ", ".join(
                f"{o.path} is {p.shape[0]}x{p.shape[1]} {p.dtype}" for o, p in zip(opened, parts, strict=True)
            )
            raise InputError(f"The files of one picture must have one size and pixel type; {told}.", opened[0].path)
        names: list[str] = []
        holders: list[int] = []
        for number, (one, part) in enumerate(zip(opened, parts, strict=True)):
            own = one.channel_names(part.shape[2])
            if self.suffixes:
                file = self.suffixes[number].strip(" _-.") or str(number)
                own = (file,) if len(own) == 1 else tuple(f"{file} {name or n}" for n, name in enumerate(own))
            names += own
            holders += [number] * len(own)
        return np.concatenate(parts, axis=2), tuple(names), tuple(holders)


def _nodata(opened: Sequence[Pictures], image: NDArray, of_file: NDArray[np.int64]) -> tuple[float, ...]:
    """The values that the files of a picture name as "no measurement", which count in all of its channels.

    Args:
        opened: the files.
        image: (H, W, C), the channels that are taken of them.
        of_file: (C,) number of the file of each.

    Raises:
        InputError: a file holds a value that others name, and it does not, where none of these is a gap: there it may
            be a measurement.
    """
    named = {number: opened[number].nodata for number in np.unique(of_file).tolist()}
    if len({*named.values()}) == 1:
        return next(iter(named.values()))
    values = tuple(dict.fromkeys(value for own in named.values() for value in own))
    for number, own in named.items():
        if not (others := [value for value in values if value not in own]):
            continue
        part = image[..., of_file == number]
        measured = ~nodata_samples(part, nodata_values(part, own))
        for value in others:
            held = (measured & nodata_samples(part, (value,))).any(-1)  # (H, W)
            namers = [namer for namer in named if value in named[namer]]
            for namer in namers if held.any() else ():
                held &= ~nodata_pixels(image[..., of_file == namer], (value,))
            if count := int(held.sum()):
                raise _refused(value, count, opened[number], opened[namers[0]])
    return values


def _refused(value: float, count: int, holder: Pictures, namer: Pictures) -> InputError:
    """What is said of a value that one file of a picture names as nodata, and another one holds as if it were none."""
    named = f"name it in both (gdal_edit.py -a_nodata {value:g})"
    if holder.tiff is None:
        named = f"save both as TIFF files that name it, as {holder.path.name} has no place for it"
    return InputError(
        f"A value must be nodata in all files of a picture that hold it, or in none; {namer.path} names {value:g}, and "
        f"{holder.path}, which does not, holds it in {many(count, 'pixel')} that are no gaps of the other. If nothing "
        f"was measured there either, {named}; else give the gaps of {namer.path.name} another value (8 bits may have "
        "no value left: save all files as uint16 or float32).",
        holder.path,
    )


ALL = Channels()
"""All channels of one file, as they are."""


class Chosen:
    """Some channels of planes, (H, W, planes x channels); a window is read when it is taken.

    Args:
        planes: (H, W, C) each, of one size and type.
        numbers: of the channels that are taken of each.
    """

    def __init__(self, planes: Sequence[Picture], numbers: Sequence[int]) -> None:
        self.planes, self.numbers = planes, list(numbers)
        self.shape = (*planes[0].shape[:2], len(planes) * len(self.numbers))
        self.dtype, self.ndim = planes[0].dtype, 3

    def __getitem__(self, window: Any) -> NDArray:
        """(h, w, C) of slices of rows and columns."""
        return np.concatenate([np.asarray(plane[window])[..., self.numbers] for plane in self.planes], axis=2)


def listed(names: Sequence[str]) -> str:
    """Channels in words, by number and name.

    Example:
        >>> listed(["DAPI", ""])
        '0 DAPI, 1'
    """
    shown = [f"{number} {name}".strip() for number, name in enumerate(names[:20])]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _some(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
