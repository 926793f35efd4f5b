"""The pairs of a split, read once, checked, and kept in memory or on disk."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import listed
from unet_tf.data.fingerprint import Fingerprint, examine
from unet_tf.data.folder import Decoded, Pair, read_pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.weight_map import Weighting, class_balance
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.pages.words import many
from unet_tf.utils.memory import free_memory
from unet_tf.utils.threads import ahead, cores

log = logging.getLogger("unet_tf")

CACHES = ("auto", "memory", "disk", "none")
MEMORY_SHARE, DISK_SHARE = 0.5, 0.8
"""Shares of the free memory and of the free disk that decoded data may take."""


Seen = tuple[Pair, Fingerprint]
"""A pair, and what one look at it tells."""


class Sample(NamedTuple):
    """One pair: image (H, W, C) of the file's type, label (H, W) uint8, border weights (H, W) float32 or None.

    `nodata` are the values of the image that stand for "no measurement".
    """

    name: str
    image: NDArray
    label: NDArray[np.uint8]
    border: NDArray[np.float32] | None
    nodata: tuple[float, ...] = ()

    @property
    def arrays(self) -> tuple[NDArray | None, ...]:
        """What of it is kept in files, in the order of `ARRAYS`."""
        return self.image, self.label, self.border


ARRAYS = ("image", "label", "border")


class Samples(Sequence[Sample]):
    """The pairs of one split. Indexing gives a `Sample`, from memory, from disk, or decoded anew.

    Attributes:
        pairs: which files.
        fingerprints: of each pair.
        weighting: which weight map.
        class_weights: (256,) float32, w_c by label id; 0 for void.
        cache: "memory", "disk" or "none".
        failure: why the last sample that could not be had could not.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        fingerprints: Sequence[Fingerprint],
        weighting: Weighting,
        cache: str,
        load: Callable[[int], Sample],
    ) -> None:
        self.pairs, self.fingerprints, self.weighting = pairs, fingerprints, weighting
        self.cache, self._load = cache, load
        self.failure: InputError | None = None
        self.class_weights = np.append(np.ones(VOID, np.float32), np.float32(0))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._load(index)
        except InputError as error:
            self.failure = error
            raise

    def part(self, numbers: Sequence[int]) -> Samples:
        """Some of these samples by their numbers; not weighed yet."""
        pairs, facts = [self.pairs[n] for n in numbers], [self.fingerprints[n] for n in numbers]
        # through these samples, with which the cache on disk goes
        return Samples(pairs, facts, self.weighting, self.cache, lambda index: self[numbers[index]])

    def weigh(self, train: Samples) -> None:
        """Balance the class weights by the pixels of the training samples, where the weighting says so."""
        if self.weighting.balance:
            balance = class_balance(train.class_pixels)
            self.class_weights[: len(balance)] = balance

    @property
    def class_pixels(self) -> NDArray[np.int64]:
        """(num_classes,) pixels of each class."""
        return sum((one.class_pixels for one in self.fingerprints), np.zeros_like(self.fingerprints[0].class_pixels))

    @property
    def seen(self) -> list[Seen]:
        """Each pair with its fingerprint."""
        return list(zip(self.pairs, self.fingerprints, strict=True))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Height and width of each image."""
        return [one.shape for one in self.fingerprints]

    def weight(self, label: NDArray[np.uint8], border: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """The weight map of a label, or of a tile of it: w_c + border; 0 for void."""
        weight = self.class_weights[label]
        return weight if border is None else np.where(label == VOID, 0, weight + border)


def read_samples(
    pairs: Sequence[Pair],
    masks: MaskFormat,
    weighting: Weighting | None = None,
    like: Samples | None = None,
    cache: str = "auto",
    places: bool = False,
    on_file: Callable[[], None] = lambda: None,
) -> Samples:
    """Decode and check pairs, compute their border weights, and keep all that once.

    Args:
        pairs: what to read.
        masks: how the masks say the classes.
        weighting: which weight map; None for ones.
        like: the training samples, whose channels, pixel type and class balance these share.
        cache: where decoded pairs are kept: "memory", "disk" (a temporary folder), "none" (decoded anew each time); or
            "auto": the first of these that has room.
        places: whether to note where pixels of each class are.
        on_file: called after each file, for a progress bar.

    Raises:
        InputError: a file cannot be used, or the pixel types differ between files.
    """
    weighting = weighting or Weighting()
    kept = choose_cache(pairs, masks, weighting, cache)
    folder = Path(tempfile.mkdtemp(prefix="unet_tf-")) if kept == "disk" else None
    in_memory: list[Sample] = []
    stamps = list(map(_stamp, pairs))

    def sample_of(index: int, decoded: Decoded) -> Sample:
        border = weighting.border(decoded.label, decoded.objects)
        return Sample(pairs[index].name, decoded.image, decoded.label, border, decoded.nodata)

    def decode(index: int) -> tuple[Fingerprint, Sample | None]:
        decoded = read_pair(pairs[index], masks)
        fingerprint = examine(decoded, masks.num_classes, places)
        if kept == "none":
            return fingerprint, None
        sample = sample_of(index, decoded)
        if folder is None:
            return fingerprint, sample
        for part, array in zip(ARRAYS, sample.arrays, strict=True):
            if array is not None:
                _save(folder / f"{index}.{part}.npy", array)
        return fingerprint, None

    def load(index: int) -> Sample:
        if kept == "memory":
            return in_memory[index]
        if folder is None:
            if _stamp(pairs[index]) != stamps[index]:
                image, mask = pairs[index].image, pairs[index].mask
                raise InputError(
                    f"A data set must stay as it is while it is used; {image} or {mask} has changed or gone since it "
                    "was read. Restore it, and go on with the run (--resume).",
                    image,
                )
            return sample_of(index, read_pair(pairs[index], masks))
        paths = [folder / f"{index}.{part}.npy" for part in ARRAYS]
        if not all(path.exists() for path in paths[:2]):
            raise InputError(
                f"The cache on disk must stay while it is used; {folder} has gone. Go on with the run (--resume), and "
                "choose --cache none or another folder by the environment variable TMPDIR if it goes again."
            )
        parts = (np.load(path, mmap_mode="r") if path.exists() else None for path in paths)
        return Sample(pairs[index].name, *parts, nodata=fingerprints[index].nodata)  # type: ignore[arg-type, misc]

    fingerprints: list[Fingerprint] = []
    samples = Samples(pairs, fingerprints, weighting, kept, load)
    # The folder goes with the samples: at the end of the process at the latest, or where they cannot be read.
    remove = weakref.finalize(samples, shutil.rmtree, folder, ignore_errors=True) if folder else None
    try:
        for one, sample in ahead(decode, range(len(pairs)), cores()):
            fingerprints.append(one)
            if sample is not None:
                in_memory.append(sample)
            on_file()
        check_alike(samples.seen, None if like is None else like.seen)
    except BaseException:
        if remove is not None:
            remove()
        raise
    samples.weigh(like or samples)
    return samples


def _stamp(pair: Pair) -> tuple[int, ...]:
    """Time and size of the files of a pair, which tell whether they have changed; nothing where they cannot be had."""
    try:
        found = [file.stat() for file in (*pair.files, pair.mask)]
    except OSError:
        return ()
    return tuple(number for one in found for number in (one.st_mtime_ns, one.st_size))


def _save(path: Path, array: NDArray) -> None:
    try:
        np.save(path, array)
    except OSError as error:  # a full disk has no errno in NumPy: "N requested and M written"
        raise InputError(
            f"The cache on disk must hold all decoded pairs, and {path.parent} cannot take {array.nbytes} bytes more: "
            f"{error.strerror or error}. Free space there, name another folder by the environment variable TMPDIR, or "
            "decode anew each time with --cache none."
        ) from error


def check_alike(seen: Sequence[Seen], like: Sequence[Seen] | None = None) -> None:
    """Raise InputError where one net cannot serve: pixel types or channels that differ, colour for a net of grey.

    Grey and RGB may be mixed.
    """
    found = {like[0][1].dtype: f"the training image {like[0][0].name}"} if like else {}
    for pair, one in seen:
        found.setdefault(one.dtype, str(pair.image))
    if len(found) > 1:
        types = ", ".join(f"{dtype} (such as {path})" for dtype, path in found.items())
        raise InputError(
            f"All images of a data set must have one pixel type; found {types}. Rescale them to one range and type."
        )
    _check_channels(seen, like)
    if like and max(one.channels for _, one in seen) > max(one.channels for _, one in like):
        coloured = next(pair.image for pair, one in seen if one.channels > 1)
        raise InputError(
            f"All images must have the channels of the training images, which are grey; {coloured} is in colour. Give "
            "training images in colour too, or leave this one out."
        )


def _check_channels(seen: Sequence[Seen], like: Sequence[Seen] | None) -> None:
    """Raise InputError where numbers of channels differ, unless they are grey and RGB; or the order of their names."""
    found: dict[tuple[str, ...], Path] = {}
    for pair, one in (*(like or ()), *seen):
        found.setdefault(one.names or ("",) * one.channels, pair.image)
    counts = {len(names) for names in found}
    plain = all(pair.channels.plain for pair, _ in seen)
    if (len(counts) > 1 and not (plain and counts <= {1, 3})) or _in_other_order(list(found)):
        told = "; ".join(f"{file} has {len(names)} ({listed(names)})" for names, file in list(found.items())[:5])
        raise InputError(
            f"All images of a data set must have the same channels in one order; {told}. Save them alike, or leave the "
            "others out."
        )


def _in_other_order(found: Sequence[tuple[str, ...]]) -> bool:
    """Whether two lists of names have the same names in another order."""
    orders: dict[tuple[str, ...], tuple[str, ...]] = {}
    return any(orders.setdefault(tuple(sorted(names)), names) != names for names in found if all(names))


def agreed_names(seen: Sequence[Seen]) -> tuple[str, ...]:
    """The names of the channels of a data set's files: those that all name alike, "" for the others.

    Args:
        seen: pairs that `check_alike` has let through.
    """
    count = max(len(one.names) for _, one in seen)
    found = list(dict.fromkeys(one.names for _, one in seen if len(one.names) == count))
    names = tuple(each[0] if len({*each}) == 1 else "" for each in zip(*found, strict=True))
    if len(found) > 1:
        log.warning(
            f"Files name their channels differently ({listed(found[0])}; {listed(found[1])}): they are taken by number."
        )
    return names


def choose_cache(pairs: Sequence[Pair], masks: MaskFormat, weighting: Weighting, cache: str = "auto") -> str:
    """Where decoded pairs are kept: what was asked for, or the first of memory, disk and none that has room.

    Need is told from a few of the pairs, read for this: by their number, or by the bytes of their files where that is
    more, as the largest may be none of them.
    """
    if cache not in CACHES:
        raise InputError(f"A cache must be one of {', '.join(CACHES)}; received {cache!r}.")
    if cache != "auto":
        return cache
    numbers = np.unique(np.linspace(0, len(pairs) - 1, 4).astype(int)).tolist()
    few = [read_pair(pairs[i], masks) for i in numbers]
    decoded = sum(one.image.nbytes + one.label.nbytes * (5 if weighting.w0 else 1) for one in few)
    stored = _stored(pairs)
    of_few = sum(stored[i] for i in numbers)
    need = int(decoded * max(len(pairs) / len(few), sum(stored) / of_few if of_few else 0.0))
    memory, disk = free_memory(), shutil.disk_usage(tempfile.gettempdir()).free
    kept = "memory" if need <= MEMORY_SHARE * memory else "disk" if need <= DISK_SHARE * disk else "none"
    where = {
        "memory": "kept in memory",
        "disk": f"kept on disk, in {tempfile.gettempdir()}",
        "none": "decoded again for each tile",
    }
    log.info(
        f"{many(len(pairs), 'pair takes', 'pairs take')} about {need / 1e6:.0f} MB decoded, {where[kept]} "
        f"({memory / 1e9:.1f} GB of memory and {disk / 1e9:.0f} GB of disk are free)"
    )
    return kept


def _stored(pairs: Sequence[Pair]) -> list[float]:
    """Bytes that the image of each pair takes in its files, a page its part of them; 0 where these cannot be had."""
    pages, sizes = Counter(pair.image for pair in pairs), dict[Path, int]()
    for file in (file for pair in pairs for file in pair.files):
        if file not in sizes:
            sizes[file] = file.stat().st_size if file.exists() else 0
    return [sum(sizes[file] for file in pair.files) / pages[pair.image] for pair in pairs]
