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
from unet_tf.config import TrainConfig
from unet_tf.console import (
    console,
    errors,
    literal,
    print_scores,
    progress_bars,
    quiet_tensorflow,
    show_log,
    training_bar,
)
from unet_tf.errors import InputError
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
RunFolder = Annotated[Path, typer.Argument(help="Folder that train filled.", metavar="RUN")]
Classes = Annotated[
    str | None,
    typer.Option(help="Number of classes, or their names: 3, or sky,road,car.", show_default="as the masks tell"),
]
Masks = Annotated[str, typer.Option(help="Convention of the masks: auto, binary, palette, index or instance.")]
Void = Annotated[
    list[str],
    typer.Option(
        help="What counts nowhere: a class, a mask value, or a colour R,G,B. May be repeated.",
        default_factory=list,
        show_default=False,
    ),
]
Inverted = Annotated[bool, typer.Option(help="In binary masks 0 is the foreground.")]
Tolerance = Annotated[
    float,
    typer.Option(
        help="Take mask values so far from a known one for it. JPEG, soft edges: 128 if binary, 442 (any) in colours."
    ),
]
Group = Annotated[
    str | None, typer.Option(help="Regular expression: files in whose names it finds the same are held out together.")
]
Fold = Annotated[str | None, typer.Option(help="Hold out fold i of k, such as 1/5, instead of a share.")]
Seed = Annotated[int, typer.Option(help="Seed of split, start, order and augmentation.")]
Depth = Annotated[int, typer.Option(help="Number of poolings (4 in the paper).")]
Padding = Annotated[str, typer.Option(help="valid (the paper's) or same.")]
Tile = Annotated[int | None, typer.Option(help="Input size of a tile, pixels.", show_default="by the images")]


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
        report = unet_tf.demo(
            out, overwrite, callbacks=[training_bar(bars)], on_step=step, on_part=bars.counter("done")
        )
    print_scores(out)
    console.print(f"Report: {literal(str(report))}")


@app.command(
    epilog="Examples:\n\nunet-tf check cells/\n\nunet-tf check streets/ --out streets-check\n\n"
    "unet-tf check nuclei/ --masks instance --group '^patient[0-9]+'"
)
def check(
    data: Data,
    void: Void,
    out: Annotated[Path | None, typer.Option(help="Folder for a page with overlays, and the same as JSON.")] = None,
    classes: Classes = None,
    masks: Masks = TrainConfig.masks,
    inverted: Inverted = False,
    mask_tolerance: Tolerance = TrainConfig.mask_tolerance,
    group: Group = None,
    fold: Fold = None,
    seed: Seed = TrainConfig.seed,
    depth: Depth = TrainConfig.depth,
    padding: Padding = TrainConfig.padding,
    tile: Tile = None,
) -> None:
    """Read every pair: what is there, what is wrong, what to train with. Exit code 1 where training would fail."""
    settings = {name: value for name, value in locals().items() if name not in ("data", "out")}
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
    "unet-tf train nuclei/ --out runs/nuclei --masks instance --padding same\n\n"
    "unet-tf train cells/ --out runs/paper --base-filters 64 --tile 572 --batch-size 1 --border-weight 10"
)
def train(
    data: Data,
    void: Void,
    out: Annotated[Path, typer.Option(help="Folder of the new run.")],
    base_filters: Annotated[
        int, typer.Option(help="Filters of the first level (64 in the paper).")
    ] = TrainConfig.base_filters,
    depth: Depth = TrainConfig.depth,
    padding: Padding = TrainConfig.padding,
    classes: Classes = None,
    masks: Masks = TrainConfig.masks,
    inverted: Inverted = False,
    mask_tolerance: Tolerance = TrainConfig.mask_tolerance,
    group: Group = None,
    fold: Fold = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the pixels.", show_default="as many as fit into --minutes")
    ] = TrainConfig.epochs,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time to train, with reading and validation.", show_default="15 without --epochs"),
    ] = TrainConfig.minutes,
    batch_size: Annotated[int, typer.Option(help="Tiles a step.")] = TrainConfig.batch_size,
    tile: Tile = None,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of Adam.")] = TrainConfig.learning_rate,
    seed: Seed = TrainConfig.seed,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better mean IoU.")
    ] = TrainConfig.patience,
    batch_norm: Annotated[bool, typer.Option(help="Batch normalisation.")] = TrainConfig.batch_norm,
    precision: Annotated[
        str, typer.Option(help="float32, or bfloat16 where the processor has it.")
    ] = TrainConfig.precision,
    border_weight: Annotated[
        float | None,
        typer.Option(help="w0 of the separation borders.", show_default="10 with instance masks, else 0"),
    ] = TrainConfig.border_weight,
    class_balance: Annotated[
        bool, typer.Option(help="Weight the classes by their pixels.")
    ] = TrainConfig.class_balance,
    rotation: Annotated[float, typer.Option(help="Largest random turn, degrees.")] = TrainConfig.rotation,
    elastic: Annotated[
        float, typer.Option(help="Elastic deformation, pixels (10 in the paper).")
    ] = TrainConfig.elastic,
    rare_share: Annotated[
        float, typer.Option(help="Share of the tiles put on a class, each as often, so that rare ones appear.")
    ] = TrainConfig.rare_share,
    cache: Annotated[
        str, typer.Option(help="Where decoded pairs are kept: memory, disk, none, or auto by their size.")
    ] = TrainConfig.cache,
) -> None:
    """Train a U-Net on a folder; RUN gets config, checkpoints, history and report."""
    settings = {name: value for name, value in locals().items() if name not in ("data", "out")}
    quiet_tensorflow()
    import unet_tf

    with show_log(), progress_bars() as bars:
        run = unet_tf.train(
            data,
            out,
            callbacks=[training_bar(bars)],
            on_file=bars.counter("reading pairs"),
            on_image=bars.counter("judging"),
            **settings,
        )
    print_scores(run.path)
    console.print(f"Report: {literal(str(run.path / run.REPORT))}")


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
    found = [predict_image(run, read_image(file, page), tile, probabilities, on_tile) for page in range(pages)]
    pictures = [run.masks.mask(one.argmax(-1).astype(np.uint8) if probabilities else one) for one in found]
    if probabilities:
        with replacing(out / f"{file.stem}.npy") as temporary:
            np.save(temporary, found[0] if pages == 1 else np.stack(found))
    if pages == 1:
        write_picture(out / f"{file.stem}.png", pictures[0])
    else:
        write_stack(out / f"{file.stem}.tif", np.stack(pictures))
