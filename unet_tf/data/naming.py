"""How the names of masks differ from those of their images: constant words before and after what both share."""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple

IMAGE_WORDS = frozenset((
    "image", "images", "img", "imgs", "raw", "input", "inputs", "original", "originals", "orig", "rgb", "photo",
    "photos", "picture", "pictures", "scan", "scans", "jpegimages",
))  # fmt: skip
MASK_WORDS = frozenset((
    "mask", "masks", "label", "labels", "labeled", "labelled", "seg", "segs", "segmentation", "segmentations", "gt",
    "gts", "groundtruth", "truth", "target", "targets", "annotation", "annotations", "annot", "annots", "ann", "anno",
    "instance", "instances", "labelids", "manual", "trimap", "trimaps", "matte", "ho", "ah", "vk", "annotator",
    "expert", "rater", "observer",
))  # fmt: skip
"""Words, in lower case, by which people tell images from masks in the names of files and folders."""
TELLING = frozenset((
    "train", "training", "val", "valid", "validation", "test", "testing", "left", "right", "before", "after",
    "pre", "post", "day", "night",
))  # fmt: skip
"""Words that tell pictures apart, and not a picture from its mask: two that differ never belong together."""
DERIVED = frozenset((
    "prediction", "predictions", "pred", "preds", "output", "outputs", "result", "results", "overlay", "overlays",
    "thumb", "thumbs", "thumbnail", "thumbnails", "preview", "previews", "heatmap", "heatmaps", "probabilities",
))  # fmt: skip
"""Words for what was made of images or masks and is neither."""
ANNOTATOR = re.compile(
    r"\d(st|nd|rd|th)|(annotator|expert|rater|observer|reader|grader|manual)[ _.-]?\d|^[ _.-]?(ah|vk)$", re.IGNORECASE
)
OR_JOIN = " Where each shows some of the objects, join those of an image into one: what is in none is background."
"""What may be done with several masks of an image but to choose one."""
SEAM = re.compile(r"(?<=[^\W\d_])(?=[\W\d_])|(?<=\d)(?=[\D])|(?<=[\W_])|(?=[\W_])|(?<=[a-z])(?=[A-Z])")
"""Where a name may be cut: never within a word, and never within a number."""
MOST_CUTS = 12
"""Places from either end of a name at which a constant part may end."""


@dataclass(frozen=True)
class Naming:
    """What a person says of where images and masks lie, and how their names differ; "" where the files tell.

    Attributes:
        images: folder of the images, from the data folder or a split's.
        masks: folder of the masks, likewise.
        mask_prefix: what stands before NAME in the name of a mask.
        mask_suffix: what stands after it, with or without the file's own suffix.
    """

    images: str = ""
    masks: str = ""
    mask_prefix: str = ""
    mask_suffix: str = ""

    @property
    def says_mask(self) -> bool:
        """Whether the names of masks are said."""
        return bool(self.mask_prefix or self.mask_suffix)

    @property
    def words(self) -> str:
        """What is said, by its options; "" for nothing.

        Example:
            >>> Naming(masks="2nd manual", mask_suffix="-b").words
            "paired by --masks-dir '2nd manual' --mask-suffix=-b"
        """
        flags = "--images-dir", "--masks-dir", "--mask-prefix", "--mask-suffix"
        said = options(zip(flags, astuple(self), strict=True))
        return said and f"paired by {said}"


class Affix(NamedTuple):
    """The constant parts of names."""

    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}NAME{self.after}"

    def key(self, name: str) -> str | None:
        """The path of a name without the constant parts; None for a name that has not got them, or nothing else.

        Example:
            >>> Affix("img_", "_raw").key("p1/img_07_raw"), Affix("img_", "_raw").key("img_raw")
            ('p1/07', None)
        """
        folder, slash, stem = name.rpartition("/")
        left = stem[len(self.before) : len(stem) - len(self.after)]
        whole = f"{self.before}{left}{self.after}" == stem
        named = any(map(str.isalnum, left)) or (folder and not left)  # p1/image and p1/mask
        return f"{folder}{slash}{left}" if whole and named else None

    def name(self, key: str) -> str:
        """The path of the name that has this key."""
        folder, slash, stem = key.rpartition("/")
        return f"{folder}{slash}{self.before}{stem}{self.after}"

    @property
    def flags(self) -> str:
        """The options that say it of masks."""
        return options((("--mask-prefix", self.before), ("--mask-suffix", self.after)))


def options(said: Iterable[tuple[str, str]]) -> str:
    """Flags and their texts, as a shell takes them, but for texts that are ""."""
    return " ".join(f"{flag}{'=' if text[0] == '-' else ' '}{shlex.quote(text)}" for flag, text in said if text)


class Rule(NamedTuple):
    """`image` NAME belongs to `mask` NAME."""

    image: Affix
    mask: Affix

    def mask_of(self, image: str) -> str | None:
        """The name of the mask of an image; None for a name that the rule says nothing of."""
        key = self.image.key(image)
        return None if key is None else self.mask.name(key)


def find_rules(images: Iterable[str], masks: Iterable[str]) -> list[Rule]:
    """The rules by which each image has a mask of its own, each with other pairs; masks may be left over.

    Words and numbers are never cut. A number is never taken for a constant part: `a_1` and `a_2` are two pictures. Of a
    single pair the constant parts must say image or mask.

    Args:
        images: different names without suffix, folders before them ("p1/img_07").
        masks: likewise.

    Example:
        >>> [(str(image), str(mask)) for image, mask in find_rules(["img_1", "img_11"], ["mask_11", "mask_1"])]
        [('img_NAME', 'mask_NAME')]
        >>> find_rules(["img_1"], ["mask_11"])
        []
    """
    images, known = list(images), set(masks)
    if not images or len(known) < len(images):
        return []
    of_images, of_masks = ([Affix(*both) for both in itertools.product(*constants(names, len(images)))]
                           for names in (images, known))  # fmt: skip
    found: list[tuple[Rule, list[str]]] = []
    for rule in itertools.starmap(Rule, itertools.product(of_images, of_masks)):
        if rule.mask_of(images[0]) not in known or not plausible(*rule, len(images)):
            continue
        pairs = [mask for mask in map(rule.mask_of, images) if mask in known]
        if len(pairs) == len(images) and all(pairs != others for _, others in found):
            found.append((_whole(rule, images), pairs))
    return [rule for rule, _ in found]


def _whole(rule: Rule, images: Sequence[str]) -> Rule:
    """The rule with the separator that parts its constant parts from all names."""
    (image, mask), stems = rule, [(rule.image.key(name) or "").rpartition("/")[2] for name in images]
    first, last = {stem[:1] for stem in stems}, {stem[-1:] for stem in stems}
    before = first.pop() if image.before and mask.before and len(first) == 1 else ""
    after = last.pop() if image.after and mask.after and len(last) == 1 else ""
    before, after = (text if not text.isalnum() else "" for text in (before, after))
    return Rule(*(Affix(one.before + before, after + one.after) for one in rule))


def constants(names: Collection[str], least: int) -> tuple[list[str], list[str]]:
    """Beginnings, and ends, that so many names have in common, shortest first; "" is one of each."""
    stems = [name.rpartition("/")[2] for name in names]
    if least == len(stems):  # far fewer to look at
        first, front = stems[0], _same(min(stems), max(stems))
        turned = [stem[::-1] for stem in stems]
        back = len(first) - _same(min(turned), max(turned))
        cuts = [*seams(first), len(first)]
        fronts = {first[:cut] for cut in cuts if cut <= front}
        backs = {first[cut:] for cut in cuts if back <= cut < len(first)}
        after, before = (
            {text: {stem[at : at + 1] for stem in stems} for text, at in of}
            for of in ([(text, len(text)) for text in fronts], [(text, -len(text) - 1) for text in backs])
        )
        fronts = {text for text in fronts if all(not other or seams(text[-1] + other) for other in after[text])}
        backs = {text for text in backs if all(seams(other + text[0]) for other in before[text])}
    else:
        counts = Counter[str](), Counter[str]()
        for stem in stems:
            cuts = seams(stem)
            counts[0].update(stem[:cut] for cut in cuts[:MOST_CUTS])
            counts[1].update(stem[cut:] for cut in cuts[-MOST_CUTS:])
        fronts, backs = ({text for text, count in some.items() if count >= least} for some in counts)
    in_order = [sorted({"", *texts}, key=lambda text: (len(text), text)) for texts in (fronts, backs)]
    return in_order[0], in_order[1]


def _same(one: str, other: str) -> int:
    """With how many equal characters two texts begin."""
    return sum(1 for _ in itertools.takewhile(lambda both: both[0] == both[1], zip(one, other, strict=False)))


def seams(text: str) -> list[int]:
    """Where a name may be cut, its ends left out."""
    return [seam.start() for seam in SEAM.finditer(text) if 0 < seam.start() < len(text)]


def plausible(image: Affix, mask: Affix, pairs: int) -> bool:
    """Whether constant parts may tell masks from images, and are as short as can be.

    Args:
        image: of the names of images.
        mask: of the names of masks.
        pairs: how many pairs they make.
    """
    if image == mask:
        return image == Affix()
    changes = ((image.before, mask.before), (image.after, mask.after))
    ends = [[(tokens(text) or [""])[at] for text in change] for change, at in zip(changes, (-1, 0), strict=True)]
    if any(one == other != "" for one, other in ends):
        return False  # what both have belongs to the name
    return all(_tells(*change, pairs) for change in changes if change != ("", ""))


def _tells(of_image: str, of_mask: str, pairs: int) -> bool:
    """Whether a constant part of images and that of masks in its place name a kind of file, and no picture."""
    one, other = words(of_image), words(of_mask)
    if numbers(of_image) != numbers(of_mask) and not (of_image.endswith("_0000") and not of_mask):  # nnU-Net's channel
        return False
    if (one | other) & DERIVED:
        return False
    if one & TELLING and other & TELLING and one & TELLING != other & TELLING:
        return False
    if (one | other) & (IMAGE_WORDS | MASK_WORDS) or of_image.endswith("_0000"):
        return True
    if pairs == 1 or not one | other:
        return False
    if not one or not other:
        return True
    return not re.search(r"\d", of_image + of_mask) and min(max(map(len, one)), max(map(len, other))) > 2


def tokens(text: str) -> list[str]:
    """Words, numbers and single other characters of a text, in order."""
    cuts = [0, *seams(text), len(text)]
    return [text[start:stop] for start, stop in itertools.pairwise(cuts) if start < stop]


def words(text: str) -> set[str]:
    """The words of a text in lower case: parted by capitals ("label", "Ids") and as they stand ("labelids")."""
    plain = re.findall(r"[^\W\d_]+", text)
    return {word.lower() for word in [*plain, *(one for one in tokens(text) if one.isalpha())]}


def numbers(text: str) -> list[str]:
    """The numbers of a text that no letter touches."""
    return re.findall(r"(?<![^\W_])\d+(?![^\W_])", text)


def says(text: str, known: frozenset[str]) -> bool:
    """Whether one of the words is in a name."""
    return bool(words(text) & known)


def choices(masks: Sequence[Affix]) -> str:
    """Say that each image has several masks, and how one is chosen."""
    masks = sorted(masks)
    differ = ["".join(part) for part in masks]
    who = " by different annotators" if all(map(ANNOTATOR.search, differ)) else ""
    said = " or ".join(mask.flags or "equal names" for mask in masks)
    join = "" if who else OR_JOIN
    return f"each image has {len(masks)} masks{who}: {', '.join(map(str, masks))}. Choose one: {said}.{join}"
