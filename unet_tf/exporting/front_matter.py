"""What a model card says to programs: the YAML at its head, as the Hugging Face Hub reads it."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unet_tf.edge.description import Description
from unet_tf.evaluation.bundle_tables import BundleReport
from unet_tf.exporting.bundle import TFLITE
from unet_tf.pages.words import many
from unet_tf.utils.text import shown

_LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0
cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0
lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 pddl postgresql unlicense wtfpl zlib
"""
LICENSES = frozenset(_LICENSES.split())
"""Names of licences that the Hub knows; each other one is "other" to it, with a name."""
ORDINARY = re.compile(r"[A-Za-z][\w.+/-]*")
"""Text that is itself in YAML; other text is quoted."""
WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "y", "n"])
"""Text that is something else in YAML."""


def front_matter(
    name: str, description: Description, report: BundleReport, license: str = "", dataset: str = ""
) -> str:
    """The head of a model card, from `---` to `---`.

    Args:
        name: of the bundle.
        description: of its net.
        report: of its files.
        license: of the net, as SPDX names it; "" leaves it out.
        dataset: what the folder is called whose files the scores are of; "" says nothing.

    Returns:
        `library_name`, `pipeline_tag`, `tags`, `license`; and of a run that was judged on files that it was not
        trained on, and whose number is known, `metrics` and `model-index`: mean IoU and mean Dice over the classes, and
        the IoU of each.

    Reference:
        Hugging Face Hub documentation, "Model cards": metadata UI; the specification in modelcard.md.
    """
    said: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": "image-segmentation",
        **_license(license),
        "tags": ["unet", "semantic-segmentation", "keras", "tensorflow", "unet-tf", *_formats(report)],
    }
    if metrics := _metrics(description):
        said["metrics"] = ["mean_iou", "dice"]
        results = {
            "task": {"type": "image-segmentation", "name": "Semantic segmentation"},
            "dataset": _dataset(description, dataset),
            "metrics": metrics,
        }
        said["model-index"] = [{"name": shown(name), "results": [results]}]
    return "\n".join(["---", *_yaml(said), "---"])


def _license(license: str) -> dict[str, str]:
    if not license:
        return {}
    if license.lower() in LICENSES:
        return {"license": license.lower()}
    return {"license": "other", "license_name": license.lower()}


def _formats(report: BundleReport) -> list[str]:
    """Kinds of files that other runtimes read."""
    names = report["artefacts"]
    return ["tflite"] * any(name in TFLITE.values() for name in names) + ["onnx"] * any(
        name.endswith(".onnx") for name in names
    )


def _metrics(description: Description) -> list[dict[str, Any]]:
    """Scores of the run that the net comes from, on files that it was not trained on."""
    scores = description.origin.scores
    mean_iou = scores.get("mean_iou")
    if mean_iou is None or "pictures" not in scores:
        return []
    each = {one: value for one, value in scores.get("iou", {}).items() if value is not None}
    found = [_metric("mean_iou", "Mean IoU", mean_iou)]
    if each:  # 2 TP / (2 TP + FP + FN), of the same counts
        found.append(_metric("dice", "Mean Dice", statistics.fmean(2 * iou / (1 + iou) for iou in each.values())))
    return found + [_metric("iou", f"IoU {one}", value) for one, value in each.items()]


def _metric(kind: str, name: str, value: float) -> dict[str, Any]:
    return {"type": kind, "name": shown(name), "value": value}


def _dataset(description: Description, name: str) -> dict[str, str]:
    """The files that were scored: how many, and what their folder is called."""
    unseen = "that it was not trained on" if description.nets == 1 else "each by the nets that were not trained on it"
    files = f"{many(description.origin.scores['pictures'], 'file')} {unseen}"
    words = shown(f"{name}, {files}" if name else files)
    return {"type": re.sub(r"[^a-z0-9._-]+", "-", (name or "unseen").lower()).strip("-.") or "data", "name": words}


def _yaml(value: Mapping[str, Any] | Sequence[Any], indent: str = "") -> Iterator[str]:
    """Lines of YAML of objects, lists, text and numbers."""
    if isinstance(value, Mapping):
        for name, own in value.items():
            if isinstance(own, Mapping | list):
                yield f"{indent}{name}:"
                yield from _yaml(own, f"{indent}  " if isinstance(own, Mapping) else indent)
            else:
                yield f"{indent}{name}: {_scalar(own)}"
        return
    for own in value:
        if isinstance(own, Mapping):
            first, *others = _yaml(own, f"{indent}  ")
            yield f"{indent}- {first.removeprefix(f'{indent}  ')}"
            yield from others
        else:
            yield f"{indent}- {_scalar(own)}"


def _scalar(value: str | float) -> str:
    if not isinstance(value, str):
        return f"{value:.6f}"  # YAML 1.1 takes 5e-05 for text
    if ORDINARY.fullmatch(value) and value.lower() not in WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
