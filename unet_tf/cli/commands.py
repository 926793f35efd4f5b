"""The command line: verbs to functions, errors in words."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from unet_tf.annotations.recognise import MARKS
from unet_tf.cli.console import (
    Bars,
    console,
    errors,
    literal,
    print_findings,
    print_nodata,
    print_outcome,
    print_scores,
    print_table,
    print_table_of_scores,
    show_log,
    tensorboard_callback,
    working,
)
from unet_tf.cli.options import SETTINGS, with_settings
from unet_tf.config import NAMING, PRESETS, preset_settings, read_config
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import MAX_IOU_DROP, PAGE, STATIC_TILE, TFLITE
from unet_tf.run import Run
from unet_tf.utils.signals import STOPPING
from unet_tf.utils.stderr import quiet_tensorflow
from unet_tf.version import __version__

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

AGAIN = "Stopped. The same command does what is left."


def main() -> None:
    """Run the command line; print an InputError as one message, exit code 1."""
    for number in STOPPING:  # what a second signal does: it ends the process at once
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
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

    with show_log(), working() as bars:
        report = unet_tf.demo(out, overwrite, on_step=bars.step, on_part=bars.counter("done"))
    print_scores(out)
    console.print(f"Report: {literal(str(report))}")


@app.command(
    epilog="Examples:\n\nunet-tf check cells/\n\nunet-tf check streets/ --out streets-check\n\n"
    "unet-tf check nuclei/ --masks instance --group '^patient[0-9]+'\n\n"
    "unet-tf check dyes/ --channel-suffix _dapi,_gfp\n\n"
    "unet-tf check eyes/ --masks-dir 1st_manual\n\nunet-tf check streets/ --mask-suffix _gtFine_labelIds"
)
@with_settings(
    "classes", "masks", "void", "inverted", "mask_tolerance", *NAMING, "channels", "channel_suffix", "context",
    "val_share", "group", "fold", "split_seed", "depth", "padding", "tile",
)  # fmt: skip
def check(
    data: Data,
    settings: dict[str, Any],
    out: Annotated[Path | None, typer.Option(help="Folder for a page with overlays, and the same as JSON.")] = None,
) -> None:
    """Read every pair: what is there, what is wrong, what to train with. Exit code 1 where training would fail."""
    from unet_tf.data.palette import PALETTE_FILE
    from unet_tf.planning.doctor import check as run_check
    from unet_tf.planning.page import check_folder, write_overview

    if out is not None:
        check_folder(out)
    with working() as bars:
        findings = run_check(data, on_file=bars.counter("reading pairs"), **settings)
    print_findings(findings)
    if out is not None:
        console.print(f"Page: {literal(str(write_overview(findings, out)))}")
        if findings.palette is not None:
            file = literal(str(out / PALETTE_FILE))
            console.print(f"Give the classes in {file} names and copy it into {literal(str(data))}.")
    if findings.problems:
        raise typer.Exit(1)
    console.print("[green]Nothing stands in the way of training.[/]")


@app.command(
    "import",
    epilog="Examples:\n\nunet-tf import labelme/ --out data/cells\n\n"
    "unet-tf import instances.json --images pictures/ --out data/cells --classes 'cell=nucleus+cytoplasm,vessel'\n\n"
    "unet-tf import rois/ --from imagej --out data/nuclei --instances --empty background\n\n"
    "unet-tf import masks/ --images dyes/ --out data/dyes --channel-suffix _dapi,_gfp",
)
def import_(
    source: Annotated[Path, typer.Argument(help="File or folder of annotations.", metavar="SOURCE")],
    out: Annotated[Path, typer.Option(help="Data folder to make, with images/ and masks/.", metavar="DATA")],
    program: Annotated[
        str | None,
        typer.Option("--from", help=f"Who wrote them: {', '.join(MARKS)}.", show_default="told by the content"),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures.", show_default="the source")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Those that count, also made of others: cell=nucleus+cytoplasm,vessel.")
    ] = None,
    instances: Annotated[bool, typer.Option(help="Write object ids, and not classes.")] = False,
    overlap: Annotated[str, typer.Option(help="Who wins: file (the last in it) or small (the smaller one).")] = "file",
    empty: Annotated[str, typer.Option(help="Pictures without annotations: skip, background or void.")] = "skip",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier import there.")] = False,
    channel_suffix: Annotated[
        str, typer.Option(help="What the names of the files of one picture end in: _dapi,_gfp.", show_default=False)
    ] = "",
) -> None:
    """Make a data folder of annotations, masks of outlines, and check it. Exit code 1 where training would fail."""
    import unet_tf

    with working() as bars:
        done = unet_tf.import_annotations(
            source, out, program=program, images=images, classes=classes, instances=instances, overlap=overlap,
            empty=empty, overwrite=overwrite, channel_suffix=channel_suffix, on_file=bars.counter("annotations"),
            on_picture=bars.counter("masks"),
        )  # fmt: skip
        findings = unet_tf.check(out, on_file=bars.counter("reading pairs"), **done.settings)
    what = "objects" if instances else "classes"
    console.print(
        f"{done.shapes} shapes of {literal(done.program)} in {done.pictures} masks of {what}: {literal(str(out))}"
    )
    for note in done.notes:
        console.print(f"[yellow]Worth a look:[/] {literal(note)}")
    print_findings(findings)
    if findings.problems:
        raise typer.Exit(1)
    flags = "".join(f" --{name} {value}" for name, value in done.flags)
    console.print(f"Train:  unet-tf train {literal(quote(str(out)))} --out {literal(quote(f'runs/{out.name}'))}{flags}")


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
    given = [out, config, preset, *settings]
    if resume is not None and any(one is not None for one in given):
        raise InputError("A run goes on as it was begun: --resume RUN takes no --out and no settings beside it.")
    if resume is None and (data is None or out is None):
        raise InputError("A new run needs DATA and --out RUN; one that was stopped goes on with --resume RUN.")
    settings = _settings(preset, config, settings)
    quiet_tensorflow()
    import unet_tf

    with show_log(), working("") as bars:  # the log says how to go on
        shown = _shown(bars) | {"callbacks": tensorboard_callback(resume or out) if tensorboard else ()}
        run = unet_tf.resume(resume, data, **shown) if resume else unet_tf.train(data, out, **shown, **settings)  # type: ignore[arg-type]
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
    from unet_tf.training.crossval import summary_rows

    with show_log(), working("") as bars:
        result = unet_tf.crossval(data, out, folds, seeds, **_shown(bars), **settings)
    print_table(summary_rows(result))
    console.print(f"Report: {literal(str(out / Run.REPORT))}")


@app.command(
    epilog="Examples:\n\nunet-tf evaluate runs/cells cells/\n\nunet-tf evaluate runs/cells cells/ --split test"
)
@with_settings(*NAMING)
def evaluate(
    run: RunFolder,
    data: Data,
    settings: dict[str, Any],
    split: Annotated[str | None, typer.Option(help="train, val, test or all.", show_default="unseen files")] = None,
) -> None:
    """Score a run on files it did not learn from, beside two trivial baselines."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.evaluate import NotStored

    try:
        with show_log(), working() as bars:
            result = unet_tf.evaluate(run, data, split, on_image=bars.counter("judging"), **settings)
    except NotStored as error:  # a read-only run: the scores are not lost
        print_table_of_scores(error.evaluation.to_json())
        raise
    print_table_of_scores(result.to_json())
    console.print(f"Report: {literal(str(run / Run.REPORT))}")


@app.command(
    epilog="Examples:\n\nunet-tf predict runs/cells image.png --out masks/\n\n"
    "unet-tf predict runs/cells scans/ 'more/*.tif' --out masks/ --overlay --instances --min-area 20\n\n"
    "unet-tf predict runs/cells scans/ --out masks/ --polygons geojson,labelme --min-area 20 --simplify 0.7\n\n"
    "unet-tf predict runs/cells slide.zarr --out masks.zarr --memory 4GB\n\n"
    "unet-tf predict runs/roofs scene.tif --out roofs.tif  (a GeoTIFF of any size to a map that lies on it)\n\n"
    "unet-tf predict runs/cells slide.zarr --out masks.zarr --shard 3/8"
)
def predict(
    run: RunFolder,
    inputs: Annotated[
        list[str],
        typer.Argument(help="Picture files, folders of them, patterns; or a zarr array.", metavar="INPUT..."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the masks: NAME.png, drawn as the masks it learnt from; NAME.tif for a stack. Or NAME.zarr "
            "for one array or mapped TIFF of any size, chunk by chunk. Or NAME.tif for one GeoTIFF of any size: a map "
            "of class ids in its coordinate system, 255 where it has no measurement."
        ),
    ],
    memory: Annotated[
        str | None,
        typer.Option(
            help="What tiles may take on this machine, such as 2GB.", show_default="a quarter of what is free"
        ),
    ] = None,
    tta: Annotated[str, typer.Option(help="Average over turned tiles: none, rotations (4) or all (8).")] = "none",
    format: Annotated[
        str, typer.Option(help="Of the masks of single pictures: png or tif, which keeps the place of a GeoTIFF.")
    ] = "png",
    probabilities: Annotated[
        bool, typer.Option(help="Write NAME.npy too: (H, W, classes) float32, one more axis for a stack.")
    ] = False,
    overlay: Annotated[bool, typer.Option(help="Write NAME_overlay.png too, the mask laid over the picture.")] = False,
    instances: Annotated[
        bool,
        typer.Option(
            help="Write NAME_instances.tif, or .zarr beside NAME.zarr: an id for each object; and NAME_objects.csv."
        ),
    ] = False,
    min_area: Annotated[int, typer.Option(help="Pixels of the smallest object that counts.")] = 1,
    polygons: Annotated[
        str,
        typer.Option(
            help="Write the outlines of the objects: geojson (annotations of QuPath), detections (of QuPath), coco, "
            "labelme, imagej; of a GeoTIFF gpkg (in its coordinates), wgs84 (GeoJSON in degrees); several, parted by "
            "commas.",
            show_default="none",
        ),
    ] = "",
    simplify: Annotated[
        float, typer.Option(help="Leave out points of outlines that lie so many pixels or less from what is left.")
    ] = 0,
    subpixel: Annotated[
        bool, typer.Option(help="Let outlines run between the pixels, where the probabilities are equal.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Do again what is done.")] = False,
    shard: Annotated[str | None, typer.Option(help="k/n: this is job k of n that share the work.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers do it, or local:N for N processes.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Of the zarr array or mapped TIFF, such as tzyx.", show_default="its own")
    ] = None,
    chunk: Annotated[
        int | None, typer.Option(help="Largest side of a chunk of NAME.zarr or of a map, pixels.", show_default="2048")
    ] = None,
) -> None:
    """Write a mask for each picture, or for an array or map of any size. What is done is not done again."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.data.pictures import TIFF
    from unet_tf.prediction.large import stored_nodata
    from unet_tf.prediction.large_objects import number_objects
    from unet_tf.prediction.large_polygons import KINDS, outline_objects
    from unet_tf.prediction.maps import map_nodata
    from unet_tf.prediction.polygons import parse_polygons

    shared = {"memory": memory, "tta": tta, "shard": shard, "scheduler": scheduler, "overwrite": overwrite}
    extras = {"format": format, "probabilities": probabilities, "overlay": overlay, "instances": instances}
    extras |= {"polygons": polygons, "simplify": simplify, "subpixel": subpixel}
    is_map = out.suffix.lower() in TIFF
    if is_map or out.suffix == ".zarr":
        kinds = parse_polygons(polygons, simplify, subpixel)
        if is_map and (len(inputs) > 1 or probabilities or overlay or instances or kinds or axes):
            raise InputError("A map is made of one GeoTIFF, with --chunk and no other outputs.")
        if len(inputs) > 1 or probabilities or overlay or subpixel or set(kinds) - KINDS.keys():
            raise InputError(
                "A zarr array of labels is made of one image, with --chunk, and with no other outputs but --instances "
                f"and --polygons {' or '.join(KINDS)}."
            )
        if (instances or kinds) and shard is not None:
            raise InputError(
                "--instances and --polygons need all chunks: give them without --shard, once all jobs are done; what "
                "is done stays."
            )
        with working(AGAIN) as bars:
            counters = {"on_chunk": bars.counter("chunks"), "on_pixels": bars.count_pixels}
            if is_map:
                unet_tf.predict_map(run, inputs[0], out, chunk, **shared, **counters)  # type: ignore[arg-type]
            else:
                unet_tf.predict_large(run, inputs[0], out, axes, chunk, **shared, **counters)  # type: ignore[arg-type]
            speed = bars.speed or "all of it was there"
            if instances or kinds:
                count = number_objects(out, min_area, bars.counter("chunks numbered"))
            outlines = [outline_objects(out, kind, simplify, bars.counter("chunks outlined")) for kind in kinds]
        if not out.exists():
            console.print(f"The jobs that do the other chunks of {literal(str(out))} put it together; {speed}")
            return
        console.print(f"{'Map of class ids' if is_map else 'Class ids'}: {literal(str(out))}; {speed}")
        if instances or kinds:
            beside = literal(str(out.with_name(f"{out.stem}_instances.zarr")))
            console.print(f"Ids of {count:,} objects: {beside}, and {literal(out.stem)}_objects.csv")
        for path in outlines:
            console.print(f"Outlines: {literal(str(path))}")
        print_nodata(inputs[:1], map_nodata(out) if is_map else stored_nodata(out))
        return
    if axes or chunk:
        raise InputError("--axes and --chunk are for an array or map of any size: give --out NAME.zarr or NAME.tif.")
    with working(AGAIN) as bars:
        counters = {"on_file": bars.counter("files"), "on_tile": bars.counter("tiles"), "on_pixels": bars.count_pixels}
        outcome = unet_tf.predict_files(run, inputs, out, min_area=min_area, **extras, **shared, **counters)  # type: ignore[arg-type]
    print_outcome(outcome, out, bars.speed)
    if outcome.failed:
        raise typer.Exit(1)


@app.command(
    epilog="Examples:\n\nunet-tf export runs/cells --out bundles/cells\n\n"
    "unet-tf export runs/cells --out bundles/cells --variants float32,uint8 --tile 512 --data moved/cells"
)
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="The bundle, a new folder.")],
    tile: Annotated[
        int | None,
        typer.Option(
            help="Side of the TFLite files' input, pixels.", show_default=f"by the pictures, at most {STATIC_TILE}"
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The data of the run, if it was moved.", show_default="where it was")
    ] = None,
    variants: Annotated[str, typer.Option(help="TFLite files to make; '' for none.")] = ",".join(TFLITE),
    bfloat16: Annotated[bool, typer.Option(help="A second SavedModel, in bfloat16.")] = False,
    max_iou_drop: Annotated[
        float, typer.Option(help="Largest loss of mean IoU against Keras; more, and nothing is exported.")
    ] = MAX_IOU_DROP,
) -> None:
    """Write a bundle: a SavedModel for TF Serving and TFLite files for the edge, each held against Keras."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.tables import bundle_rows

    names = [name.strip() for name in variants.split(",") if name.strip()]
    with working() as bars:
        report = unet_tf.export(
            run, out, tile, data=data, variants=names, bfloat16=bfloat16, max_iou_drop=max_iou_drop,
            on_step=bars.step, on_image=bars.counter("pictures"),
        )  # fmt: skip
    print_table(bundle_rows(report))
    console.print(f"On {report['pictures']}. Report: {literal(str(out / PAGE))}")


@app.command(
    epilog="Examples:\n\nunet-tf verify bundles/cells\n\nunet-tf verify bundles/cells cells/\n\n"
    "unet-tf verify bundles/cells image.png"
)
@with_settings(*NAMING)
def verify(
    settings: dict[str, Any],
    bundle: Annotated[Path, typer.Argument(help="Folder that export filled.", metavar="BUNDLE")],
    data: Annotated[
        Path | None,
        typer.Argument(help="Images and masks, as for check; or pictures alone. Noise if not given.", metavar="DATA"),
    ] = None,
) -> None:
    """Check the files of a bundle, then hold each of its nets against Keras, here. Exit code 1 if one differs."""
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.tables import bundle_rows

    with working() as bars:
        found = unet_tf.verify(bundle, data, on_image=bars.counter("pictures"), **settings)
    if found.report is not None:
        print_table(bundle_rows(found.report))
        console.print(f"On {found.report['pictures']}.")
    for fault in found.faults:
        errors.print(f"[bold red]Fault:[/] {literal(fault)}")
    if found.faults:
        raise typer.Exit(1)
    console.print("[green]All files are as exported, and no net differs from Keras by more than it may.[/]")


def _shown(bars: Bars) -> dict[str, Any]:
    """The arguments of training by which it shows how far it is."""
    names = {"on_file": "reading pairs", "on_progress": "training", "on_image": "judging"}
    return {argument: bars.counter(name) for argument, name in names.items()}


def _settings(preset: str | None, config: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Settings of the preset, over them those of the file, over them the flags."""
    return preset_settings(preset or "default") | (read_config(config) if config else {}) | flags
