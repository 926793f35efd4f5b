"""What is in a data folder, what would stop training, and what deserves a look: the facts behind `unet-tf check`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.config import TrainConfig, changed
from unet_tf.data.drawing import drawn_channels
from unet_tf.data.fingerprint import measure_normalisation
from unet_tf.data.folder import Pair, alike, some
from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import doubt_of_tables, recognise
from unet_tf.data.mask_looks import MaskLook, looks_of_two
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import find_palette, suggest_palette
from unet_tf.data.pictures import TIFF, open_pictures
from unet_tf.data.samples import check_alike
from unet_tf.data.splits import parts_of, split
from unet_tf.data.unknown_values import UnknownValues, take_nearest
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.pages.words import many
from unet_tf.planning.channel_facts import channel_facts
from unet_tf.planning.checks import check_classes, check_tile, check_unseen, nodata_of_some, validation_lacks
from unet_tf.planning.copies import copy_warnings
from unet_tf.planning.findings import Findings, SplitFacts
from unet_tf.planning.inspection import BENDING, COPIED, LEFT_OUT, SEEN_THROUGH, Case, Look, look_at
from unet_tf.planning.object_ids import doubt_of_ids
from unet_tf.planning.plan import plan_sizes
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead, cores

SHOWN = 24
"""Overlays on the contact sheet."""
COMPARED = 10_000
"""Images up to which all are compared with all, which takes half a minute then."""
SATURATED, ONE_CLASS = 0.1, 0.999
"""Shares of an image's pixels at its highest value, and of a mask's pixels in one class, that deserve a look."""
SCALES = 10.0
"""Ratio between standard deviations of two images from which one normalisation hardly serves both."""


def check(
    data: str | Path,
    config: TrainConfig | None = None,
    *,
    on_file: Progress = unseen,
    **overrides: Any,
) -> Findings:
    """Read every pair of a data folder and list all that is wrong, instead of stopping at the first.

    Args:
        data: folder of images and masks: `images/` and `masks/` of equal names, `train/`, `val/`, `test/` of them, or
            lists `train.txt`.
        config: settings; those that say what masks mean, how to split and which tile count.
        on_file: called with (pairs read, pairs in all) after each.
        **overrides: single settings, fields of `TrainConfig`.

    Returns:
        The facts, the problems, and what else deserves a look.

    Raises:
        InputError: there is no such folder, or a setting is wrong.

    Example:
        >>> import tempfile
        >>> from unet_tf.synthetic.write import write_synthetic
        >>> check(write_synthetic(tempfile.mkdtemp(), "cells", {"train": 2, "val": 1}, size=64)).problems
        []
    """
    config = changed(config, overrides)
    findings = Findings(Path(data))
    named = find_named(findings.data, config.naming, config.source)
    findings.problems += named.problems
    findings.notes += named.notes
    findings.rules = named.rules
    findings.drawn = "val" not in named.splits
    splits = _split(findings, named.splits, config)
    pairs = list(dict.fromkeys(pair for some_pairs in splits.values() for pair in some_pairs))
    palette = None
    if pairs:
        try:
            palette = find_palette(findings.data)
            findings.masks, findings.classes, findings.why, _ = recognise(pairs, config.mask_settings, palette)
        except InputError as error:
            findings.problems.append(str(error))
    if not (compared := len(pairs) <= COMPARED):
        findings.warnings.append(
            f"Nearly equal images are looked for among {COMPARED} at most; here are {len(pairs)}: only equal ones were."
        )
    wanted = set(np.linspace(0, len(pairs) - 1, SHOWN).astype(int)) if pairs else set()
    looks: dict[Pair, Look] = {}
    for seen in ahead(lambda n: look_at(pairs[n], findings.masks, n in wanted, compared), range(len(pairs)), cores()):
        looks[pairs[len(looks)]] = seen
        on_file(len(looks), len(pairs))
        look()
    if findings.drawn and findings.masks is not None and "val" in splits:  # as training does: by what the pairs hold
        known = {pair: seen.fingerprint for pair, seen in looks.items() if seen.fingerprint is not None}
        holds = {pair: one.pixels_by_class for pair, one in known.items()}
        splits = _split(findings, named.splits, config, holds)
    cases = [Case(name, pair, looks[pair]) for name, some_pairs in splits.items() for pair in some_pairs]
    usable = [case for case in cases if case.look.fingerprint is not None]
    _gather(findings, splits, usable)
    findings.channels = channel_facts([case for case in usable if case.split == "train"], config.source)
    findings.shown = drawn_channels(len(findings.channels) or 1)
    _group_problems(findings, [case for case in cases if case.look.error is not None])
    if findings.masks is None and palette is None:
        colours: Counter[int] = Counter()
        for case in usable:
            colours.update(case.look.colours)
        findings.palette = suggest_palette(colours)
    _try_training(findings, usable, config)
    _warn_of_images(findings, usable)
    _warn_of_values(findings, usable)
    if (val := findings.splits.get("val")) is not None and val.pairs and findings.masks is not None:
        learnt = findings.splits["train"].class_pixels > 0  # a class that training lacks is a problem
        names = [name for name, there in zip(findings.classes, learnt, strict=True) if there]
        findings.warnings += filter(None, [validation_lacks(val.class_pixels[learnt], names)])
    findings.warnings += copy_warnings(cases, findings.drawn)
    return findings


def _split(
    findings: Findings,
    named: dict[str, list[Pair]],
    config: TrainConfig,
    holds: Mapping[Pair, Collection[int]] | None = None,
) -> dict[str, list[Pair]]:
    """The splits that training would use, as far as they can be told; what is wrong goes to the problems."""
    try:
        parts_of(named.get("train", named.get("", [])), config.group)
        return split(named, config.val_share, config.split_seed, config.group, config.fold, holds)
    except InputError as error:
        if any(named.values()):
            findings.problems.append(str(error))
        return {name or "train": pairs for name, pairs in named.items()}


def _gather(findings: Findings, splits: dict[str, list[Pair]], usable: list[Case]) -> None:
    """Count what each split holds."""
    number = 0 if findings.masks is None else findings.masks.num_classes
    for name, pairs in ({"train": list[Pair]()} | splits).items():
        if pairs or name == "train":
            findings.splits[name] = SplitFacts(class_pixels=np.zeros(number, np.int64))
    for case in usable:
        facts, known = findings.splits[case.split], case.known
        facts.pairs += 1
        facts.sizes[known.shape] += 1
        kind = {1: "grey", 3: "colour"}.get(known.channels, f"{known.channels} channels")
        facts.kinds[f"{known.dtype} {kind}"] += 1
        facts.class_pixels += known.class_pixels
        facts.void += case.look.void + case.look.unmeasured
        facts.objects += case.look.objects
        if case.look.picture is not None:
            findings.overlays.append((case.name, case.look.picture))


def _group_problems(findings: Findings, broken: list[Case]) -> None:
    """Add one problem for all files that share it, and one for all mask values that no class has."""
    unknown: list[tuple[str, UnknownValues]] = []
    others: list[InputError] = []
    for case in broken:
        error = case.look.error
        if isinstance(error, UnknownValues):
            unknown.append((case.name, error))
        elif error is not None:
            others.append(error)
    findings.problems += alike(others)
    if unknown:
        findings.problems.append(_unknown_values(findings, unknown))


def _unknown_values(findings: Findings, unknown: list[tuple[str, UnknownValues]]) -> str:
    """Say which values of no class masks hold, how many pixels, where, and what may be done."""
    pixels: Counter[Any] = Counter()
    holders = defaultdict(list)
    for name, error in unknown:
        for stranger in error.strangers:
            pixels[stranger.value] += stranger.pixels
            holders[stranger.value].append(name)
    listed = [
        f"{value} in {many(count, 'pixel')} of {many(len(holders[value]), 'mask')} ({some(holders[value], 3)})"
        for value, count in pixels.most_common(8)
    ]
    more = f", and {len(pixels) - 8} more values" if len(pixels) > 8 else ""
    said = f"Masks hold values that no class has: {'; '.join(listed)}{more}."
    masks = findings.masks
    seen = set(np.flatnonzero(sum(facts.class_pixels for facts in findings.splits.values())).tolist())
    of_each = [{number for number in error.known if masks and number < masks.num_classes} for _, error in unknown]
    seen = seen.union(*of_each)
    if masks is None or not masks.ids:
        fewest = min(of_each, key=len)  # one mask alone may be of ids
        return f"{said} {take_nearest([stranger for _, error in unknown for stranger in error.strangers], fewest)}"
    said += f" If they are class ids: --classes {len(seen) + len(pixels)}."
    if len(seen) == masks.num_classes and len(pixels) <= 8 and not masks.void:
        said += f" To ignore them: {' '.join(f'--void {value}' for value in sorted(pixels))}."
    return said


def _try_training(findings: Findings, usable: list[Case], config: TrainConfig) -> None:
    """Add what training itself would refuse about the files that can be read."""
    seen = {name: [(case.pair, case.known) for case in usable if case.split == name] for name in findings.splits}
    seen = {name: some_seen for name, some_seen in seen.items() if some_seen}
    if "train" not in seen:
        return
    train = seen["train"]
    findings.warnings += nodata_of_some(train, [one for some_seen in seen.values() for one in some_seen])

    def try_sizes() -> None:
        sizes = plan_sizes(config, [known.shape for _, known in train], 0.0)
        findings.tile = sizes.tile.value
        check_tile(train, sizes.geometry, sizes.tile.value)

    def try_normalisation() -> None:
        check_alike(train)
        measure_normalisation([known for _, known in train])

    trials: list[Callable[[], Any]] = [try_sizes, try_normalisation]
    pool = train + seen.get("val", []) if findings.drawn else train  # all in colour may be held out
    trials += [partial(check_alike, one, None if name == "train" else pool) for name, one in seen.items()]
    if findings.masks is not None:
        trials.append(lambda: _check_classes(findings))
    if (masks := findings.masks) is not None and masks.kind == "index":
        _look_at_tables(findings, masks, [case.look.mask for case in usable if case.look.mask is not None])
    if masks is not None and masks.kind == "instance":
        for name in seen:
            cases = [case for case in usable if case.split == name]
            trials.append(partial(_look_at_ids, findings, masks, name, cases))
    trials.append(lambda: check_unseen(seen))
    for trial in trials:
        try:
            trial()
        except InputError as error:
            if str(error) not in findings.problems:
                findings.problems.append(str(error))


def _look_at_tables(findings: Findings, masks: MaskFormat, looks: Sequence[MaskLook]) -> None:
    """Warn where colour tables or bits contradict each other, and suggest a list of the colours of tables."""
    palette = find_palette(findings.data)
    words = doubt_of_tables(looks, masks, palette)
    if not words:
        return
    findings.warnings.append(words)
    colours: Counter[int] = Counter()
    for seen in looks if palette is None else ():
        for number, (red, green, blue) in seen.table.items():
            colours[red << 16 | green << 8 | blue] += seen.ids[number]
    findings.palette = suggest_palette(colours)


def _look_at_ids(findings: Findings, masks: MaskFormat, split: str, cases: Sequence[Case]) -> None:
    """Warn where masks may hold no object ids; raise InputError where training refuses them."""
    try:
        words = doubt_of_ids([case.look.ids for case in cases])
    except InputError as error:
        if split == "train":
            raise
        if VOID in masks.void or not looks_of_two([case.pair for case in cases], False):
            return  # of another value they may be objects in pieces
        why, _, _ = str(error).partition(". ")
        findings.warnings.append(f"{split}: {why}. They are judged as such, without objects.")
    else:
        if words and split == "train":  # a few files may all hold one object
            findings.warnings.append(words)


def _check_classes(findings: Findings) -> None:
    """Raise InputError as training does where a class has no pixels; of ids with gaps, say how they are taken."""
    try:
        drawn = findings.splits["val"].class_pixels if findings.drawn and "val" in findings.splits else None
        check_classes(findings.splits["train"].class_pixels, findings.classes, drawn)
    except InputError as error:
        present = np.count_nonzero(sum(facts.class_pixels for facts in findings.splits.values()))
        if findings.masks is None or findings.masks.kind != "index" or not 1 < present < len(findings.classes):
            raise
        raise InputError(f"{error} If the ids have gaps, say how many there are: --classes {present}.") from error


def _warn_of_images(findings: Findings, usable: list[Case]) -> None:
    """Warn of images that hold nothing, are clipped or of another scale than the others, and of masks of one class."""
    varied = [case for case in usable if case.spread > 0]
    middle = float(np.median([case.spread for case in varied])) if varied else 0.0
    marked = [case for case in usable if case.known.class_pixels.size]
    _warn(findings, [case for case in usable if case.spread == 0], "of one value all over")
    _warn(findings, [case for case in usable if case.look.copied], COPIED)
    _warn(
        findings, [case for case in varied if case.look.saturated > SATURATED],
        f"with more than {SATURATED:.0%} of the pixels at the highest value: saturated or clipped",
    )  # fmt: skip
    _warn(
        findings, [case for case in varied if not middle / SCALES < case.spread < middle * SCALES],
        f"whose contrast is more than {SCALES:.0f} times that of the median image, or less than a "
        f"{SCALES:.0f}th: one normalisation serves all images, so rescale them alike",
    )  # fmt: skip
    _warn(findings, [case for case in marked if not case.known.class_pixels.any()], "whose mask is void all over")
    _warn(
        findings, [c for c in marked if c.known.class_pixels.max() > ONE_CLASS * c.known.class_pixels.sum()],
        f"whose mask is of one class in more than {ONE_CLASS:.1%} of its pixels",
    )  # fmt: skip


def _warn_of_values(findings: Findings, usable: list[Case]) -> None:
    """Warn of values that stand for no measurement, and of those that look as if they did."""
    values = sorted({value for case in usable for value in case.known.nodata})
    _warn(
        findings, [case for case in usable if case.look.unmeasured],
        f"with pixels that hold no measurement ({', '.join(f'{value:g}' for value in values)}), which are void and no "
        "part of the normalisation",
    )  # fmt: skip
    _warn(
        findings, [case for case in usable if not case.known.nodata and _is_noted(case)],
        "whose nodata value stands in a file NAME.aux.xml beside it, which is not read here, so that it counts as a "
        "measurement, though not in maps; name it in the file itself (gdal_edit.py -a_nodata VALUE NAME.tif)",
    )  # fmt: skip
    _warn(
        findings, [case for case in usable if case.look.partly],
        "of colour with pixels of which some channels alone hold the value that their file names as nodata, and which "
        "become the mean there; if it is a colour as others, take the name away (gdal_edit.py -unsetnodata), and say "
        "where nothing was measured by a value that no other pixel has",
        lambda case: f" ({many(case.look.partly, 'pixel')})",
    )  # fmt: skip
    _warn(
        findings, [case for case in usable if case.look.turned],
        "turned as the file says (orientation of EXIF or TIFF), and its mask not, which must have been drawn on the "
        "picture as it is shown",
    )  # fmt: skip
    if not all(white := [case.look.white_is_zero for case in usable]):
        _warn(
            findings, [case for case, is_white in zip(usable, white, strict=True) if is_white],
            'whose TIFF file says that "white is zero", beside others that do not; numbers are read as they are '
            "stored, so if other programs show all alike, these are negatives: save them alike",
        )  # fmt: skip
    _warn(findings, [case for case in usable if case.look.alpha], LEFT_OUT)
    _warn(findings, [case for case in usable if case.look.mask_alpha], SEEN_THROUGH)
    counted = sorted({value for case in usable for value in case.look.counted})
    _warn(
        findings, [case for case in usable if case.look.counted],
        f"whose mask's file names {', '.join(f'{value:g}' for value in counted)} as nodata (GDAL's tag 42113), and "
        "which counts as the class that it is here; to ignore it, name it with --void",
    )  # fmt: skip
    _warn(
        findings, [case for case in usable if case.look.outliers], BENDING,
        lambda case: f" ({', '.join(map(str, case.look.outliers))})",
    )  # fmt: skip


def _is_noted(case: Case) -> bool:
    """Whether pixels hold a nodata value that GDAL keeps in its notes beside a TIFF file, which names none itself."""
    for file in case.pair.files:
        with suppress(OSError, ValueError):
            notes = file.with_name(f"{file.name}.aux.xml").read_bytes() if file.suffix.lower() in TIFF else b""
            values = {float(value) for value in re.findall(rb"<NoDataValue[^>]*>([^<]+)", notes)}
            if values & {*case.known.ends} and not open_pictures(file).nodata_ids:
                return True
    return False


def _warn(
    findings: Findings, cases: Sequence[Case], what: str, detail: Callable[[Case], str] = lambda case: ""
) -> None:
    if cases:
        findings.warnings.append(
            f"{many(len(cases), 'image')} {what}: {some((case.name + detail(case) for case in cases), 8)}."
        )
