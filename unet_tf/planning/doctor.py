"""What is in a data folder, what would stop training, and what deserves a look: the facts behind `unet-tf check`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.config import TrainConfig, config_changes
from unet_tf.data.folder import Pair, find_named, some
from unet_tf.data.mask_kind import recognise
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import Palette, find_palette
from unet_tf.data.samples import Samples, check_alike
from unet_tf.data.splits import split
from unet_tf.data.weight_map import Weighting, class_balance
from unet_tf.errors import InputError
from unet_tf.planning.inspection import Look, look_at, near_copies
from unet_tf.planning.plan import Plan, plan_sizes
from unet_tf.planning.prepare import check_classes, check_tile, check_unseen
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.threads import ahead, cores

SHOWN = 24
"""Overlays on the contact sheet."""
COMPARED = 10_000
"""Images up to which all are compared with all, which takes half a minute then."""
MOST_COLOURS, BLURRED = 64, 48
"""Classes of a suggested palette, and how far in a channel JPEG and soft edges carry a colour."""
SATURATED, ONE_CLASS = 0.1, 0.999
"""Shares of an image's pixels at its highest value, and of a mask's pixels in one class, that deserve a look."""
SCALES = 10.0
"""Ratio between standard deviations of two images from which one normalisation hardly serves both."""


@dataclass
class SplitFacts:
    """What one split holds.

    Attributes:
        pairs: number of pairs that can be read.
        sizes: (height, width) -> number of images.
        kinds: such as "uint8 grey" -> number of images.
        class_pixels: (num_classes,) pixels of each class; empty where the masks are not understood.
        objects: number of objects in instance masks.
    """

    pairs: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    class_pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    objects: int = 0


@dataclass
class Findings:
    """What `check` found.

    Attributes:
        data: the folder.
        masks: how the masks say the classes; None where that cannot be told.
        classes: names of the classes.
        why: what shows it, in words.
        splits: facts of "train", "val" and, where there is one, "test", as training would split.
        problems: what would stop training, one text each; empty if nothing.
        warnings: what deserves a look, one text each.
        palette: a first `label_colors.txt`, where masks are colour-coded and there is none.
        tile: suggested input size of a training tile, pixels; None where no tile fits.
        overlays: name and (h, w, 3) RGB picture of some pairs.
        drawn: whether the validation files were drawn at random.
    """

    data: Path
    masks: MaskFormat | None = None
    classes: tuple[str, ...] = ()
    why: str = ""
    splits: dict[str, SplitFacts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    palette: Palette | None = None
    tile: int | None = None
    overlays: list[tuple[str, NDArray[np.uint8]]] = field(default_factory=list)
    drawn: bool = False

    @property
    def class_weights(self) -> NDArray[np.float64]:
        """Suggested weight of each class, from the training files (`unet_tf.class_balance`)."""
        return class_balance(self.splits["train"].class_pixels)

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures as JSON types."""
        weights = self.class_weights if "train" in self.splits else ()
        return {
            "data": str(self.data),
            "masks": None if self.masks is None else self.masks.kind,
            "why": self.why,
            "classes": list(self.classes),
            "class_weights": dict(zip(self.classes, map(float, weights), strict=False)),
            "tile": self.tile,
            "palette": self.palette and [[*c, n] for n, c in zip(*self.palette, strict=True)],
            "splits": {
                name: {
                    "pairs": facts.pairs,
                    "sizes": {f"{h}x{w}": count for (h, w), count in facts.sizes.items()},
                    "kinds": dict(facts.kinds),
                    "class_pixels": dict(zip(self.classes, facts.class_pixels.tolist(), strict=False)),
                    "objects": facts.objects,
                }
                for name, facts in self.splits.items()
            },
            "problems": self.problems,
            "warnings": self.warnings,
        }


def check(
    data: str | Path,
    config: TrainConfig | None = None,
    *,
    on_file: Progress = unseen,
    **overrides: Any,
) -> Findings:
    """Read every pair of a data folder and list all that is wrong, instead of stopping at the first.

    Args:
        data: folder as for `unet_tf.train`.
        config: settings as for `unet_tf.train`: those that say what masks mean and how to split count.
        on_file: called with (pairs read, pairs in all) after each.
        **overrides: single settings, fields of `TrainConfig`.

    Returns:
        The facts, the problems, and what else deserves a look.

    Raises:
        InputError: there is no such folder, or a setting is wrong.

    Example:
        >>> check("cells").problems  # doctest: +SKIP
        []
    """
    config = replace(config or TrainConfig(), **config_changes(overrides))
    findings = Findings(Path(data))
    splits = _split(findings, config)
    pairs = [pair for name in splits for pair in splits[name]]
    palette = None
    if pairs:
        try:
            palette = find_palette(findings.data)
            findings.masks, findings.classes, findings.why = recognise(pairs, config.mask_settings, palette)
        except InputError as error:
            findings.problems.append(str(error))
    masks = findings.masks
    compared = len(pairs) <= COMPARED
    if not compared:
        findings.warnings.append(
            f"Nearly equal images are looked for among {COMPARED} at most; here are {len(pairs)}: only equal ones were."
        )
    wanted = set(np.linspace(0, len(pairs) - 1, SHOWN).astype(int)) if pairs else set()
    looks = []
    for number, look in enumerate(
        ahead(lambda n: look_at(pairs[n], masks, n in wanted, compared), range(len(pairs)), cores()), start=1
    ):
        looks.append(look)
        on_file(number, len(pairs))
    _gather(findings, splits, looks)
    _group_problems(findings, pairs, looks)
    if masks is None and palette is None:
        _suggest_palette(findings, looks)
    _try_training(findings, splits, looks, config)
    _warn_of_images(findings, pairs, looks)
    _warn_of_masks(findings, pairs, looks)
    _warn_of_copies(findings, splits, looks)
    return findings


def _split(findings: Findings, config: TrainConfig) -> dict[str, list[Pair]]:
    """The splits that training would use, as far as they can be told; what is wrong goes to the problems."""
    named, problems = find_named(findings.data)
    findings.problems += problems
    findings.drawn = "val" not in named
    try:
        return split(named, config.val_share, config.split_seed, config.group, config.fold)
    except InputError as error:
        if any(named.values()):
            findings.problems.append(str(error))
        return {name or "train": pairs for name, pairs in named.items()}


def _gather(findings: Findings, splits: dict[str, list[Pair]], looks: list[Look]) -> None:
    """Count what each split holds."""
    number = 0 if findings.masks is None else findings.masks.num_classes
    rest = iter(looks)
    for name, pairs in splits.items():
        facts = SplitFacts(class_pixels=np.zeros(number, np.int64))
        for _, look in zip(pairs, rest, strict=False):
            if look.fingerprint is None or look.problem:
                continue
            facts.pairs += 1
            facts.sizes[look.fingerprint.shape] += 1
            facts.kinds[f"{look.fingerprint.dtype} {'grey' if look.fingerprint.channels == 1 else 'colour'}"] += 1
            facts.class_pixels += look.fingerprint.class_pixels
            facts.objects += look.objects
        if pairs or name == "train":
            findings.splits[name] = facts
    for look, pair in zip(looks, [pair for pairs in splits.values() for pair in pairs], strict=True):
        if look.picture is not None:
            findings.overlays.append((pair.name, look.picture))


def _group_problems(findings: Findings, pairs: Sequence[Pair], looks: list[Look]) -> None:
    """One problem for all files that share it; one for all mask values that no class has."""
    files = defaultdict(list)
    pixels: Counter[tuple[Any, int]] = Counter()
    with_value = defaultdict(list)
    for pair, look in zip(pairs, looks, strict=True):
        if not look.problem:
            continue
        if not look.strangers:
            files[look.problem].append(str(look.file))
        for stranger in look.strangers:
            pixels[stranger.value, stranger.nearest] += stranger.pixels
            with_value[stranger.value, stranger.nearest].append(pair.name)
    for problem, names in files.items():
        whose = names[0] if len(names) == 1 else f"{len(names)} files ({some(names, 5)})"
        findings.problems.append(problem.replace("{}", whose))
    if pixels:
        listed = [
            f"{key[0]} in {count} pixels of {len(with_value[key])} masks ({some(with_value[key], 3)})"
            for key, count in pixels.most_common(8)
        ]
        more = f", and {len(pixels) - 8} more values" if len(pixels) > 8 else ""
        farthest = max(stranger.distance for look in looks for stranger in look.strangers)
        nearest = (
            f", or take the nearest class; the farthest is {farthest:.0f} away: --mask-tolerance {math.ceil(farthest)}"
        )
        if findings.masks and findings.masks.ids:
            nearest = ""  # ids that are near each other mean nothing
        findings.problems.append(
            f"Masks hold values that no class has: {'; '.join(listed)}{more}. Say what they are (--classes, --void, "
            f"label_colors.txt){nearest}."
        )


def _suggest_palette(findings: Findings, looks: list[Look]) -> None:
    """A first `label_colors.txt` from the colours that masks hold most; near ones (JPEG, soft edges) count as one."""
    pixels: Counter[int] = Counter()
    for look in looks:
        pixels.update(look.colours)
    total, colours = pixels.total(), np.zeros((0, 3), int)
    ranked = [(code, count) for code, count in pixels.most_common() if count > 1e-4 * total]
    apart = 0 if len(ranked) <= MOST_COLOURS and sum(count for _, count in ranked) > 0.999 * total else BLURRED
    for code, _ in ranked:
        colour = np.array((code >> 16, code >> 8 & 255, code & 255))
        if len(colours) < MOST_COLOURS and (np.abs(colours - colour).max(1, initial=0) > apart).all():
            colours = np.vstack([colours, colour])
    if len(colours) > 1 and (colours != colours[:, :1]).any():
        names = tuple(f"class{number}" for number in range(len(colours)))
        findings.palette = Palette(names, tuple(map(tuple, colours.tolist())))


def _try_training(findings: Findings, splits: dict[str, list[Pair]], looks: list[Look], config: TrainConfig) -> None:
    """Add what training itself would refuse about the files that can be read."""
    rest = iter(looks)
    usable: dict[str, Samples] = {}
    for name, pairs in splits.items():
        good = [
            (p, k.fingerprint) for p, k in zip(pairs, rest, strict=False) if k.fingerprint is not None and not k.problem
        ]
        if good:
            facts = [one for _, one in good]
            usable[name] = Samples([p for p, _ in good], facts, Weighting(), "none", lambda n: None)  # type: ignore[arg-type, return-value]
    train = usable.get("train")
    if train is None:
        return
    plan = Plan(config)
    trials: list[Callable[[], None]] = [
        lambda: plan_sizes(plan, train.shapes, 0.0),
        lambda: check_tile(train, plan.config.geometry, plan.config.tile or 0),
    ]
    for samples in usable.values():
        trials.append(partial(check_alike, samples.pairs, samples.fingerprints, None if samples is train else train))
    if findings.masks is not None:
        trials.append(lambda: check_classes(train, findings.classes))
    if "val" in usable:
        trials.append(lambda: check_unseen(usable))
    for trial in trials:
        try:
            trial()
        except InputError as error:
            if str(error) not in findings.problems:
                findings.problems.append(str(error))
    findings.tile = plan.config.tile


def _warn_of_images(findings: Findings, pairs: Sequence[Pair], looks: list[Look]) -> None:
    """Images that hold nothing, are clipped, or of another scale than the others."""
    known = [(pair, look) for pair, look in zip(pairs, looks, strict=True) if look.fingerprint is not None]
    spread = {pair.name: float(np.sqrt(look.fingerprint.variance.max())) for pair, look in known if look.fingerprint}
    constant = [name for name, deviation in spread.items() if deviation == 0]
    saturated = [pair.name for pair, look in known if look.saturated > SATURATED and spread[pair.name] > 0]
    _warn(findings, constant, "of one value all over")
    _warn(
        findings, saturated, f"with more than {SATURATED:.0%} of the pixels at the highest value: saturated or clipped"
    )
    deviations = {name: deviation for name, deviation in spread.items() if deviation > 0}
    if deviations:
        middle = float(np.median(list(deviations.values())))
        far = [name for name, d in deviations.items() if not middle / SCALES < d < middle * SCALES]
        _warn(
            findings, far, f"whose contrast is more than {SCALES:.0f} times that of the median image, or less than a "
            f"{SCALES:.0f}th: one normalisation serves all images, so rescale them alike",
        )  # fmt: skip


def _warn_of_masks(findings: Findings, pairs: Sequence[Pair], looks: list[Look]) -> None:
    """Masks of void alone, or of hardly more than one class."""
    void, single = [], []
    for pair, look in zip(pairs, looks, strict=True):
        if look.fingerprint is None or look.problem or not look.fingerprint.class_pixels.size:
            continue
        known = look.fingerprint.class_pixels.sum()
        if known == 0:
            void.append(pair.name)
        elif look.fingerprint.class_pixels.max() > ONE_CLASS * known:
            single.append(pair.name)
    _warn(findings, void, "whose mask is void all over")
    _warn(findings, single, f"whose mask is of one class in more than {ONE_CLASS:.1%} of its pixels")


def _warn(findings: Findings, names: Sequence[str], what: str) -> None:
    if names:
        findings.warnings.append(f"{len(names)} {'image' if len(names) == 1 else 'images'} {what}: {some(names, 8)}.")


def _warn_of_copies(findings: Findings, splits: dict[str, list[Pair]], looks: list[Look]) -> None:
    """The same image twice: by its pixels, or nearly, turned or mirrored too. Between splits that is a leak."""
    of = [name for name, pairs in splits.items() for _ in pairs]
    names = [f"{name}/{pair.name}" for name, pairs in splits.items() for pair in pairs]
    first: dict[str, int] = {}
    same: set[tuple[int, int]] = set()
    for number, look in enumerate(looks):
        if look.fingerprint is not None and first.setdefault(look.fingerprint.sha256, number) != number:
            same.add((first[look.fingerprint.sha256], number))
    near = near_copies(looks, of) - same
    for found, what in ((same, "the same image"), (near, "nearly the same image")):
        for leak in (True, False):
            listed = [f"{names[a]} = {names[b]}" for a, b in sorted(found) if (of[a] != of[b]) == leak]
            if listed:
                where = "in two splits, so that scores flatter the net" if leak else "twice in a split"
                remedy = " Keep related images together with --group." if leak and findings.drawn else ""
                times = "once" if len(listed) == 1 else f"{len(listed)} times"
                findings.warnings.append(f"{times} {what} {where}: {some(listed, 5)}.{remedy}")
