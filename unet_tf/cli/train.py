"""Verbs that train: demo, train, crossval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unet_tf.cli.app import ConfigFile, Data, DataOrNone, Preset, app
from unet_tf.cli.console import (
    Bars,
    console,
    literal,
    print_scores,
    print_table,
    print_table_of_scores,
    tensorboard_callback,
    working,
)
from unet_tf.cli.options import SETTINGS, flag, with_settings
from unet_tf.config import preset_settings, read_config
from unet_tf.errors import InputError
from unet_tf.run import Run
from unet_tf.utils.stderr import quiet_tensorflow


@app.command(epilog="Example:  unet-tf demo --out runs/demo")
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo.")] = Path("runs/demo"),
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier demo there.")] = False,
) -> None:
    """Generate touching cells, train, evaluate, predict, export; ends with a report to open."""
    quiet_tensorflow()
    import unet_tf

    with working() as bars:
        report = unet_tf.demo(out, overwrite, on_step=bars.step, on_part=bars.counter("done"))
    print_scores(out)
    console.print(f"Report: {literal(str(report))}")


@app.command(
    epilog="Examples:\n\nunet-tf train cells/ --out runs/cells --minutes 15\n\n"
    "unet-tf train nuclei/ --out runs/nuclei --config runs/cells/config.toml --seed 1\n\n"
    "unet-tf train cells/ --out runs/paper --preset paper\n\n"
    "unet-tf train fields/ --out runs/fields --channels NIR,red\n\n"
    "unet-tf train --resume runs/cells"
)
@with_settings(*SETTINGS)
def train(
    settings: dict[str, Any],
    data: DataOrNone = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with a run that was stopped, as it was begun.", metavar="RUN")
    ] = None,
    config: ConfigFile = None,
    preset: Preset = None,
    tensorboard: Annotated[bool, typer.Option(help="Write events for TensorBoard into RUN/tensorboard.")] = False,
) -> None:
    """Train a U-Net on a folder. What is not given is chosen from data and machine, and said with its reason.

    RUN gets configuration, checkpoints, history, log, sample predictions and report.
    """
    said = {"out": out, "config": config, "preset": preset} | settings
    if resume is not None and (given := [name for name, one in said.items() if one is not None]):
        raise InputError(
            "A run goes on as it was begun: --resume RUN takes no --out and no settings beside it; received "
            f"{', '.join(map(flag, given))}. Leave that out, or begin another run."
        )
    if resume is None and (data is None or out is None):
        raise InputError("A new run needs DATA and --out RUN; one that was stopped goes on with --resume RUN.")
    settings = _settings(preset, config, settings)
    quiet_tensorflow()
    import unet_tf
    from unet_tf.training.strategy import is_chief

    with working("") as bars:  # the log says how to go on
        shown = _shown(bars) | {"callbacks": tensorboard_callback(resume or out) if tensorboard else ()}  # type: ignore[arg-type]
        run = unet_tf.resume(resume, data, **shown) if resume else unet_tf.train(data, out, **shown, **settings)  # type: ignore[arg-type]
    if is_chief():  # which has judged; of several hosts the others are done before
        print_scores(run.path)
        console.print(f"Report: {literal(str(run.path / run.REPORT))}")


@app.command(
    epilog="Examples:\n\nunet-tf crossval cells/ --out runs/folds --folds 5 --minutes 5\n\n"
    "unet-tf crossval patients/ --out runs/folds --group '^patient[0-9]+'\n\n"
    "unet-tf crossval cells/ --out runs/seeds --seeds 3 --minutes 5"
)
@with_settings(*(name for name in SETTINGS if name != "fold"))
def crossval(
    data: Data,
    settings: dict[str, Any],
    out: Annotated[Path, typer.Option(help="Folder of the runs. Where it holds some, what is left of them is done.")],
    folds: Annotated[
        int | None, typer.Option(help="Runs that hold out another part each.", show_default="5 without --seeds")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs from other seeds on one split, instead of folds.")] = None,
    config: ConfigFile = None,
    preset: Preset = None,
) -> None:
    """Train once for each fold, or each seed; scores of each file by the net that held it out, mean and spread.

    --minutes and --epochs are those of each run. The folder is one predictor afterwards, the mean of all nets: predict,
    evaluate and export take it as they take a run.
    """
    settings = _settings(preset, config, settings)
    quiet_tensorflow()
    import unet_tf
    from unet_tf.training.crossval import summary_rows

    with working("") as bars:
        result = unet_tf.crossval(data, out, folds, seeds, **_shown(bars), **settings)
    print_table_of_scores(result["out_of_fold"])
    print_table(summary_rows(result))
    if words := result.get("note"):
        console.print(literal(words))
    console.print(f"Report: {literal(str(out / Run.REPORT))}")


def _shown(bars: Bars) -> dict[str, Any]:
    """The arguments of training by which it shows how far it is."""
    names = {"on_file": "reading pairs", "on_progress": "training", "on_image": "judging"}
    return {argument: bars.counter(name) for argument, name in names.items()}


def _settings(preset: str | None, config: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Settings of the preset, over them those of the file, over them the flags."""
    return preset_settings(preset or "default") | (read_config(config) if config else {}) | flags
