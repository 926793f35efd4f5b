"""The page of a cross-validation: first all files together, each by nets that held it out, then run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_tf.evaluation.charts import confusion_table, spread_chart
from unet_tf.evaluation.sections import calibration_section, objects_section, scores_section
from unet_tf.evaluation.verdict import verdict
from unet_tf.pages.page import write_page
from unet_tf.pages.words import number
from unet_tf.run import Run


def write_crossval_page(
    folder: Path, runs: Sequence[str], result: Mapping[str, Any], rows: Sequence[Sequence[str]]
) -> Path:
    """Write `report.html` beside the folders of the runs.

    Args:
        folder: of the cross-validation.
        runs: names of the folders of the runs.
        result: what `crossval` returns; its "out_of_fold", where there is one, is shown first.
        rows: of `crossval.summary_rows`.

    Returns:
        The page.
    """
    together = result.get("out_of_fold")
    objects, sure = objects_section(together or {}), calibration_section(together or {})
    sections = [("together", "All files", together), ("objects", "Objects", objects)]
    sections += [("calibration", "Calibration", sure["calibration"]), ("runs", "Run by run", runs)]
    sections += [("confusion", "Confusion", runs)]
    of_folds = "All files, each by the net that held it out"  # a net before it may have learnt from them, as of seeds
    return write_page(
        folder / Run.REPORT,
        "crossval.html",
        heading=f"{len(runs)} runs in {folder.resolve().name}",
        verdict=verdict(together) if together else spread_verdict(result),
        notes=[],
        sections=[(name, words) for name, words, there in sections if there],
        together=together and scores_section(together),
        together_heading=of_folds if runs[0].startswith("fold") else "All files together",
        objects=objects,
        **sure,
        spread=spread_chart(result),
        rows=rows,
        runs=runs,
        report=Run.REPORT,
        confusion=confusion_table(result["classes"], result["confusion"]),
    )


def spread_verdict(result: Mapping[str, Any]) -> str:
    """Say in one sentence what several runs scored, of which none was judged together with the others.

    Example:
        >>> runs = {"fold1": {"mean_iou": 0.8}, "fold2": {"mean_iou": 0.9}, "fold3": {"mean_iou": None}}
        >>> spread_verdict({"runs": runs})
        'Mean IoU 0.850 in the mean of 2 runs, from 0.800 to 0.900.'
    """
    values = [run["mean_iou"] for run in result["runs"].values() if run["mean_iou"] is not None]
    if not values:
        return "No run has a score: the files that were held out are void alone."
    mean, low, high = map(number, (sum(values) / len(values), min(values), max(values)))
    return f"Mean IoU {mean} in the mean of {len(values)} runs, from {low} to {high}."
