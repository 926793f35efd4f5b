"""Verbs that judge: evaluate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from unet_tf.cli.app import Data, RunFolder, Threshold, app
from unet_tf.cli.console import console, literal, print_table_of_scores, show_log, working
from unet_tf.cli.options import with_settings
from unet_tf.config import NAMING
from unet_tf.run import Run
from unet_tf.utils.stderr import quiet_tensorflow


@app.command(
    epilog="Examples:\n\nunet-tf evaluate runs/cells cells/\n\nunet-tf evaluate runs/cells cells/ --split test"
)
@with_settings(*NAMING)
def evaluate(
    run: RunFolder,
    data: Data,
    settings: dict[str, Any],
    split: Annotated[str | None, typer.Option(help="train, val, test or all.", show_default="unseen files")] = None,
    threshold: Threshold = None,
) -> None:
    """Score a run on files it did not learn from, beside two trivial baselines."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.evaluate import NotStored

    try:
        with show_log(), working() as bars:
            result = unet_tf.evaluate(run, data, split, bars.counter("judging"), threshold, **settings)
    except NotStored as error:  # a read-only run: the scores are not lost
        print_table_of_scores(error.evaluation.to_json())
        raise
    print_table_of_scores(result.to_json())
    console.print(f"Report: {literal(str(run / Run.REPORT))}")
