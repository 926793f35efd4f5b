"""How the masks of labelled files are read where nets are judged: by the names of the classes, in any coding."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unet_tf.data.folder import Pair
from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import HIGHS, MaskSettings, Recognition, have_gaps, recognise
from unet_tf.data.mask_looks import MaskLook, look_at_masks, looks_of_two
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import Palette, find_palette
from unet_tf.errors import InputError
from unet_tf.evaluation.mask_kinds import check_order, doubt_of_colours, in_words, renumbered
from unet_tf.evaluation.subject import Net, Subject
from unet_tf.labels import VOID
from unet_tf.planning.object_ids import doubt_of_ids, id_facts

log = logging.getLogger("unet_tf")


def truth_of(first: Subject, others: Sequence[Subject], pairs: Sequence[Pair], data: Path) -> MaskFormat:
    """Tell how the masks of some files are read, so that they give the ids of the classes of who is judged.

    Masks that name their classes, by a `label_colors.txt` or by what a person says, are read by these names. Others are
    read as one of the nets reads its own, where they hold its values, else by what they tell by themselves.

    Args:
        first: whose ids they are to give.
        others: who is judged on the same files; does not change what the masks mean.
        pairs: the files.
        data: their folder.

    Raises:
        InputError: their classes are not those of the nets, or two nets read them differently.
    """
    if not isinstance(first, Net) or not pairs:
        return first.masks
    wanted, nets = first.real_classes, [first, *(one for one in others if isinstance(one, Net))]
    own = next((one for one in nets if one.trained_on == data.resolve()), None)
    if own is not None and first.said in (None, own.real_classes, own.classes):
        return _reading(own, first, pairs)
    palette = find_palette(data)
    as_learnt = palette is None and first.masks.ids and first.said in (wanted, first.classes)
    if as_learnt and _fits(first, pairs) and (first.masks.kind != "instance" or _are_a_few_objects(first, pairs)):
        nets, found = [first], None  # ids may lack one: alone they would tell otherwise
    else:
        found = _recognised(first, pairs, palette)
    are_named = found is not None and (palette is not None or first.said is not None)
    if not are_named and (fitting := [one for one in nets if _fits(one, pairs)]):
        _check_agreed(fitting, data)
        if fitting[0].masks.kind == "index":
            _look_at_tables(fitting[0], pairs)
        return _reading(fitting[0], first, pairs)
    if found is None:
        if first.masks.tolerance:
            raise InputError(
                f"A tolerance takes values for those near them in the training masks, {in_words(first.masks, wanted)}; "
                f"the masks of {data} are of another kind, so that it would make one class of them. Write them as "
                "those that the net was trained on.",
                data,
            )
        return first.masks  # who reads them says what is wrong
    if first.said is None and first.masks.kind == "index" and found.masks.values == (0, VOID) and len(wanted) == 2:
        log.warning(
            f"The masks of {data} hold 0 and 255 alone, so that 255 is {wanted[1]} here, and not void as beside the "
            "ids that the net was trained on. To ignore it: --void 255."
        )
        found = found._replace(classes=wanted)
    if not set(found.classes) <= set(wanted):
        same = len(found.classes) == len(wanted)
        raise InputError(
            f"Masks must have the classes of the net by name: {data} has {', '.join(found.classes)}, and {first.path} "
            f"has {', '.join(wanted)}. Where they mean the same, call them so, in the order of the data: "
            f"--classes {shlex.quote(','.join(wanted)) if same else 'A,B,..'}.",
            data,
        )
    if found.doubt:
        log.warning(found.doubt)
    log.info(f"masks of {data}: {in_words(found.masks, found.classes)}; {found.why}")
    return renumbered(found.masks, found.classes, wanted)


def _reading(net: Net, first: Net, pairs: Sequence[Pair]) -> MaskFormat:
    """How a net reads masks, in the ids of who is judged first: to one with a border class objects are whole.

    Masks of 0 and 255 alone in the place of its object ids are read as binary ones, which is said.
    """
    masks = net.masks
    if masks.kind == "instance":
        looks = [] if VOID in masks.void else looks_of_two(pairs, False)
        try:
            doubt_of_ids([id_facts(look.mask) for look in looks if look.mask is not None])
        except InputError as error:
            why, _, _ = str(error).partition(". ")
            log.warning(f"{why}. They are judged as such, without objects.")
            masks = recognise(pairs, MaskSettings("binary", net.real_classes, tuple(map(str, masks.void)))).masks
        else:
            if first.masks.border and not masks.border:
                return replace(first.masks, void=masks.void)
    return renumbered(masks, net.real_classes, first.real_classes)


def _recognised(net: Net, pairs: Sequence[Pair], palette: Palette | None) -> Recognition | None:
    """What masks tell by themselves, by the names that a person says; None where they leave it open.

    Where a person says the names of a net of binary masks, it may read them.

    Raises:
        InputError: a person says another number of names than there are classes, or names that do not do.
    """
    own = net.masks
    void = [str(value) for value in own.void if isinstance(value, int)]
    if palette is not None:
        void = [name for number, name in enumerate(palette.names) if _is_void(number, name, palette, net)]
    inverted = own.inverted and palette is None and net.said is None  # names are said in the order of the values
    names = net.said if palette is None else None
    try:
        found = recognise(pairs, MaskSettings("auto", names, tuple(void), inverted, own.tolerance, only=True), palette)
    except InputError:
        if net.said is not None and (net.said != net.real_classes or own.inverted or own.kind != "binary"):
            raise
        return None
    if net.said is None or sorted(net.said) == sorted(found.classes):
        return found  # a list of colours tells which is which
    if len(net.said) != len(found.classes):
        raise InputError(
            f"--classes must name each class of the masks in their order: {', '.join(found.classes)}; received "
            f"{', '.join(net.said)}."
        )
    return found._replace(classes=net.said)


def _is_void(number: int, name: str, palette: Palette, net: Net) -> bool:
    """Whether a line of a palette is void: by its name, or as the net was trained."""
    if name in net.classes:
        return False
    void = net.masks.void
    return name.lower() == "void" or palette.colours[number] in void or (net.masks.kind == "index" and number in void)


def _are_a_few_objects(net: Net, pairs: Sequence[Pair]) -> bool:
    """Whether masks number more than the classes that a person says, and show neither classes nor soft edges."""
    looks, _ = next(look_at_masks(pairs, False))
    facts = [id_facts(look.mask, net.masks.void) for look in looks if look.mask is not None]
    ids = {value for look in looks for value in look.ids} - {0, *net.masks.void}
    soft = max(ids, default=0) in HIGHS and have_gaps(ids)
    return len(ids) >= len(net.said or ()) and not soft and not doubt_of_ids(facts)


def _is_upper(net: Net, pairs: Sequence[Pair]) -> bool:
    """Whether 255 is a class, and not void, to a net of two ids: all masks hold 0 and 255 alone."""
    masks = net.masks
    is_open = masks.kind == "index" and masks.real_classes == 2 and VOID not in {*masks.values, *masks.void}
    return is_open and bool(looks_of_two(pairs, masks.tolerance > 0))


def _fits(net: Net, pairs: Sequence[Pair]) -> bool:
    """Whether masks hold what a net knows, as far as some of them show."""
    masks = net.masks
    for looks, _ in look_at_masks(pairs, masks.tolerance > 0):
        top = max((value for look in looks for value in look.counts if value not in masks.void), default=0)
        high = max(masks.values, default=0)
        far = masks.kind == "binary" and high and (0 < 2 * top <= high or top > 2 * high)  # 0 and 1, for 0 and 255
        return not far and all(_holds(masks, look) for look in looks) and not _is_upper(net, pairs)
    return True


def _holds(masks: MaskFormat, look: MaskLook) -> bool:
    if masks.kind == "palette":
        known = {*masks.colours, *masks.void}
        return look.coloured or masks.tolerance > 0 or all((value,) * 3 in known for value in look.counts)
    if look.coloured and not (look.table and masks.ids):
        return False
    if masks.kind == "instance" or masks.tolerance > 0:
        return True
    usual = {0, *HIGHS} if masks.kind == "binary" else {*range(masks.num_classes + len(masks.void)), VOID}
    known_values = {*masks.values, *masks.void} if masks.values else usual
    values = look.ids if masks.ids else look.counts
    return set(values) <= known_values | ({VOID} if masks.kind == "index" else set())


def _look_at_tables(net: Net, pairs: Sequence[Pair]) -> None:
    """Say where colour tables tell that an id means several classes, here or beside those of the training masks."""
    if words := doubt_of_colours(pairs, net.masks):
        log.warning(words)
    if isinstance(net.net, Path) or not net.net.data.is_dir():
        return
    try:
        found = find_named(net.net.data, net.net.config.naming, net.channels)
        known = [pair for some_pairs in found.splits.values() for pair in some_pairs]
        if known:
            check_order(pairs, known, net.masks, "what the net was trained on and in what it is judged on")
    except InputError as error:  # the folder may have changed since
        log.warning(str(error))


def _check_agreed(nets: Sequence[Net], data: Path) -> None:
    """Raise InputError where nets read masks that name no classes in more than one way."""
    ways = {frozenset(zip(one.real_classes, one.masks.colours or one.masks.values, strict=False)): one for one in nets}
    if len(ways) > 1 and len({one.masks.kind for one in nets}) == 1:
        listed = "; ".join(f"{one.path} reads {in_words(one.masks, one.real_classes)}" for one in ways.values())
        raise InputError(
            f"Masks must mean one thing: {data} names no classes, and {listed}. Name them, in the order of their "
            "values: --classes A,B.",
            data,
        )
