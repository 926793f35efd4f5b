"""Images beyond memory as planes to read windows from: zarr arrays, OME-Zarr, memory-mapped TIFF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.pictures import TIFF
from unet_tf.errors import InputError

PICTURE = ("y", "x", "c")
"""Names of the axes of one picture: rows, columns, channels."""
COLOUR = (1, 3)
"""Channels of a picture."""


@dataclass(frozen=True)
class Volume:
    """An array of pictures on disk, of which nothing is read before it is asked for.

    Attributes:
        path: where it lies, to name it in errors.
        array: anything that can be sliced.
        axes: names of its axes; "y" and "x" are rows and columns, "c" channels, and all others count planes.
        scale: size of a pixel along each axis, in `units`; 1 where the file does not say.
        units: of each axis, "" where there is none.
    """

    path: Path
    array: Any
    axes: tuple[str, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...]

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

    def plane(self, number: int) -> Plane:
        """A plane, by its number in the order of the array."""
        index = dict(zip(self.plane_axes, np.unravel_index(number, self.planes) if self.planes else (), strict=True))
        return Plane(self, {axis: int(at) for axis, at in index.items()})

    def _size(self, name: str) -> int:
        return self.array.shape[self.axes.index(name)] if name in self.axes else 1


class Plane:
    """One picture of a volume, (H, W, C); a slice of rows and columns is read when it is taken."""

    def __init__(self, volume: Volume, index: dict[int, int]) -> None:
        self.volume, self.index = volume, index
        self.shape = (*volume.shape, volume._size("c"))
        self.dtype = np.dtype(volume.array.dtype).newbyteorder("=")
        self.ndim = 3

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray:
        names = self.volume.axes
        where = {"y": window[0], "x": window[1], "c": slice(None)}
        key = tuple(self.index[axis] if axis in self.index else where[name] for axis, name in enumerate(names))
        try:
            found = np.asarray(self.volume.array[key], self.dtype)
        except Exception as error:  # codecs raise whatever they meet in damaged chunks
            raise InputError(
                f"{self.volume.path} cannot be read at rows {window[0].start} to {window[0].stop}, columns "
                f"{window[1].start} to {window[1].stop}: {error}. Write that part of it again."
            ) from error
        left = [name for name in names if name in PICTURE]
        if "c" not in left:
            found, left = found[..., None], [*left, "c"]
        return found.transpose([left.index(name) for name in PICTURE])


def open_volume(path: str | Path, axes: str | None = None) -> Volume:
    """Open an array of pictures.

    Args:
        path: a zarr array, an OME-Zarr image (its level 0 is taken), or a TIFF file that is not compressed.
        axes: a letter for each axis, such as "tzyx" or "yxc"; None takes what the file says, or else: rows and columns
            last, after them channels where the last of three or more axes has 1 or 3.

    Raises:
        InputError: there is nothing that can be read so, or the axes do not fit.

    Reference:
        OME-NGFF specification 0.4 and 0.5, "multiscales" metadata.
    """
    path = Path(path)
    names: list[str] | None
    if path.suffix.lower() in TIFF:
        array, names = _map_tiff(path)
        scale = units = None
    else:
        array, names, scale, units = _open_zarr(path)
    shape = array.shape
    if axes is not None:
        if len(axes) != len(shape):
            raise InputError(f'Axes name each axis once; received "{axes}" for {path} of shape {shape}.')
        names = list(axes.lower())
    if names is None:
        colour = len(shape) > 2 and shape[-1] in COLOUR
        names = [f"d{i}" for i in range(len(shape) - 2 - colour)] + ["y", "x"] + ["c"] * colour
    if len(set(names)) < len(names) or not {"y", "x"} <= set(names):
        raise InputError(
            f"The axes of {path} (shape {shape}) are {', '.join(names)}: each is named once, and y and x are among "
            "them. Name them with --axes, such as --axes tzyx."
        )
    if not all(shape):
        raise InputError(f"{path} holds no pixel: its shape is {shape}.")
    return Volume(
        path, array, tuple(names), tuple(scale or (1.0,) * len(shape)), tuple(units or ("",) * len(shape))
    )  # fmt: skip


def _map_tiff(path: Path) -> tuple[NDArray, list[str]]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            names = list(file.series[0].axes.lower().replace("s", "c"))
        return tifffile.memmap(path, mode="r"), names
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise InputError(
            f"{path} cannot be mapped into memory: {error}. Save it as TIFF without compression, or as zarr; a picture "
            "that fits into memory is predicted without .zarr."
        ) from error


def _open_zarr(path: Path) -> tuple[Any, list[str] | None, list[float] | None, list[str] | None]:
    """Array, names of its axes, their scale and units, as far as the file says."""
    zarr = import_zarr()
    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:  # a class of errors of its own for each thing that may be missing
        raise InputError(
            f"{path} is neither a TIFF file nor a zarr array or group that can be opened ({error}). Check the path."
        ) from error
    if isinstance(node, zarr.Array):
        named = getattr(node.metadata, "dimension_names", None)
        return node, [str(name) for name in named] if named and all(named) else None, None, None
    multiscales = (node.attrs.get("ome") or node.attrs).get("multiscales")
    try:
        image = multiscales[0]
        level = image["datasets"][0]
        names = [axis if isinstance(axis, str) else axis["name"] for axis in image["axes"]]
        units = ["" if isinstance(axis, str) else axis.get("unit", "") for axis in image["axes"]]
        scale = next((t["scale"] for t in level.get("coordinateTransformations", ()) if t["type"] == "scale"), None)
        wanted = level["path"]
    except (TypeError, KeyError, IndexError) as error:
        arrays = ", ".join(sorted(name for name, _ in node.arrays())) or "none"
        raise InputError(
            f"{path} is a zarr group without OME-Zarr's multiscales; name an array inside it (it has: {arrays})."
        ) from error
    if wanted not in node or not isinstance(node[wanted], zarr.Array):
        raise InputError(f'{path} names its level 0 "{wanted}", and there is no such array. Copy it again, whole.')
    array = node[wanted]
    if len(names) != len(array.shape):
        raise InputError(f"{path} names {len(names)} axes, and its level 0 has {len(array.shape)}. Name them (--axes).")
    return array, names, scale, units


def import_zarr() -> Any:
    """The package zarr.

    Raises:
        InputError: it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise InputError("zarr arrays need the package zarr: pip install 'unet-tf[zarr]'.") from error
    return zarr


def count_planes(volume: Volume) -> int:
    """Planes of a volume, 1 for a single picture."""
    return math.prod(volume.planes)
