"""A net with all that it needs to predict images: loaded and folded once, used many times."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import Measured
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import BUNDLE_DESCRIPTION, BUNDLE_NET, Description, read_bundle
from unet_tf.errors import InputError
from unet_tf.model.calibration import PLAIN, check_threshold, label_of
from unet_tf.model.inference import Network
from unet_tf.model.reading import read_model
from unet_tf.prediction.engines import TENSORFLOW, resolve, with_engine
from unet_tf.prediction.folds import Folds, opened
from unet_tf.prediction.tile_settings import MOST_PIXELS, memory_budget, turns_of
from unet_tf.prediction.uncertainty import entropy
from unet_tf.run import Run
from unet_tf.tiling import Grid, Picture, default_tile, fit, with_channels
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead

log = logging.getLogger("unet_tf")

OF_UNKNOWN_PIXELS = (
    "does not say which pixels it was trained on: its images have to be normalised already. Predictor(model, "
    "Normalisation(...)) says how raw ones are."
)
"""What is said of a net that is neither a run nor a bundle."""
FEATURES_SIDE = 1024
"""Side of the part of an image by which two images are said to be alike, pixels."""


class Predictor:
    """Predict images with one net, which is loaded once.

    Args:
        model: a run folder or a `Run`; the folder of a cross-validation, whose nets' probabilities are averaged; the
            folder of a bundle; a `.keras` file or a `keras.Model`, built by `unet_tf.unet` and unchanged but for its
            weights and its dropout. Weights are copied: what the model learns later does not count.
        normalisation: of raw pixels, for a `.keras` file or a model alone; None where its images are normalised.
            Runs and bundles bring theirs.
        masks: how masks are drawn, for a `.keras` file or a model alone; None draws class ids. Runs and bundles bring
            theirs.
        engine: what computes: "tensorflow", "openvino", "onnxruntime" (extras of these names), or "auto", what was
            measured fastest on such a processor, of what is installed.
        like: a run, or its folder, for a `.keras` file or a model alone, such as its own net that was trained further:
            normalisation, masks, classes, channels, temperature and threshold are those of the run.

    Attributes:
        network: the net, folded.
        normalisation: of the images, or None.
        masks: how masks are drawn: `predictor.masks.mask(label)`.
        classes: names of the classes.
        channels: how the channels of an image come from picture files.
        calibration: temperature of its probabilities, and the threshold above which two classes part; a model and a
            `.keras` file alone have none.

    Raises:
        InputError: there is no such net, it is damaged, or what was given beside it does not fit.

    Example:
        >>> from unet_tf import Normalisation, unet
        >>> net = unet(base_filters=4, depth=2)
        >>> predictor = Predictor(net, Normalisation(mean=(120.0,), std=(40.0,), dtype="uint8"))
        >>> image = np.zeros((50, 70), np.uint8)
        >>> predictor.predict(image).shape, predictor.probabilities(image).shape
        ((50, 70), (50, 70, 2))
    """

    def __init__(
        self,
        model: keras.Model | Run | Folds | str | Path,
        normalisation: Normalisation | None = None,
        masks: MaskFormat | None = None,
        engine: str = TENSORFLOW,
        like: Run | str | Path | None = None,
    ) -> None:
        own: Run | Folds | Description | None = None
        if isinstance(model, str | Path):
            path = Path(model)
            if path.suffix == ".keras":
                model = read_model(path)
                if normalisation is None and like is None:
                    log.warning(f"{path} {OF_UNKNOWN_PIXELS}")
            elif (path / BUNDLE_DESCRIPTION).is_file():
                own, model = read_bundle(path), read_model(path / BUNDLE_NET)
            else:
                model = opened(path)
        if isinstance(model, Run | Folds):
            own = model
        elif own is None and like is not None:
            own, like = like if isinstance(like, Run) else Run(like), None
        if own is not None and not normalisation is masks is like is None:
            raise InputError(
                "A run or bundle brings its normalisation and masks; they, or a run that has them (like), must be "
                "given to a model alone."
            )
        self.calibration = PLAIN if own is None else own.calibration
        self.network = model.network if isinstance(model, Run | Folds) else Network(model, self.calibration.temperature)
        if own is not None:
            normalisation, masks = own.normalisation, own.masks
        self.normalisation = normalisation
        self.masks = MaskFormat("index", self.network.num_classes) if masks is None else masks
        self.classes = own.classes if own is not None else tuple(map(str, range(self.network.num_classes)))
        self.channels = own.channels if own is not None else Channels()
        found = self.network.channels, self.network.num_classes
        wanted = found[0] if normalisation is None else normalisation.channels, self.masks.num_classes
        if found != wanted:
            raise InputError(
                f"The net has {found[0]} channels and {found[1]} classes, and its normalisation and masks must have as "
                f"many; they have {wanted[0]} and {wanted[1]}."
            )
        self.network = self.by(engine).network

    def by(self, engine: str) -> Predictor:
        """Give the same predictor, computed by an engine (`unet_tf.prediction.engines.resolve`).

        Raises:
            InputError: there is none of that name, or its package is missing.
        """
        network = with_engine(self.network, resolve(engine, self.network))
        if network is self.network:
            return self
        found = copy(self)
        found.network = network
        return found

    def at(self, threshold: float | None) -> Predictor:
        """Give the same predictor with another threshold of two classes; None for its own.

        Raises:
            InputError: it does not lie between 0 and 1, or is not 0.5 and the net has more classes.
        """
        if threshold in (None, self.calibration.threshold):
            return self
        check_threshold(threshold, self.classes)
        found = copy(self)
        found.calibration = replace(self.calibration, threshold=threshold)
        return found

    def predict(
        self,
        image: Picture,
        tile: int | None = None,
        memory: int | str | None = None,
        tta: str = "none",
        on_tile: Progress = unseen,
        name: str = "the image",
        nodata: Sequence[float] = (),
    ) -> NDArray[np.uint8]:
        """Give the class of each pixel of an image of any size: the most probable, or of two that of the threshold.

        Args:
            image: (H, W) or (H, W, C) raw pixels; normalised ones where the predictor has no normalisation.
            tile: largest input size of a tile, a legal one; None chooses by image and memory.
            memory: what a tile may take, bytes or such as "2GB"; None for a quarter of what is free.
            tta: "none", or average over turned tiles: "rotations" or "all".
            on_tile: called with (tiles done, tiles in all).
            name: what to call the image in an error.
            nodata: values of this image that stand for "no measurement" (`unet_tf.data.nodata`): a channel that holds
                one counts as its mean in the training images there. Those of the training images are known.

        Returns:
            (H, W) class ids.

        Raises:
            InputError: the image does not fit the net, the tile is not legal, or the memory holds no tile.
        """
        return self._image(image, {}, tile, memory, tta, on_tile, name, nodata)

    def probabilities(
        self,
        image: Picture,
        tile: int | None = None,
        memory: int | str | None = None,
        tta: str = "none",
        on_tile: Progress = unseen,
        name: str = "the image",
        nodata: Sequence[float] = (),
    ) -> NDArray[np.float32]:
        """Give the probability of each class at each pixel of an image of any size.

        Args:
            image: (H, W) or (H, W, C) raw pixels; normalised ones where the predictor has no normalisation.
            tile: largest input size of a tile, a legal one; None chooses by image and memory.
            memory: what a tile may take, bytes or such as "2GB"; None for a quarter of what is free.
            tta: "none", or average over turned tiles: "rotations" or "all".
            on_tile: called with (tiles done, tiles in all).
            name: what to call the image in an error.
            nodata: values of this image that stand for "no measurement" (`unet_tf.data.nodata`): a channel that holds
                one counts as its mean in the training images there. Those of the training images are known.

        Returns:
            (H, W, num_classes), 1 in sum.

        Raises:
            InputError: the image does not fit the net, the tile is not legal, or the memory holds no tile.
        """
        return self._image(image, {"probabilities": True}, tile, memory, tta, on_tile, name, nodata)

    def with_entropy(
        self,
        image: Picture,
        tile: int | None = None,
        memory: int | str | None = None,
        tta: str = "none",
        on_tile: Progress = unseen,
        name: str = "the image",
        nodata: Sequence[float] = (),
    ) -> NDArray[np.float32]:
        """Give probabilities as `probabilities` does, and beside them how unsure the single predictions are.

        These are those of each turned tile, and of each net where there are several.

        Args:
            image: as of `probabilities`, like all that follow.
            tile: largest input size of a tile.
            memory: what a tile may take.
            tta: "none", or average over turned tiles.
            on_tile: called with (tiles done, tiles in all).
            name: what to call the image in an error.
            nodata: values of this image that stand for "no measurement".

        Returns:
            (H, W, num_classes + 1): the probabilities, and the mean of the entropies of the predictions of which these
            are the mean (`unet_tf.prediction.uncertainty`). It is a mean over predictions throughout, so that means of
            several nets are made of it as of probabilities.

        Raises:
            InputError: as of `probabilities`.
        """
        wanted = {"probabilities": True, "with_entropy": True}
        return self._image(image, wanted, tile, memory, tta, on_tile, name, nodata)

    def features(
        self,
        image: Picture,
        memory: int | str | None = None,
        name: str = "the image",
        nodata: Sequence[float] = (),
    ) -> NDArray[np.float32]:
        """Give what the deepest level of the net sees in the middle of an image: (F,), the mean of each filter.

        Args:
            image: (H, W) or (H, W, C), as of `probabilities`.
            memory: what a tile may take.
            name: what to call the image in an error.
            nodata: values of this image that stand for "no measurement".

        Raises:
            InputError: the image does not fit the net.
        """
        image = self.checked(image, name, nodata)
        middle = [slice(max(0, n - FEATURES_SIDE) // 2, max(0, n - FEATURES_SIDE) // 2 + FEATURES_SIDE)
                  for n in image.shape[:2]]  # fmt: skip
        part = np.asarray(image[middle[0], middle[1]])
        grid = self.grid((part.shape[0], part.shape[1]), memory=memory)
        found = [self.network.features(self._windows(part, n, grid, (0,))[0]) for n in range(len(grid))]
        return np.mean(found, axis=0)

    def _image(
        self,
        image: Picture,
        wanted: dict[str, bool],
        tile: int | None,
        memory: int | str | None,
        tta: str,
        on_tile: Progress,
        name: str,
        nodata: Sequence[float],
    ) -> NDArray:
        image = self.checked(image, name, nodata)
        grid = self.grid((image.shape[0], image.shape[1]), tile, memory)
        shape = (*grid.shape, self.network.num_classes + wanted.get("with_entropy", False))
        result = np.empty(shape, np.float32) if wanted else np.empty(shape[:2], np.uint8)
        tiles = ((image, number) for number in range(len(grid)))
        for number, found in enumerate(self.predict_tiles(tiles, grid, tta=tta, **wanted)):
            result[grid.place(number)] = found
            on_tile(number + 1, len(grid))
            look()
        return result

    def checked(self, image: Picture, name: str = "the image", nodata: Sequence[float] = ()) -> Picture:
        """Give the image an axis of channels, (H, W, C), no nodata, and see that the net takes it.

        Raises:
            InputError: it has another number of axes or channels than the net takes, or another pixel type.
        """
        image = with_channels(image)
        if self.normalisation is not None:
            self.normalisation.check(image, name, self.channels.plain)
        elif image.shape[2] != self.network.channels:
            raise InputError(
                f"Images of this net must have {self.network.channels} channels; received {image.shape[2]}."
            )
        if self.normalisation is None:
            return Measured(image, nodata, (0.0,) * self.network.channels) if nodata else image
        return self.normalisation.measured(image, nodata)

    def grid(self, shape: tuple[int, int], tile: int | None = None, memory: int | str | None = None) -> Grid:
        """Cut an image into tiles: the fewest pixels that the memory lets the net compute.

        Args:
            shape: height and width of the image.
            tile: largest input size of a tile, a legal one; None chooses.
            memory: what a tile may take, bytes or such as "2GB"; None for a quarter of what is free.

        Raises:
            InputError: the tile is not legal, or the memory holds none.
        """
        network, geometry = self.network, self.network.geometry
        if tile is not None or any(network.sizes):
            most = default_tile(geometry) if tile is None else tile
            rows, columns = (
                geometry.fixed_tiling(length, size) if size else geometry.tiling(length, most)
                for length, size in zip(shape, network.sizes, strict=True)
            )
            return Grid(geometry, shape, rows, columns)
        most = max(MOST_PIXELS, geometry.min_tile**2)
        return fit(geometry, shape, min(self.pixels_within(memory_budget(memory)), most))

    def pixels_within(self, budget: float) -> int:
        """Count the pixels of the net's input for the largest tile that so many bytes hold.

        Raises:
            InputError: they hold none.
        """
        smallest = self.network.geometry.min_tile
        needed = self.network.memory_needed(smallest**2)
        if budget < needed:
            raise InputError(
                f"A tile of {smallest}x{smallest} px, the smallest of this net, takes about {needed / 1e6:.0f} MB; "
                f"allowed are {budget / 1e6:.0f} MB. Free some, or allow more of what is free (predict --memory)."
            )
        return self.network.pixels_within(budget)

    def predict_tiles(
        self,
        tiles: Iterable[tuple[Picture, int]],
        grid: Grid,
        probabilities: bool = False,
        tta: str = "none",
        with_entropy: bool = False,
    ) -> Iterator[NDArray]:
        """Predict tiles, each a pure function of image, grid and number; the next is read while one is computed.

        Args:
            tiles: image (as `checked` gives it) and number of each; all images have one size.
            grid: how they are cut.
            probabilities: give these and not class ids.
            tta: "none", "rotations" or "all".
            with_entropy: give, beside probabilities, the mean entropy of turns and nets.

        Yields:
            (h, w) uint8 class ids or (h, w, num_classes) float32, of the size of the tile's place; with the entropy
            there is one channel more.
        """
        turns, threshold = turns_of(tta), self.calibration.threshold
        rows, columns = self.network.sizes
        if rows != columns and any(turn % 2 for turn in turns):
            raise InputError(
                f"A tile that is turned by 90 degrees must fit the net, and this one takes {rows}x{columns} px alone. "
                'Leave tta at "none".'
            )
        for number, windows in ahead(lambda tile: (tile[1], self._windows(*tile, grid, turns)), tiles):
            if len(windows) == 1 and not probabilities and threshold == self.network.threshold:
                yield grid.own(self.network.label(windows[0]), number)
                continue
            mean: NDArray = np.float32(0)  # type: ignore[assignment]
            for turn, window in zip(turns, windows, strict=True):
                found = self.network.probabilities(window) if not with_entropy else self._with_entropy(window)
                mean = mean + grid.own(found, number, turn) / np.float32(len(windows))
            yield mean if probabilities else label_of(mean, threshold)  # (h, w, num_classes) -> (h, w)

    def _with_entropy(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, num_classes + 1) mean of the probabilities of each net, and of their entropies."""
        each = (np.concatenate([one, entropy(one)[..., None]], axis=-1) for one in self.network.each(window))
        total: NDArray[np.float32] = functools.reduce(np.add, each)
        return total if self.network.count == 1 else np.divide(total, self.network.count, dtype=np.float32)

    def _windows(self, image: Picture, number: int, grid: Grid, turns: Iterable[int]) -> list[NDArray[np.float32]]:
        """What the net reads for a tile, (h, w, C), once a turn."""
        windows = [grid.window(image, number, turn) for turn in turns]
        if windows[0].dtype.kind == "f" and not np.isfinite(windows[0]).all():
            rows, columns = grid.place(number)
            raise InputError(
                f"Around rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop} the image holds "
                "values that are not finite (NaN or infinite). Replace them."
            )
        if self.normalisation is None:
            return [np.asarray(window, np.float32) for window in windows]
        return [self.normalisation.scale(window) for window in windows]
