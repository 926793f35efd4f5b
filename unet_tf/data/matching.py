"""By what the names of images and those of masks are compared, so that all pair one to one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from unet_tf.data.folder import MASK_SUFFIX, some
from unet_tf.data.naming import MASK_WORDS, Affix, Naming, Rule, choices, find_rules, says
from unet_tf.data.pictures import SUFFIXES
from unet_tf.utils.text import folded, form

JPEG = (".jpg", ".jpeg")
NUMBER = re.compile(r"[ _.-]?\(?\d+\)?$")
"""What tells further masks of an image from the first one."""
KIND = re.compile(rf"(\.(ome|{'|'.join(suffix[1:] for suffix in SUFFIXES)}))+$", re.IGNORECASE)
"""The part of a kind of file that stays in a name without its suffix: a.ome of a.ome.tif, a.jpg of a.jpg.png."""
Names = dict[Path, str]
"""File -> its path below a folder, without the suffix."""


class Keys(NamedTuple):
    """What names of images and of masks are compared by.

    Attributes:
        images: file -> key.
        masks: file -> key, those alone that are masks.
        rule: how the names differ, in words.
        problem: why that cannot be told; "" where it can.
        unused: files that are neither image nor mask.
        plain: whether names are equal but for a word such as `_mask`.
    """

    images: Names
    masks: Names
    rule: str
    problem: str = ""
    unused: tuple[Path, ...] = ()
    plain: bool = True

    @property
    def one_to_one(self) -> bool:
        """Whether all pair."""
        fold = folding(self.images.values(), self.masks.values())
        images, masks = ({fold(name) for name in names.values()} for names in (self.images, self.masks))
        return images == masks and len(self.images) == len(images) and len(self.masks) == len(masks)

    @property
    def whole_side(self) -> bool:
        """Whether all images pair, or all masks, and files of the other kind are left over."""
        fold = folding(self.images.values(), self.masks.values())
        images, masks = ([fold(name) for name in names.values()] for names in (self.images, self.masks))
        unique = len(set(images)) == len(images) and len(set(masks)) == len(masks)
        return unique and (set(images) <= set(masks) or set(masks) <= set(images))


def folding(*groups: Iterable[str]) -> Callable[[str], str]:
    """The key by which names are equal: in one Unicode form, and without case where no two names differ by it alone."""
    forms = [set(map(form, group)) for group in groups]
    if any(len({name.casefold() for name in names}) < len(names) for names in forms):
        return form
    return folded


def part(names: Names, naming: Naming) -> tuple[Names, Names]:
    """Images and masks that lie in one folder; no masks where nothing tells them."""
    if naming.says_mask:
        masks = said_masks(names, naming)
        return _without(names, masks), {path: names[path] for path in masks}
    usual = {path: name for path, name in names.items() if MASK_SUFFIX.search(name)}
    first = _without(names, usual), usual
    if not usual or not keyed(*first, naming).one_to_one:
        worded = {path: name for path, name in names.items() if says(Path(name).name, MASK_WORDS)}
        lossless = {path: name for path, name in names.items() if path.suffix.lower() not in JPEG}
        for masks in (worded, lossless):
            parts = _without(names, masks), masks
            if all(parts) and ((tried := keyed(*parts, naming)).one_to_one or (tried.problem and not usual)):
                return parts
    return first


def keyed(images: Names, masks: Names, naming: Naming) -> Keys:
    """Find what names of images and of masks are compared by.

    Equal names come first, and those of masks with a word such as `_mask` behind; then constant parts by which all pair
    one to one, if there is one way only (`unet_tf.data.naming.find_rules`).

    Args:
        images: of one place.
        masks: of the same place.
        naming: what a person says.
    """
    if naming.says_mask:
        return _said(images, masks, naming)
    plain = _plain(images, masks)
    if plain.one_to_one or plain.whole_side:
        return plain
    if min(len(images), len(masks)) == 1 != max(len(images), len(masks)):
        return _without_kind(images, masks) or plain  # one pair confirms no rule, where others might be the partner
    rules = _rules(images, masks)
    of_masks = [] if rules else [Rule(*reversed(rule)) for rule in _rules(masks, images)]  # some image has no mask
    if len(rules + of_masks) == 1:
        return _by_rule(images, masks, (rules + of_masks)[0])
    if rules:
        return plain._replace(problem=choices([rule.mask for rule in rules]))
    if of_masks:
        kinds = sorted(rule.image for rule in of_masks)
        problem = f"each mask has several images: {', '.join(map(str, kinds))}. Give each kind a folder of its own"
        if not any(kind.before for kind in kinds):
            suffixes = shlex.quote(",".join(kind.after for kind in kinds))
            problem += f"; where they are channels of one image, say --channel-suffix {suffixes}"
        return plain._replace(problem=f"{problem}.")
    return _without_kind(images, masks) or plain


def several_masks(images: Names, files: Names) -> dict[str, list[Path]]:
    """Files by the NAME of an image to which several seem to belong: NAME_mask and NAME_mask_1, of an object each.

    Args:
        images: of one place.
        files: that may be masks of them: those in the folder of masks, or all of a folder that holds both.
    """
    found: dict[str, list[Path]] = {name: [] for name in images.values()}
    for path, name in files.items():
        bare = name if MASK_SUFFIX.search(name) else NUMBER.sub("", name)
        if (own := MASK_SUFFIX.sub("", bare)) != bare and own in found:
            found[own].append(path)
    return {own: paths for own, paths in found.items() if len(paths) > 1}


def said_masks(names: Names, naming: Naming) -> Names:
    """The masks, by what a person says of their names: file -> name without that."""
    suffix = naming.mask_suffix
    kind = Path(f"x{suffix}").suffix
    kind = kind if kind.lower() in SUFFIXES else ""
    end = suffix[: len(suffix) - len(kind)]
    for fold in (form, folded):
        affix = Affix(fold(naming.mask_prefix), fold(end))
        found = {}
        for path, name in names.items():
            key = affix.key(fold(name))
            if key is not None and kind.lower() in ("", path.suffix.lower()):
                found[path] = key
        if found:
            return found
    return {}


def _said(images: Names, masks: Names, naming: Naming) -> Keys:
    """The keys where a person says the constant parts of masks; files that match neither are no pairs."""
    keys = said_masks(masks, naming)
    unused = tuple(path for path in masks if path not in keys)
    said = Affix(naming.mask_prefix, naming.mask_suffix)
    if not keys:
        return Keys(images, {}, str(said), f"no file is called {said}. Correct {said.flags}.", unused, False)
    bare = {path: NUMBER.sub("", name) for path, name in images.items() if NUMBER.search(name)}
    known = {*keys.values()}
    further = {path: "" for path, key in said_masks(bare, naming).items() if key in known}
    images, unused = _without(images, further), (*unused, *further)
    own = Keys(images, keys, f"NAME and {said}", "", unused, False)
    if own.one_to_one:
        return own
    ways = [rule.mask for rule in _rules(keys, images)]
    ways = ways or [rule.image for rule in _rules(images, keys) if rule.mask == Affix()]
    if Affix() in ways:  # what else has the names of these is of another kind
        known = set(map(form, keys.values()))
        others = [
            path for path, name in images.items() if any(way.key(form(name)) in known for way in ways if any(way))
        ]
        return own._replace(images=_without(images, dict.fromkeys(others, "")), unused=unused + tuple(others))
    if len(ways) > 1:
        named = ", ".join(map(str, ways))
        return own._replace(problem=f"{said} may belong to {named}. Give each kind of image a folder of its own.")
    if ways:
        return own._replace(images=_keys(images, ways[0]), rule=f"{ways[0]} and {said}")
    return own


def _plain(images: Names, masks: Names) -> Keys:
    """Equal names, or those of masks with a word such as `_mask` behind."""
    fold = folding(images.values(), masks.values())
    stems = {fold(name) for name in images.values()}
    bare = {mask: name if fold(name) in stems else MASK_SUFFIX.sub("", name) for mask, name in masks.items()}
    ends = sorted({f"NAME{name[len(bare[mask]) :]}" for mask, name in masks.items()})
    return Keys(images, bare, f"NAME and {some(ends, 3)}")


def _without_kind(images: Names, masks: Names) -> Keys | None:
    """What `_plain` gives of names without `KIND`; None where these do not pair either."""
    keys = _plain(*({path: KIND.sub("", name) for path, name in names.items()} for names in (images, masks)))
    return keys if keys.one_to_one or keys.whole_side else None


def _rules(images: Names, masks: Names) -> list[Rule]:
    """The rules for names in one Unicode form, and for those without case where there is none."""
    for fold in (form, folded):
        names = [[fold(name) for name in some_names.values()] for some_names in (images, masks)]
        if all(len(set(some_names)) == len(some_names) for some_names in names) and (rules := find_rules(*names)):
            return rules
    return []


def _by_rule(images: Names, masks: Names, rule: Rule) -> Keys:
    """The keys that a rule gives; what it says nothing of pairs with nothing."""
    keys = _keys(images, rule.image)
    words = f"{rule.image} and {rule.mask}"
    if all(key.endswith("/") for key in keys.values()):  # p1/image and p1/mask
        words = words.replace("NAME", "")
    return Keys(keys, _keys(masks, rule.mask), words, plain=False)


def _keys(names: Names, affix: Affix) -> Names:
    exact = {path: affix.key(form(name)) for path, name in names.items()}
    found = exact if any(exact.values()) else {p: affix.key(folded(name)) for p, name in names.items()}
    return {path: key or f"/{names[path]}" for path, key in found.items()}  # no key begins so


def _without(names: Names, others: Names) -> Names:
    return {path: name for path, name in names.items() if path not in others}
