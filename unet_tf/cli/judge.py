"""Verbs that judge: evaluate, compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unet_tf.cli.app import Data, Threshold, app
from unet_tf.cli.console import console, literal, print_comparison, print_table_of_scores, working
from unet_tf.cli.options import with_settings
from unet_tf.config import NAMING
from unet_tf.run import Run
from unet_tf.utils.stderr import quiet_tensorflow

if TYPE_CHECKING:
    from unet_tf.evaluation.result import Evaluation

WHOM = "A run, a bundle, the folder of a cross-validation, or a folder of masks"
DATA = (
    "classes", "masks", "void", "inverted", "mask_tolerance", *NAMING, "channels", "channel_suffix", "context", "group",
)  # fmt: skip
"""Settings that say how labelled files are read."""
Split = Annotated[str | None, typer.Option(help="train, val, test or all.", show_default="unseen files")]


@app.command(
    epilog="Examples:\n\nunet-tf evaluate runs/cells cells/\n\nunet-tf evaluate runs/cells cells/ --split test\n\n"
    "unet-tf evaluate bundle/ cells/ --out scores/\n\n"
    "unet-tf evaluate runs/folds cells/  (each file by the nets that were not trained on it)\n\n"
    "unet-tf evaluate predicted/ cells/ --split test  (masks of any program, named as the pictures)\n\n"
    "unet-tf evaluate eyes/test/2nd_manual eyes/ --masks-dir 1st_manual  (the second annotator)\n\n"
    "unet-tf evaluate runs/vessels retina/ --roi retina/fov --out scores/\n\n"
    "unet-tf evaluate runs/em isbi/ --membranes background"
)
@with_settings(*DATA)
def evaluate(
    subject: Annotated[Path, typer.Argument(help=f"{WHOM}.", metavar="RUN|BUNDLE|MASKS_DIR")],
    data: Data,
    settings: dict[str, Any],
    split: Split = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for scores, panels and report.html.",
            show_default="the run, evaluation_val/ there for --split val; none for its own training files, another "
            "--threshold, --void or --mask-tolerance, another pairing of its own data, --roi, and others than runs",
        ),
    ] = None,
    roi: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures called as the images are: where they are not 0, pixels count."),
    ] = None,
    membranes: Annotated[
        str, typer.Option(help="Classes that separate segments (a,b): adds V_rand and V_info over thresholds.")
    ] = "",
    threshold: Threshold = None,
) -> None:
    """Score a net, or masks of any origin, on files that it was not trained on, beside two trivial baselines."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.evaluate import NotStored

    try:
        with working() as bars:
            borders = [name.strip() for name in membranes.split(",") if name.strip()]
            count = bars.counter("judging")
            result = unet_tf.evaluate(subject, data, split, count, out, roi, borders, threshold, **settings)
    except NotStored as error:  # a read-only run: the scores are not lost
        print_table_of_scores(error.evaluation.to_json())
        raise
    print_table_of_scores(result.to_json())
    if result.folder is None:
        others = [name for name in ("void", "mask_tolerance", *NAMING) if name in settings]
        why = _why_not_kept(result, roi, others if threshold is None else ["threshold", *others])
        console.print(f"Kept nowhere{why}: --out FOLDER keeps scores, panels and page.")
    else:
        console.print(f"Report: {literal(str(result.folder / Run.REPORT))}")


def _why_not_kept(result: Evaluation, roi: Path | None, others: Sequence[str]) -> str:
    """Why a run does not keep scores; "" of others, which keep none.

    Args:
        result: the scores.
        roi: where pixels count.
        others: names of settings that were said, of which one at least is none of the run.
    """
    if result.who is None or result.who["kind"] != "run":
        return ""
    if result.learnt:
        return f", for the net was trained on {result.learnt} of these files"
    if roi:
        return ", for with --roi not all pixels count"
    where = "" if {*others} - {*NAMING} else " on its own data"
    return f", for {' or '.join(f'--{one}'.replace('_', '-') for one in others)} is not that of the run{where}"


@app.command(
    epilog="Examples:\n\nunet-tf compare runs/old runs/new cells/\n\n"
    "unet-tf compare runs/cells bundle/ cells/ --split test --out comparison/\n\n"
    "unet-tf compare other-program/ runs/cells cells/\n\n"
    "unet-tf compare annotator2/ predicted/ cells/ --group '^p[0-9]+'"
)
@with_settings(*DATA)
def compare(
    a: Annotated[Path, typer.Argument(help=f"{WHOM}.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Another one.", metavar="B")],
    data: Data,
    settings: dict[str, Any],
    split: Split = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.json and compare.html.", show_default="none")
    ] = None,
) -> None:
    """Compare two on the same images, which neither was trained on: differences with intervals, and a sign test."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.comparison import NotKept

    try:
        with working() as bars:
            counters = bars.counter("judging"), bars.counter("looking for files that are known")
            result = unet_tf.compare(a, b, data, split, *counters, out, **settings)
    except NotKept as error:
        print_comparison(error.comparison)
        raise
    print_comparison(result)
    if out is not None:
        console.print(f"Page: {literal(str(out / 'compare.html'))}")
