"""Images beyond memory as planes to read windows from: zarr arrays, OME-Zarr, TIFF."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import Channels
from unet_tf.data.folder import ZARR
from unet_tf.data.pictures import TIFF, as_image, image_type
from unet_tf.data.tiff import TiffPictures, open_tiff
from unet_tf.data.tiff_axes import NARROWEST
from unet_tf.data.tiff_names import plain_name
from unet_tf.errors import InputError
from unet_tf.tiling import Picture
from unet_tf.utils.extras import import_extra

PICTURE = ("y", "x", "c")
"""Names of the axes of one picture: rows, columns, channels."""
TCZYX = "tczyx"
"""Axes of OME-Zarr before version 0.3."""
COLOUR = (1, 3)
"""Sizes of the last axis of an array without names that are taken for channels; others up to `NARROWEST` are asked."""
CHANNELS = ("channel", "channels", "band", "bands", "wavelength", "wavelengths")
"""What programs call an axis of channels where they do not call it "c"; of size 1 it may count planes as well."""
DIMENSIONS = "_ARRAY_DIMENSIONS"
"""The attribute in which xarray keeps the names of axes in zarr 2, which has no place for them."""
TRANSFORMS = "coordinateTransformations"
"""In OME-Zarr: scales and translations from the pixels of a level to `units`, one applied after another."""
LETTERS = "ztabdefghijklmnopqrsuvw"
"""Letters for axes without one, from the last to the first."""


@dataclass(frozen=True)
class Volume:
    """An array of pictures on disk, of which nothing is read before it is asked for.

    Attributes:
        path: where it lies, to name it in errors.
        array: anything that can be sliced.
        axes: names of its axes; "y" and "x" are rows and columns, "c" channels, and all others count planes.
        scale: size of a pixel along each axis, in `units`; 1 where the file does not say.
        units: of each axis, "" where there is none.
        nodata: the value that the file itself names as "no measurement", or none.
        names: of the channels, "" for each that the file does not name; empty where it names none.
        translation: where the first pixel lies along each axis, in `units`; 0 where the file does not say.
    """

    path: Path
    array: Any
    axes: tuple[str, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...]
    nodata: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    translation: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of each plane."""
        return self._size("y"), self._size("x")

    @property
    def plane_axes(self) -> tuple[int, ...]:
        """Numbers of the axes that count planes."""
        return tuple(i for i, name in enumerate(self.axes) if name not in PICTURE)

    @property
    def planes(self) -> tuple[int, ...]:
        """How many planes there are along each of `plane_axes`."""
        return tuple(self.array.shape[i] for i in self.plane_axes)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of what the file decodes whole: a chunk, strip or tile."""
        return self.array.chunks[self.axes.index("y")], self.array.chunks[self.axes.index("x")]

    def plane(self, number: int) -> Plane:
        """A plane, by its number in the order of the array."""
        index = dict(zip(self.plane_axes, np.unravel_index(number, self.planes) if self.planes else (), strict=True))
        return Plane(self, {axis: int(at) for axis, at in index.items()})

    def picture(self, number: int, channels: Channels) -> Picture:
        """What a net takes of a plane, (H, W, C): some channels of it, or of its neighbours too.

        Raises:
            InputError: the channels are not those that the net was trained on, or come from several files.
        """
        if channels.suffixes:
            raise InputError(
                f"The channels of a picture of this net are files that end in {', '.join(channels.suffixes)}, and "
                f"{self.path} is one array. Predict the files into a folder.",
                self.path,
            )
        sizes = [(self.axes[axis], self.array.shape[axis]) for axis in self.plane_axes]
        planes = [self.plane(at) for at in channels.planes(number, sizes, self.path)]
        return channels.of(planes, self.channel_names, self.path)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each channel is called; "" for all where names are not theirs, as of one band with a colour table."""
        count = self._size("c")
        return self.names if len(self.names) == count else ("",) * count

    def _size(self, name: str) -> int:
        return self.array.shape[self.axes.index(name)] if name in self.axes else 1


class Plane:
    """One picture of a volume, (H, W, C); a slice of rows and columns is read when it is taken."""

    def __init__(self, volume: Volume, index: dict[int, int]) -> None:
        self.volume, self.index = volume, index
        self.shape = (*volume.shape, volume._size("c"))
        self.dtype = image_type(np.dtype(volume.array.dtype), volume.path)
        self.ndim = 3

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray:
        names = self.volume.axes
        where = {"y": window[0], "x": window[1], "c": slice(None)}
        key = tuple(self.index[axis] if axis in self.index else where[name] for axis, name in enumerate(names))
        try:
            found = np.asarray(self.volume.array[key], self.dtype)
        except InputError:
            raise
        except Exception as error:  # codecs raise whatever they meet in damaged chunks
            raise InputError(
                f"{self.volume.path} cannot be read at rows {window[0].start} to {window[0].stop}, columns "
                f"{window[1].start} to {window[1].stop}: {error}. Write that part of it again.",
                self.volume.path,
            ) from error
        left = [name for name in names if name in PICTURE]
        if "c" not in left:
            found, left = found[..., None], [*left, "c"]
        return found.transpose([left.index(name) for name in PICTURE])


def open_volume(path: str | Path, axes: str | None = None, channels: int | None = None) -> Volume:
    """Open an array of pictures.

    Args:
        path: a zarr array, an OME-Zarr image (its level 0 is taken; of bioformats2raw's groups the only image), or a
            TIFF file that has tiles or is not compressed, whose windows are what `read_image` gives of them: with
            colour table, orientation and CMYK applied, and without alpha.
        axes: a letter for each axis, such as "tzyx" or "yxc"; None takes what the file says, where the only axis that
            is called after channels, bands or wavelengths counts channels if it has several; or else: rows and columns
            last, after them channels where the last of three or more axes has 1 or 3, or as many as `channels`; one of
            `NARROWEST` at most that is shorter than the two before it must be named else.
        channels: how many a net takes, where one is known.

    Raises:
        InputError: there is nothing that can be read so, the axes do not fit, or an axis of zarr that could be the
            channels of a picture is not named.

    Reference:
        OME-NGFF specification 0.1 to 0.5, "multiscales" and "bioformats2raw.layout" metadata.
    """
    path = Path(path)
    found = _of_tiff(path) if path.suffix.lower() in TIFF else _of_zarr(path)
    shape, names = found.array.shape, found.axes
    alike = [name for name, size in zip(names, shape, strict=bool(names)) if size > 1 and name.lower() in CHANNELS]
    if len(alike) == 1 and "c" not in names:
        names = tuple("c" if name in alike else name for name in names)
    if axes is not None:
        if len(axes) != len(shape):
            raise InputError(f'Axes must name each axis once; received "{axes}" for {path} of shape {shape}.', path)
        names = tuple(axes.lower())
    plain = axes is None and not isinstance(found.array, TiffArray)  # pages of a TIFF file are pictures
    if not names:
        colour = len(shape) > 2 and shape[-1] in (*COLOUR, channels)
        if len(shape) > 2 and not colour and shape[-1] <= NARROWEST and shape[-1] < min(shape[-3:-1]):
            outer = LETTERS[: len(shape) - 2][::-1]
            raise InputError(
                f"A last axis of {shape[-1]} must be named; {path} has shape {shape}, and it may count channels of a "
                f"picture, or columns. Name all: --axes {outer[1:]}yxc if it counts channels, --axes {outer}yx if "
                "columns.",
                path,
            )
        names = (*(f"d{i}" for i in range(len(shape) - 2 - colour)), "y", "x", *["c"] * colour)
    if len(set(names)) < len(names) or not {"y", "x"} <= set(names):
        raise InputError(
            f"The axes of {path} (shape {shape}) are {', '.join(names)}, and each must be named once, y and x among "
            "them. Name them with --axes, such as --axes tzyx.",
            path,
        )
    if isinstance(found.array, TiffArray) and names[found.array.outer :] not in (PICTURE, PICTURE[:2]):
        raise InputError(f'Rows and columns must be the last axes of a TIFF file; received "{axes}" for {path}.', path)
    if not all(shape):
        raise InputError(f"{path} holds no pixel: its shape is {shape}.", path)
    if plain and "c" not in names and (channels or 1) > 1:
        _check_planes(path, shape, names, channels or 1)
    return replace(found, axes=names)


def _check_planes(path: Path, shape: tuple[int, ...], names: tuple[str, ...], channels: int) -> None:
    """Raise InputError where an axis that is taken for planes, and named neither t nor z, has the net's channels."""
    free = (letter for letter in LETTERS if letter not in names)
    letters = [name if len(name) == 1 else next(free) for name in reversed(names)][::-1]
    for axis, (name, size) in enumerate(zip(names, shape, strict=True)):
        if size == channels and name not in (*PICTURE, "t", "z"):
            planes, colours = "".join(letters), "".join([*letters[:axis], "c", *letters[axis + 1 :]])
            raise InputError(
                f"Channels must be named where they are not the last axis; {path} has shape {shape}, and axis {axis} "
                f"may count the {channels} channels of the net, or planes. Name them: --axes {colours} if it counts "
                f"channels, --axes {planes} if planes.",
                path,
            )


class TiffArray:
    """The pictures of a TIFF file as an array, (planes..., H, W) or (planes..., H, W, C), of which windows are read."""

    def __init__(self, pictures: TiffPictures) -> None:
        self.pictures = pictures
        self.planes = tuple(size for _, size in pictures.axes)
        self.outer = len(self.planes)
        corner = pictures.window(0, slice(0, 1), slice(0, 1))
        self.dtype = image_type(corner.dtype, pictures.path)
        height, width = pictures.size
        self.shape = (*self.planes, height, width, *corner.shape[2:])
        self.chunks = (*self.planes, *pictures.pages[0][0].segment)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        number = int(np.ravel_multi_index(key[: self.outer], self.planes)) if self.planes else 0
        rows, columns = key[self.outer : self.outer + 2]
        height, width = self.pictures.size
        window = slice(*rows.indices(height)[:2]), slice(*columns.indices(width)[:2])
        image = as_image(self.pictures.window(number, *window), self.pictures.path, self.pictures.nodata)
        return image if len(self.shape) > self.outer + 2 else image[..., 0]


def _of_tiff(path: Path) -> Volume:
    pictures = open_tiff(path)
    if not pictures.in_windows:
        raise InputError(
            f"{path} cannot be read in windows: its strips are compressed, and each reaches over the whole width. Save "
            "it as TIFF with tiles or without compression, or as zarr; or predict it as a map (--out NAME.tif), or, if "
            "it fits into memory, into a folder.",
            path,
        )
    if pictures.nodata_ids and not pictures.nodata:  # the index of a colour that does not tell it
        raise InputError(
            f"Colours must tell where nothing was measured; {path} names the index {pictures.nodata_ids[0]:g} of its "
            "colour table as nodata. Save it without a table, with a nodata value that no other pixel has; or, if it "
            "may count as a colour, take the name away (gdal_edit.py -unsetnodata). A map (predict --out NAME.tif) "
            "takes it as it is.",
            path,
        )
    array = TiffArray(pictures)
    axes = (*(name for name, _ in pictures.axes), *PICTURE[: len(array.shape) - array.outer])
    names = pictures.channel_names((*array.shape, 1)[array.outer + 2])
    return Volume(path, array, axes, (1.0,) * len(axes), ("",) * len(axes), pictures.nodata, names)


def _of_zarr(path: Path) -> Volume:
    """The array; its axes are left empty where the file does not name them."""
    zarr = import_zarr()
    at = next((path / name for name in (*ZARR, ".zattrs") if (path / name).is_file()), None)
    try:
        node = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Array):
            named = getattr(node.metadata, "dimension_names", None) or node.attrs.get(DIMENSIONS)
            told = isinstance(named, list | tuple) and len(named) == len(node.shape)
            told = told and all(isinstance(name, str) and name for name in named)
            # xarray calls axes dim_0, dim_1, .. where nobody names them
            told = told and not all(re.fullmatch(r"dim_\d+", name) for name in named)
            return _plain(path, node, tuple(map(_name, named)) if told else ())
        return _of_group(path, node, zarr.Array)
    except InputError:
        raise
    except Exception as error:  # a class of errors of its own for each thing that may be missing
        said = f"({type(error).__name__}: {error})"
        if at is not None:
            raise InputError(f"{at} is damaged {said}. Copy it again, or write {path} again.", at) from error
        raise InputError(
            f"{path} is neither a TIFF file nor a zarr array or group that can be opened {said}. Check the path.", path
        ) from error


def _name(axis: Any) -> str:
    """What an axis is called: "c" where OME's type says that it counts channels; a single letter is lowered."""
    if isinstance(axis, Mapping) and axis.get("type") == "channel":
        return "c"
    name = str(axis if isinstance(axis, str) else axis["name"])
    return name.lower() if len(name) == 1 else name


def _plain(path: Path, array: Any, axes: tuple[str, ...]) -> Volume:
    return Volume(path, array, axes, (1.0,) * len(array.shape), ("",) * len(array.shape))


def _of_group(path: Path, group: Any, kind: type) -> Volume:
    """Level 0 of an OME-Zarr image, or of the only one in a group of bioformats2raw."""
    attributes = group.attrs.get("ome", group.attrs)
    if "multiscales" not in attributes:
        inside = sorted(name for name, node in group.members() if not isinstance(node, kind) and name.isdecimal())
        if "bioformats2raw.layout" in attributes and len(inside) == 1:
            return _of_group(path / inside[0], group[inside[0]], kind)
        if "bioformats2raw.layout" in attributes and inside:
            named = ", ".join(f"{path}/{name}" for name in inside[:9])
            raise InputError(f"{path} holds {len(inside)} images. Name one: {named}.", path)
        arrays = ", ".join(sorted(name for name, _ in group.arrays())) or "none"
        groups = ", ".join(sorted(name for name, _ in group.groups())) or "none"
        raise InputError(
            f"{path} is a zarr group without OME-Zarr's multiscales; name an array inside it (it has: {arrays}), or a "
            f"group (it has: {groups}).",
            path,
        )
    image = attributes["multiscales"][0]
    level, axes = image["datasets"][0], image.get("axes", TCZYX)  # which versions before 0.3 do not name
    names = tuple(_name(axis) for axis in axes)
    units = tuple("" if isinstance(axis, str) else str(axis.get("unit") or "") for axis in axes)
    transforms = [  # of the level, then of all levels
        (one["type"], one[one["type"]])
        for one in (*(level.get(TRANSFORMS) or ()), *(image.get(TRANSFORMS) or ()))
        if one["type"] == "scale" or (one["type"] == "translation" and "translation" in one)
    ]
    wanted = level["path"]
    if wanted not in group or not isinstance(group[wanted], kind):
        raise InputError(f'{path} names its level 0 "{wanted}", and there is no such array. Copy it again.', path)
    array = group[wanted]
    told = [len(names), *(len(numbers) for _, numbers in transforms)]
    if set(told) != {len(array.shape)}:
        words = " and ".join(map(str, told[1:])) or "no"
        letters = TCZYX if told[0] != len(array.shape) or max(map(len, names), default=0) > 1 else "".join(names)
        raise InputError(
            f"{path} names {told[0]} axes with {words} scales, and its level 0 has {len(array.shape)}. Name that one "
            f"and its axes: {path}/{wanted} --axes {letters[-len(array.shape) :]}, if they are these.",
            path,
        )
    scale, translation = np.ones(len(names)), np.zeros(len(names))
    for name, numbers in transforms:
        if name == "scale":
            scale, translation = scale * numbers, translation * numbers
        else:
            translation = translation + numbers
    channels, start = _channel_names(attributes), tuple(translation.tolist())
    return Volume(path, array, names, tuple(scale.tolist()), units, names=channels, translation=start)


def _channel_names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels of channels in OME-Zarr's "omero" metadata, which may be there or not."""
    omero = attributes.get("omero")
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    return tuple(plain_name(str(one.get("label") or "")) for one in listed or () if isinstance(one, Mapping))


def import_zarr() -> Any:
    """The package zarr.

    Raises:
        InputError: it is not installed.
    """
    return import_extra("zarr arrays need the package zarr: pip install 'unet-tf[zarr]'.", "zarr")
