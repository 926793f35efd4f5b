"""The page of a cross-validation: first all files together, each by nets that held it out, then run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_tf.evaluation.charts import confusion_table, spread_chart
from unet_tf.evaluation.sections import calibration_section, objects_section, scores_section
from unet_tf.evaluation.tables import lacking
from unet_tf.evaluation.verdict import verdict
from unet_tf.pages.page import write_page
from unet_tf.run import Run


def write_crossval_page(
    folder: Path, runs: Sequence[str], result: Mapping[str, Any], rows: Sequence[Sequence[str]]
) -> Path:
    """Write `report.html` beside the folders of the runs.

    Args:
        folder: of the cross-validation.
        runs: names of the folders of the runs.
        result: what `crossval` returns; its "out_of_fold" is shown first.
        rows: of `crossval.summary_rows`.

    Returns:
        The page.
    """
    together = result["out_of_fold"]
    objects, sure = objects_section(together), calibration_section(together)
    sections = [("together", "Together", together), ("objects", "Objects", objects)]
    sections += [("calibration", "Calibration", sure["calibration"]), ("runs", "Run by run", runs)]
    sections += [("confusion", "Confusion", runs)]
    of_folds = "All files, each by the net that held it out"  # a net before it may know them, as of seeds
    return write_page(
        folder / Run.REPORT,
        "crossval.html",
        heading=f"{len(runs)} runs in {folder.resolve().name}",
        verdict=verdict(together),
        notes=[*filter(None, [lacking(together), result.get("note")])],
        sections=[(name, words) for name, words, there in sections if there],
        together=scores_section(together),
        together_heading=of_folds if runs[0].startswith("fold") else "The files that no run was trained on",
        objects=objects,
        **sure,
        spread=spread_chart(result),
        rows=rows,
        runs=runs,
        report=Run.REPORT,
        confusion=confusion_table(result["classes"], result["confusion"]),
    )
