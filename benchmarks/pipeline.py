"""Augmentation, weight map and mask reading on one core, side by side with other libraries and naive code.

Usage: python benchmarks/pipeline.py [PART ...] [--rounds N] [--naive-seconds S]
Peers: pip install -c requirements.txt -r benchmarks/requirements.txt
"""

import os

os.environ.update(  # before NumPy and TensorFlow start their threads
    {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "NO_ALBUMENTATIONS_UPDATE": "1",  # else it asks the network for newer versions
    }
)

import argparse
import collections
import functools
import importlib.metadata
import importlib.util
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import unet_tf

PACKAGES = (
    "unet-tf",
    "numpy",
    "opencv-python-headless",
    "scipy",
    "tensorflow",
    "keras",
    "elasticdeform",
    "albumentations",
)
INSTALL = "not installed ({}): `pip install -c requirements.txt -r benchmarks/requirements.txt`"
SIDE, ROTATION, SCALE, ELASTIC = 512, 15.0, 0.1, 10.0
W0, SIGMA = 10.0, 5.0
FEW = 5
"""Objects that the naive weight map is timed on to tell how long it takes for all."""

Triple = tuple[NDArray, NDArray, NDArray]
Build = Callable[[NDArray, NDArray, NDArray], Callable[[], Triple]]
Transform = Callable[[NDArray], NDArray]
spent = collections.Counter[str]()
"""Seconds that were timed, by the clock and on the core."""


# Timing and printing


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What `run` returns, and its seconds by the clock."""
    clock, core = time.perf_counter(), time.process_time()
    result = run()
    seconds = time.perf_counter() - clock
    spent.update({"clock": seconds, "core": time.process_time() - core})
    return result, seconds


def call(run: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        run()


def interleave(
    contestants: dict[str, Callable[[], Any]], rounds: int, slot: float = 0.3, tidy: Callable[[], Any] = tuple
) -> dict[str, list[float]]:
    """Seconds a call of each contestant, one value a round; all take turns for about `slot` seconds, then `tidy`."""
    repeats, seconds = {}, {name: [] for name in contestants}
    for name, run in contestants.items():
        run()  # builds tables, graphs and caches
        repeats[name] = max(1, round(slot / timed(run)[1]))
    for _ in range(rounds):
        for name, run in contestants.items():
            seconds[name].append(timed(functools.partial(call, run, repeats[name]))[1])
            tidy()
    return {name: [value / repeats[name] for value in values] for name, values in seconds.items()}


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table, its first column to the left and the others to the right."""
    for row in (header, ["---", *["---:"] * (len(header) - 1)], *rows):
        print("|", " | ".join(row), "|")
    print()


def print_text(text: str) -> None:
    """A paragraph."""
    print(textwrap.fill(text, 120, break_on_hyphens=False, break_long_words=False), end="\n\n")


def print_machine(core: int, rounds: int) -> None:
    """Processor, core and versions; no names or paths of this machine."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    print_text(
        f"{model[1] if model else platform.processor()}, 1 of {os.cpu_count()} cores (number {core}), "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}; {', '.join(versions)}. "
        f"Contestants take turns, one thread each; medians of {rounds} rounds."
    )


# Augmentation


def ours(image: NDArray, label: NDArray, weight: NDArray) -> Callable[[], Triple]:
    rng, image = np.random.default_rng(0), image[..., None]
    augmentation = unet_tf.Augmentation(flips=True, rotation=ROTATION, scale=SCALE, elastic=ELASTIC)
    return lambda: unet_tf.augment(image, label, weight, augmentation, rng)


def elasticdeform(image: NDArray, label: NDArray, weight: NDArray) -> Callable[[], Triple]:
    from elasticdeform import deform_random_grid

    rng = np.random.default_rng(0)

    def run() -> Triple:
        flip = np.s_[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
        turn, zoom = rng.uniform(-ROTATION, ROTATION), 1 + rng.uniform(-SCALE, SCALE)
        triple = [np.ascontiguousarray(part[flip]) for part in (image, label, weight)]
        return deform_random_grid(
            triple, sigma=ELASTIC, points=3, order=[1, 0, 1], mode="mirror", axis=(0, 1), rotate=turn, zoom=zoom
        )

    return run


def albumentations(bend: str, **settings: Any) -> Build:
    """Its flips, `Affine`, and one of its elastic transforms, which are two warps."""

    def build(image: NDArray, label: NDArray, weight: NDArray) -> Callable[[], Triple]:
        import albumentations as peer

        mirror = cv2.BORDER_REFLECT_101
        steps = [
            peer.HorizontalFlip(),
            peer.VerticalFlip(),
            peer.Affine(rotate=(-ROTATION, ROTATION), scale=(1 - SCALE, 1 + SCALE), border_mode=mirror, p=1),
            getattr(peer, bend)(**settings, border_mode=mirror, p=1),
        ]
        transform = peer.Compose(steps, additional_targets={"weight": "image"}, seed=0)

        def run() -> Triple:
            found = transform(image=image, mask=label, weight=weight)
            return found["image"], found["mask"], found["weight"]

        return run

    return build


def keras_layers(elastic: bool) -> Build:
    """Its layers on {"images", "segmentation_masks"} in one graph; the weight is a second channel of the image."""

    def build(image: NDArray, label: NDArray, weight: NDArray) -> Callable[[], Triple]:
        import tensorflow as tf
        from keras import layers

        steps = [
            layers.RandomFlip("horizontal_and_vertical"),
            layers.RandomRotation(ROTATION / 360, fill_mode="reflect"),
            layers.RandomZoom((-SCALE, SCALE), fill_mode="reflect"),
        ]
        if elastic:
            steps.append(layers.RandomElasticTransform(factor=(1, 1), scale=(0.55, 0.55), fill_mode="reflect"))

        @tf.function
        def graph(pictures: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, ...]:
            data = {"images": pictures, "segmentation_masks": masks}
            for step in steps:
                data = step(data, training=True)
            moved = tf.cast(data["segmentation_masks"][..., 0], tf.uint8)
            return data["images"][..., 0], moved, data["images"][..., 1]

        pictures, masks = np.stack([image, weight], -1).astype(np.float32), label[..., None]
        return lambda: tuple(part.numpy() for part in graph(pictures, masks))

    return build


AUGMENTATIONS: dict[str, tuple[Build, str]] = {
    "ours: `unet_tf.augment`": (ours, "1"),
    "elasticdeform: `deform_random_grid`": (elasticdeform, "1"),
    "albumentations: `Affine`, `ThinPlateSpline` of 3x3 points": (
        albumentations("ThinPlateSpline", scale_range=(0.125, 0.125), num_control_points=3),
        "2",
    ),
    "albumentations: `Affine`, `ElasticTransform`": (albumentations("ElasticTransform", alpha=1660, sigma=50), "2"),
    "Keras: `RandomRotation`, `RandomZoom`, `RandomElasticTransform`": (keras_layers(elastic=True), "3"),
    "Keras without elastic deformation": (keras_layers(elastic=False), "2"),
}
NOTES = f"""
The same to each: flips, rotation up to {ROTATION:.0f} degrees, scale up to {SCALE:.0%}, elastic deformation by 8 px
(standard deviation over all pixels), mirrored borders; image (ours: by cubics) and weight linear, label nearest; image
and label uint8, weight float32. Warps: how often the image is resampled, one after another. Label on image: share of
pixels where the label that comes out says what image and weight that come out say, for a picture that is its own label
(10 draws).

- Ours and elasticdeform: cubic splines over 3x3 vectors of {ELASTIC:.0f} px. Ours also converts the image to float32.
- albumentations: `ThinPlateSpline` moves 3x3 points; `ElasticTransform` blurs noise with its default of 50 px instead,
  and most of what it moves is at the borders (2 px inside).
- Keras: no layer knows weights, here a second channel of the image. `RandomElasticTransform` blurs noise with 14 px,
  draws other noise for the label than for the image, and moves along the diagonal only. Without it, less is done.
- `unet_tf.dataset`: tiles, not triples: image 572x572, label and weight 388x388 of generated cells, weight map
  included, cut at random places, normalised, batched by tf.data, whose threads share the core. One epoch of 32 tiles
  with its start (30 ms), without the end of its iterator, where tf.data often idles for 0.1 s.
"""


def on_image(build: Build, label: NDArray) -> float:
    """Share of pixels that image, label and weight still agree on, where all three were the same picture."""
    run = build(label * np.uint8(255), label, label * np.float32(W0))
    shares = []
    for _ in range(10):
        image, moved, weight = (np.squeeze(part) for part in run())
        shares.append(np.mean((moved == (image > 127)) & (moved == (weight > W0 / 2))))
    return float(np.mean(shares))


def tiles(folder: str, used: list) -> Callable[[], int]:
    """One epoch of `unet_tf.dataset`, 32 tiles of 572 px; nothing runs on after it, and its iterator goes to `used`."""
    from unet_tf.synthetic.write import write_synthetic

    write_synthetic(folder, "cells", {"train": 16, "val": 1}, size=SIDE)
    dataset = unet_tf.dataset(
        folder,
        tile=572,
        batch_size=1,
        border_weight=W0,
        flips=True,
        rotation=ROTATION,
        scale=SCALE,
        elastic=ELASTIC,
        contrast=0,
        brightness=0,
    )

    def run() -> int:
        used.append(iter(dataset))
        return sum(1 for _ in used[-1])

    return run


def compare_augmentation(rounds: int) -> None:
    print(f"## Augmentation of a {SIDE}x{SIDE} triple\n")
    image, instances = unet_tf.generate_cells(SIDE, SIDE, seed=1)
    label = unet_tf.label_from_instances(instances)
    weight = 1 + unet_tf.border_weights(instances, W0, SIGMA)
    runs, agree, missing = {}, {}, []
    for name, (build, _) in AUGMENTATIONS.items():
        try:
            runs[name] = build(image, label, weight)
        except ImportError as error:
            missing.append([name, INSTALL.format(error), *[""] * 4])
        else:
            agree[name] = f"{on_image(build, label):.1%}"
    with tempfile.TemporaryDirectory() as folder:
        epoch = "ours: `unet_tf.dataset`, tiles 572 -> 388"
        runs[epoch] = tiles(folder, used := [])
        count = runs[epoch]()
        seconds = interleave(runs, rounds, tidy=used.clear)
    rates = {name: [(count if name == epoch else 1) / s for s in values] for name, values in seconds.items()}
    best, rows = statistics.median(next(iter(rates.values()))), []
    for name, values in rates.items():
        rate = statistics.median(values)
        ratio = "" if name == epoch else f"{rate / best:.3f}"
        warps = AUGMENTATIONS.get(name, (None, "1"))[1]
        rows.append([name, f"{rate:.1f}", f"{min(values):.1f} - {max(values):.1f}", ratio, warps, agree.get(name, "")])
    header = "", "triples/s/core", "slowest - fastest round", "of ours", "warps", "label on image"
    print_table(header, rows + missing)
    print(NOTES.strip() + "\n")


# Weight map


def discs(side: int, count: int) -> NDArray[np.int32]:
    """That many discs on a jittered grid, some of which touch."""
    rng, across = np.random.default_rng(count), int(np.ceil(np.sqrt(count)))
    pitch, picture = side / across, np.zeros((side, side), np.int32)
    for number in range(count):
        row, column = (np.array(divmod(number, across)) + 0.5 + rng.uniform(-0.12, 0.12, 2)) * pitch
        cv2.circle(picture, (int(column), int(row)), int(0.42 * pitch), number + 1, -1)
    return picture


def lines(side: int, count: int) -> NDArray[np.int32]:
    """That many parallel lines from border to border, at 45 degrees."""
    picture = np.zeros((side, side), np.int32)
    for number, start in enumerate(np.linspace(0, 2 * side, count + 2).astype(int).tolist()[1:-1], start=1):
        cv2.line(picture, (start, 0), (start - 2 * side, 2 * side), number, 2)
    return picture


def scipy_transform(outside: NDArray[np.bool_]) -> NDArray:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(outside)


def cv2_transform(outside: NDArray[np.bool_]) -> NDArray:
    return cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def nearest_two(instances: NDArray, numbers: Sequence[int], transform: Transform) -> Sequence[NDArray]:
    """Distances to the two nearest objects, by one transform of the whole image for each object."""
    first = transform(instances != numbers[0])
    second = np.full_like(first, np.inf)
    for number in numbers[1:]:
        distance = transform(instances != number)
        np.minimum(second, np.maximum(first, distance), out=second)
        np.minimum(first, distance, out=first)
    return first, second


def naive_weights(instances: NDArray, numbers: Sequence[int], transform: Transform) -> NDArray:
    """The paper's formula as it stands."""
    first, second = nearest_two(instances, numbers, transform)
    return W0 * np.exp(-((first + second) ** 2) / (2 * SIGMA**2)) * (instances == 0)


def compare_weights(name: str, instances: NDArray, rounds: int, limit: float) -> list[str]:
    """One row: ours and both naive ones, those that take longer than `limit` from a few objects."""
    numbers = np.unique(instances[instances > 0]).tolist()
    step = len(numbers) // FEW
    few = numbers[step // 2 :: step][:FEW]
    transforms = {"SciPy": scipy_transform, "OpenCV": cv2_transform}
    if importlib.util.find_spec("scipy") is None:
        transforms.pop("SciPy")
    runs = {"ours": lambda: unet_tf.border_weights(instances, W0, SIGMA)}
    for tool, transform in transforms.items():
        runs[tool] = functools.partial(nearest_two, instances, few, transform)
    seconds = {tool: statistics.median(values) for tool, values in interleave(runs, rounds, slot=0.1).items()}
    shown, ratios, difference = {"SciPy": "not installed", "OpenCV": ""}, {"SciPy": "-", "OpenCV": ""}, "-"
    for tool, transform in transforms.items():
        seconds[tool] *= len(numbers) / len(few)
        whole = None
        if seconds[tool] <= limit:
            whole, seconds[tool] = timed(functools.partial(naive_weights, instances, numbers, transform))
        shown[tool] = f"~{seconds[tool]:.0f}" if whole is None else f"{seconds[tool]:.2f}"
        ratios[tool] = f"{'~' if whole is None else ''}{seconds[tool] / seconds['ours']:.0f}"
        if whole is not None and difference == "-":
            difference = f"{np.abs(whole - runs['ours']()).max():.1e} ({tool})"
    name = f"{instances.shape[0]}x{instances.shape[1]}, {len(numbers)} {name}"
    return [name, f"{seconds['ours']:.3f}", *shown.values(), *ratios.values(), difference]


def compare_weight_maps(rounds: int, limit: float) -> None:
    print("## Weight map, `unet_tf.border_weights`\n")
    cases = [("discs", discs(512, count)) for count in (10, 100, 1000, 5000)]
    cases += [("discs", discs(2048, count)) for count in (1000, 5000)]
    cases += [("lines from border to border", lines(1024, 200))]
    rows = [compare_weights(name, instances, rounds, limit) for name, instances in cases]
    header = "", "ours, s", "naive SciPy, s", "naive OpenCV, s", "SciPy/ours", "OpenCV/ours", "largest difference"
    print_table(header, rows)
    print_text(
        "Naive: one distance transform of the whole image for each object, by SciPy's `distance_transform_edt` or "
        "OpenCV's `distanceTransform` (precise), keeping the two smallest, faster than sorting all. "
        f"~: would take over {limit:.0f} s, told from {FEW} objects all over the image; else one run. Difference: "
        f"from the naive map named, of weights up to {W0:.0f}; ours leaves weights below 1e-6 out."
    )
    child = subprocess.run([sys.executable, __file__, "--peak-memory"], capture_output=True, text=True, check=True)
    print_text(f"Memory, 2048x2048 with 5000 discs, in a process of its own: {child.stdout.strip()}.")


def peak_memory() -> str:
    """Memory peak of this process before and after one weight map; ru_maxrss would count the parent's too."""

    def peak() -> float:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) / 1024 if found else float("nan")

    instances = discs(2048, 5000)
    unet_tf.border_weights(instances[:64, :64], W0, SIGMA)  # imports
    before = peak()
    unet_tf.border_weights(instances, W0, SIGMA)
    return f"peak {peak():.0f} MiB, {before:.0f} MiB of them before the call ({instances.nbytes >> 20} MiB object ids)"


# Masks


def compare_palette(rounds: int) -> None:
    print("## RGB mask to label, 480x360 px, 11 colours\n")
    rng = np.random.default_rng(0)
    colours = np.unique(rng.integers(0, 256, (64, 3)), axis=0)[:: 64 // 11][:11].astype(np.uint8)
    seeds = np.ones((360, 480), np.uint8)
    seeds[rng.integers(0, 360, 60), rng.integers(0, 480, 60)] = 0
    regions = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)[1]
    mask = colours[regions % 11]

    def naive() -> NDArray[np.uint8]:
        label = np.full(mask.shape[:2], 255, np.uint8)
        for number, colour in enumerate(colours):
            label[np.all(mask == colour, -1)] = number
        return label

    masks = unet_tf.MaskFormat("palette", 11, colours=tuple(map(tuple, colours.tolist())))
    same, first = timed(lambda: masks.label(mask))
    assert (same == naive()).all(), "both read the same labels"
    seconds = interleave(
        {"ours: `MaskFormat.label`": lambda: masks.label(mask), "naive: a loop of `np.all`": naive}, rounds
    )
    best = statistics.median(next(iter(seconds.values())))
    rows = []
    for name, values in seconds.items():
        middle, low, high = (1e3 * figure(values) for figure in (statistics.median, min, max))
        rows.append([name, f"{middle:.2f}", f"{low:.2f} - {high:.2f}", f"{middle / best / 1e3:.1f}"])
    print_table(("", "ms", "fastest - slowest round", "of ours"), rows)
    print_text(
        f"Equal labels. The first call of a palette builds its table and takes {1e3 * first:.0f} ms. Ours also refuses "
        "colours of no class; the loop leaves them void."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="Example: python benchmarks/pipeline.py weights masks --rounds 3"
    )
    parts = "augmentation", "weights", "masks"
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contestant (default: 7)")
    parser.add_argument("--naive-seconds", type=float, default=45, help="longest naive weight map (default: 45)")
    parser.add_argument("--peak-memory", action="store_true", help="print the memory line only")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"a part is one of {', '.join(parts)}; received {', '.join(sorted(unknown))}")
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    cv2.setNumThreads(1)
    if arguments.peak_memory:
        print(peak_memory())
        return
    print_machine(core, arguments.rounds)
    chosen = arguments.parts or parts
    if "augmentation" in chosen:
        compare_augmentation(arguments.rounds)
    if "weights" in chosen:
        compare_weight_maps(arguments.rounds, arguments.naive_seconds)
    if "masks" in chosen:
        compare_palette(arguments.rounds)
    print(f"While it was timed, the process had {spent['core'] / spent['clock']:.0%} of its core.")


if __name__ == "__main__":
    main()
