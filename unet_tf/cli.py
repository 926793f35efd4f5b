"""The command line: verbs to functions, errors in words."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from unet_tf import __version__
from unet_tf.config import PRESETS, preset_settings, read_config
from unet_tf.console import (
    Bars,
    console,
    errors,
    literal,
    print_scores,
    print_table,
    progress_bars,
    quiet_tensorflow,
    show_log,
    tensorboard_callback,
)
from unet_tf.errors import InputError
from unet_tf.options import SETTINGS, with_settings
from unet_tf.run import Run

app = typer.Typer(
    name="unet-tf",
    help="The U-Net paper made whole in Keras 3: train, judge, predict at any size, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Data = Annotated[
    Path,
    typer.Argument(help="Folder with images/ and masks/ (equal names), train/ val/ test/ of them, or train.txt lists."),
]
DataOrNone = Annotated[
    Path | None,
    typer.Argument(help="Folder of images and masks, as for check. Beside --resume: where it is now.", metavar="DATA"),
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="TOML file of settings, such as the config.toml of a run; flags override it.")
]
Preset = Annotated[str | None, typer.Option(help=f"Named settings below file and flags: {', '.join(PRESETS)}.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder that train filled.", metavar="RUN")]
Tile = Annotated[int | None, typer.Option(help="Input size of a tile, pixels.", show_default="by the images")]


STOPPED = 130
"""Exit code of a process that Ctrl-C or SIGTERM ended, as shells count."""


def main() -> None:
    """Run the command line; print an InputError as one message, exit code 1."""
    try:
        app()
    except InputError as error:
        errors.print(f"[bold red]Error:[/] {literal(str(error))}")
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example:  unet-tf demo --out runs/demo")
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo.")] = Path("runs/demo"),
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier demo there.")] = False,
) -> None:
    """Generate touching cells, train, evaluate, predict, export; ends with a report to open."""
    quiet_tensorflow()
    import unet_tf

    def step(name: str) -> None:
        bars.finish()
        console.print(f"[bold]{name}[/]")

    with show_log(), progress_bars() as bars:
        report = unet_tf.demo(out, overwrite, on_step=step, on_part=bars.counter("done"))
    print_scores(out)
    console.print(f"Report: {literal(str(report))}")


@app.command(
    epilog="Examples:\n\nunet-tf check cells/\n\nunet-tf check streets/ --out streets-check\n\n"
    "unet-tf check nuclei/ --masks instance --group '^patient[0-9]+'"
)
@with_settings(
    "classes", "masks", "void", "inverted", "mask_tolerance", "val_share", "group", "fold", "split_seed", "depth",
    "padding", "tile",
)  # fmt: skip
def check(
    data: Data,
    settings: dict[str, Any],
    out: Annotated[Path | None, typer.Option(help="Folder for a page with overlays, and the same as JSON.")] = None,
) -> None:
    """Read every pair: what is there, what is wrong, what to train with. Exit code 1 where training would fail."""
    from unet_tf.data.palette import PALETTE_FILE
    from unet_tf.doctor import check as run_check
    from unet_tf.overview import check_folder, class_rows, split_rows, suggestions, write_overview

    if out is not None:
        check_folder(out)
    with progress_bars() as bars:
        findings = run_check(data, on_file=bars.counter("reading pairs"), **settings)
    for header, *rows in filter(None, (split_rows(findings), class_rows(findings))):
        table = Table(*map(literal, header), box=None)
        for row in rows:
            table.add_row(*map(literal, row))
        console.print(table)
    for name, value in suggestions(findings):
        console.print(f"{name[0].upper() + name[1:]}: {literal(value)}")
    for warning in findings.warnings:
        console.print(f"[yellow]Worth a look:[/] {literal(warning)}")
    for problem in findings.problems:
        errors.print(f"[bold red]Problem:[/] {literal(problem)}")
    if out is not None:
        console.print(f"Page: {literal(str(write_overview(findings, out)))}")
        if findings.palette is not None:
            console.print(
                f"Give the classes in {literal(str(out / PALETTE_FILE))} names and copy it into {literal(str(data))}."
            )
    if findings.problems:
        raise typer.Exit(1)
    console.print("[green]Nothing stands in the way of training.[/]")


@app.command(
    epilog="Examples:\n\nunet-tf train cells/ --out runs/cells --minutes 15\n\n"
    "unet-tf train nuclei/ --out runs/nuclei --config runs/cells/config.toml --seed 1\n\n"
    "unet-tf train cells/ --out runs/paper --preset paper\n\n"
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
    given = [out, config, preset, *settings]
    if resume is not None and any(one is not None for one in given):
        raise InputError("A run goes on as it was begun: --resume RUN takes no --out and no settings beside it.")
    if resume is None and (data is None or out is None):
        raise InputError("A new run needs DATA and --out RUN; one that was stopped goes on with --resume RUN.")
    settings = _settings(preset, config, settings)
    quiet_tensorflow()
    import unet_tf

    with show_log(), progress_bars() as bars:
        shown = _shown(bars) | {"callbacks": tensorboard_callback(resume or out) if tensorboard else ()}
        try:
            run = unet_tf.resume(resume, data, **shown) if resume else unet_tf.train(data, out, **shown, **settings)  # type: ignore[arg-type]
        except KeyboardInterrupt:
            raise typer.Exit(STOPPED) from None  # the log has said how to go on
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
    """Train once for each fold, or each seed; scores as mean and spread. --minutes and --epochs are those of each."""
    settings = _settings(preset, config, settings)
    quiet_tensorflow()
    import unet_tf
    from unet_tf.crossvalidation import summary_rows

    with show_log(), progress_bars() as bars:
        try:
            result = unet_tf.crossval(data, out, folds, seeds, **_shown(bars), **settings)
        except KeyboardInterrupt:
            raise typer.Exit(STOPPED) from None
    print_table(summary_rows(result))
    console.print(f"Report: {literal(str(out / Run.REPORT))}")


@app.command(
    epilog="Examples:\n\nunet-tf evaluate runs/cells cells/\n\nunet-tf evaluate runs/cells cells/ --split test"
)
def evaluate(
    run: RunFolder,
    data: Data,
    split: Annotated[str | None, typer.Option(help="train, val, test or all.", show_default="unseen files")] = None,
    tile: Tile = None,
) -> None:
    """Score a run on files it did not learn from, beside two trivial baselines."""
    quiet_tensorflow()
    import unet_tf

    with progress_bars() as bars:
        unet_tf.evaluate(run, data, split, tile, on_image=bars.counter("judging"))
    print_scores(run)
    console.print(f"Report: {literal(str(run / 'report.html'))}")


@app.command(
    epilog="Examples:\n\nunet-tf predict runs/cells image.png --out masks/\n\n"
    "unet-tf predict runs/cells scans/ --out masks/ --probabilities"
)
def predict(
    run: RunFolder,
    inputs: Annotated[list[Path], typer.Argument(help="Picture files, or folders of them.", metavar="INPUT...")],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the masks: NAME.png, drawn as the masks it learnt from; NAME.tif for a stack."),
    ],
    tile: Tile = None,
    probabilities: Annotated[
        bool, typer.Option(help="Write NAME.npy too: (H, W, classes) float32, one more axis for a stack.")
    ] = False,
) -> None:
    """Write a mask for each picture, of any size."""
    from unet_tf.data.folder import list_pictures

    files = [f for i in inputs for f in (list_pictures(i) if i.is_dir() else [i])]
    _check_outputs(files, out)
    quiet_tensorflow()

    opened, failed = Run(run), []
    # A damaged model or an illegal tile is said once, not for each file.
    opened.model  # noqa: B018
    if tile is not None:
        opened.geometry.tile_step(tile)
    with progress_bars() as bars:
        count, count_tiles = bars.counter("files"), bars.counter("tiles")
        for done, file in enumerate(files, start=1):
            try:
                _predict_file(opened, file, out, tile, probabilities, count_tiles)
            except InputError as error:
                failed.append(f"{file}: {error}" if str(file) not in str(error) else str(error))
            count(done, len(files))
    console.print(f"{len(files) - len(failed)} of {len(files)} masks written to {literal(str(out))}")
    for message in failed:
        errors.print(f"[bold red]Error:[/] {literal(message)}")
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example:  unet-tf export runs/cells --out bundles/cells")
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="The bundle, a new folder.")],
    tile: Tile = None,
) -> None:
    """Write a SavedModel for TF Serving and a TFLite file, each held against Keras."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.exporting import EXPORT_STEPS

    steps = itertools.count()
    with progress_bars() as bars:
        count = bars.counter("export")
        report = unet_tf.export(run, out, tile, on_step=lambda name: count(next(steps), EXPORT_STEPS))
    table = Table("artefact", "size", "largest difference in probability to Keras", "equal labels", box=None)
    for name, entry in report["artefacts"].items():
        table.add_row(
            name,
            f"{entry['bytes'] / 1e6:.1f} MB",
            f"{entry['max_probability_difference']:.1e}",
            f"{entry['label_agreement']:.4%}",
        )
    console.print(table)
    console.print(f"Bundle: {literal(str(out))}")


def _shown(bars: Bars) -> dict[str, Any]:
    """The arguments of training by which it shows how far it is."""
    names = {"on_file": "reading pairs", "on_progress": "training", "on_image": "judging"}
    return {argument: bars.counter(name) for argument, name in names.items()}


def _settings(preset: str | None, config: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Settings of the preset, over them those of the file, over them the flags."""
    return preset_settings(preset or "default") | (read_config(config) if config else {}) | flags


def _check_outputs(files: list[Path], out: Path) -> None:
    """Refuse before the first tile what could not be written, or would overwrite."""
    if not files:
        raise InputError("There is no picture to predict. Give picture files, or folders that hold some.")
    targets: dict[Path, Path] = {}
    for file in files:
        target = out / f"{file.stem}.png"
        if target in targets:
            raise InputError(f"{targets[target]} and {file} would both become {target}. Predict them into two folders.")
        if file.resolve() in (target.resolve(), target.with_suffix(".tif").resolve()):  # a stack's is .tif
            raise InputError(f"{file} is an input and would be overwritten. Choose another --out.")
        targets[target] = file
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the masks.")


def _predict_file(
    run: Any, file: Path, out: Path, tile: int | None, probabilities: bool, on_tile: Callable[[int, int], None]
) -> None:
    """Write the mask of a picture, or of each page of a stack, and the probabilities where wanted."""
    import numpy as np

    from unet_tf.data.pictures import count_pages, read_image, write_picture, write_stack
    from unet_tf.files import replacing
    from unet_tf.prediction import predict as predict_image

    pages = count_pages(file)
    found = [predict_image(run, read_image(file, page), tile, probabilities, on_tile=on_tile) for page in range(pages)]
    pictures = [run.masks.mask(one.argmax(-1).astype(np.uint8) if probabilities else one) for one in found]
    if probabilities:
        with replacing(out / f"{file.stem}.npy") as temporary:
            np.save(temporary, found[0] if pages == 1 else np.stack(found))
    if pages == 1:
        write_picture(out / f"{file.stem}.png", pictures[0])
    else:
        write_stack(out / f"{file.stem}.tif", np.stack(pictures))
