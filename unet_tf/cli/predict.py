"""Verbs that predict: predict, suggest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from unet_tf.cli import predict_options as option
from unet_tf.cli.app import RunFolder, Threshold, app, said
from unet_tf.cli.console import (
    Bars,
    console,
    literal,
    print_nodata,
    print_outcome,
    print_suggestions,
    working,
)
from unet_tf.data.folder import some
from unet_tf.errors import InputError
from unet_tf.utils.signals import Stopped
from unet_tf.utils.stderr import quiet_tensorflow

OF_NETS_HERE = "memory", "tta", "shard", "scheduler", "axes", "chunk", "uncertainty", "threshold", "engine"
OF_SERVERS = "model", "model_version", "label", "bundle", "in_flight", "timeout", "retries", "max_pixels", "ca"
"""Options that do nothing where the net computes elsewhere, and where it computes here."""


@app.command(
    epilog="Examples:\n\nunet-tf predict runs/cells image.png --out masks/\n\n"
    "unet-tf predict runs/cells scans/ 'more/*.tif' --out masks/ --overlay --instances --min-area 20\n\n"
    "unet-tf predict runs/cells scans/ --out masks/ --polygons geojson,labelme --min-area 20 --simplify 0.7\n\n"
    "unet-tf predict runs/cells slide.zarr --out masks.zarr --memory 4GB --engine auto\n\n"
    "unet-tf predict runs/folds scans/ --out masks/  (the mean of the nets of a cross-validation)\n\n"
    "unet-tf predict runs/roofs scene.tif --out roofs.tif  (a GeoTIFF of any size to a map that lies on it)\n\n"
    "unet-tf predict runs/cells slide.zarr --out masks.zarr --shard 3/8\n\n"
    "unet-tf predict --server http://gpu:8501 scans/ --out masks/ --bundle bundles/cells  (a net that is served)"
)
def predict(
    context: typer.Context,
    run: option.Run,
    out: option.Out,
    inputs: option.Inputs = None,
    memory: option.Memory = None,
    tta: option.Tta = "none",
    format: option.Format = "png",
    probabilities: option.Probabilities = False,
    overlay: option.Overlay = False,
    instances: option.Instances = False,
    min_area: option.MinArea = 1,
    polygons: option.Polygons = "",
    simplify: option.Simplify = 0,
    subpixel: option.Subpixel = False,
    uncertainty: option.Uncertainty = False,
    threshold: Threshold = None,
    engine: option.Engine = "tensorflow",
    overwrite: option.Overwrite = False,
    shard: option.Shard = None,
    scheduler: option.Scheduler = None,
    axes: option.Axes = None,
    chunk: option.Chunk = None,
    server: option.Server = None,
    model: option.Model = "unet",
    model_version: option.ModelVersion = None,
    label: option.Label = None,
    bundle: option.Bundle = None,
    in_flight: option.InFlight = 4,
    timeout: option.Timeout = 120,
    retries: option.Retries = 8,
    max_pixels: option.MaxPixels = 1 << 24,
    ca: option.Ca = None,
) -> None:
    """Write a mask for each picture, or for an array or map of any size. What is done is not done again."""
    extras: dict[str, Any] = {
        "format": format,
        "probabilities": probabilities,
        "overlay": overlay,
        "instances": instances,
    }
    extras |= {"polygons": polygons, "simplify": simplify, "subpixel": subpixel}
    if server is not None:
        _refuse_with_server(said(context, OF_NETS_HERE), out)
        asked = {"version": model_version, "label": label, "timeout": timeout, "retries": retries, "bundle": bundle}
        asked |= {"max_pixels": max_pixels, "ca": ca}
        extras |= {"min_area": min_area, "overwrite": overwrite, "in_flight": in_flight}
        _predict_served(server, model, asked, [run, *(inputs or [])], out, extras)
        return
    if not inputs:
        raise InputError(
            "RUN and INPUT must be given: unet-tf predict RUN INPUT... --out DIR, or --server URL INPUT..."
        )
    if given := said(context, OF_SERVERS):
        raise InputError(
            f"Without --server the net computes here, and {', '.join(given)} cannot be said. Leave it out, or give "
            "--server URL instead of the run."
        )
    quiet_tensorflow()
    from unet_tf.data.pictures import TIFF

    shared: dict[str, Any] = {"memory": memory, "tta": tta, "shard": shard, "scheduler": scheduler}
    shared |= {"overwrite": overwrite, "threshold": threshold, "engine": engine}
    extras |= {"min_area": min_area, "uncertainty": uncertainty}
    if out.suffix.lower() in (".zarr", *TIFF):
        if said(context, ("format",)):
            raise InputError(f"--format is of masks in a folder, and {out.name} says its own. Leave it out.")
        _predict_large(run, inputs, out, axes, chunk, extras, shared)
    elif axes is not None or chunk is not None:
        raise InputError(
            "--axes and --chunk are for an array or map of any size: give --out NAME.zarr, or without --axes NAME.tif."
        )
    else:
        _predict_pictures(run, inputs, out, extras | shared)


@contextmanager
def _predicting(overwrite: bool) -> Iterator[Bars]:
    """Show log and bars of a prediction; where a signal ends it, say by which command it goes on.

    What has counted nothing has not begun anew: without --overwrite the former prediction would be found, and be done.
    """
    from unet_tf.prediction.calls import rest

    with working("") as bars:
        try:
            yield bars
        except Stopped:
            console.print(f"Stopped. {rest(overwrite and bool(bars.progress.task_ids))}")
            raise


def _predict_pictures(run: str, inputs: list[str], out: Path, settings: dict[str, Any]) -> None:
    """Predict picture files into a folder of masks."""
    import unet_tf

    with _predicting(settings["overwrite"]) as bars:
        counters: dict[str, Any] = {"on_file": bars.counter("files"), "on_tile": bars.counter("tiles")}
        outcome = unet_tf.predict_files(run, inputs, out, on_pixels=bars.count_pixels, **counters, **settings)
    print_outcome(outcome, out, bars.speed)
    if outcome.failed:
        raise typer.Exit(1)


def _predict_large(
    run: str,
    inputs: list[str],
    out: Path,
    axes: str | None,
    chunk: int | None,
    extras: dict[str, Any],
    shared: dict[str, Any],
) -> None:
    """Predict one array or map of any size, and what is wanted of its objects."""
    import unet_tf
    from unet_tf.data.pictures import TIFF
    from unet_tf.prediction.arrays import stored_nodata
    from unet_tf.prediction.large_objects import number_objects
    from unet_tf.prediction.large_polygons import outline_objects
    from unet_tf.prediction.maps import map_nodata

    is_map = out.suffix.lower() in TIFF
    kinds = _check_large(inputs, out, axes, extras, shared["shard"], is_map)
    numbered = extras["instances"] or bool(kinds)
    with _predicting(shared["overwrite"]) as bars:
        counters: dict[str, Any] = {"on_chunk": bars.counter("chunks"), "on_pixels": bars.count_pixels}
        if is_map:
            unet_tf.predict_map(run, inputs[0], out, chunk, **shared, **counters)
        else:
            unet_tf.predict_large(run, inputs[0], out, axes, chunk, **shared, **counters)
        speed = bars.speed or "all of it was there"
        count = number_objects(out, extras["min_area"], bars.counter("chunks numbered")) if numbered else 0
        outlines = [outline_objects(out, one, extras["simplify"], bars.counter("chunks outlined")) for one in kinds]
    if not out.exists():
        console.print(f"The jobs that do the other chunks of {literal(str(out))} put it together; {speed}")
        return
    console.print(f"{'Map of class ids' if is_map else 'Class ids'}: {literal(str(out))}; {speed}")
    if numbered:
        beside = literal(str(out.with_name(f"{out.stem}_instances.zarr")))
        console.print(f"Ids of {count:,} objects: {beside}, and {literal(out.stem)}_objects.csv")
    for path in outlines:
        console.print(f"Outlines: {literal(str(path))}")
    values = map_nodata(out) if is_map else stored_nodata(out)  # those that the file names are not looked for
    print_nodata(inputs[:1], values, ", where there are any,")


def _check_large(
    inputs: list[str], out: Path, axes: str | None, extras: dict[str, Any], shard: str | None, is_map: bool
) -> tuple[str, ...]:
    """The formats of outlines; raises InputError for what a map or an array has no place for, or could not write."""
    from unet_tf.prediction.large_objects import check_outputs
    from unet_tf.prediction.large_polygons import KINDS, check_outline
    from unet_tf.prediction.objects import check_min_area
    from unet_tf.prediction.polygons import parse_polygons

    kinds = tuple(parse_polygons(extras["polygons"], extras["simplify"], extras["subpixel"]))
    objects = extras["instances"] or bool(kinds)
    if is_map and extras["min_area"] != 1:
        raise InputError(
            f"--min-area is of objects, and a map has none; received --min-area {extras['min_area']}. Leave it out, or "
            "predict into a folder, with --instances."
        )
    others = inputs[1:] + [
        f"--{name}" for name in ("probabilities", "overlay", "uncertainty", "subpixel") if extras[name]
    ]
    if is_map:
        others += [f"--{name}" for name in ("instances", "polygons") if extras[name]] + ["--axes"] * (axes is not None)
        rule = "A map is made of one GeoTIFF, with --chunk and no other outputs"
    else:
        others += [f"--polygons {kind}" for kind in kinds if kind not in KINDS]
        rule = "A zarr array of labels is made of one image, with --chunk, and with no other outputs but --instances "
        rule += f"and --polygons {' or '.join(KINDS)}"
    if others:
        raise InputError(
            f"{rule}; received {some(others, 3)} too. Leave that out, or predict into a folder, without --axes and "
            "--chunk."
        )
    if objects and shard is not None:
        raise InputError(
            "--instances and --polygons need all chunks: give them without --shard, once all jobs are done; what "
            "is done stays."
        )
    check_min_area(extras["min_area"], objects)
    if objects:
        check_outputs(out)
    for kind in kinds:
        check_outline(out, kind)
    return kinds


@app.command(
    epilog="Examples:\n\nunet-tf suggest runs/cells unlabelled/\n\n"
    "unet-tf suggest runs/cells plates/ 'more/*.tif' --count 20 --out next.csv"
)
def suggest(
    run: RunFolder,
    inputs: Annotated[
        list[str], typer.Argument(help="Picture files, folders of them, patterns.", metavar="PICTURES...")
    ],
    count: Annotated[int, typer.Option(help="How many pictures to name.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="File for the list: NAME.txt, a path a line, or NAME.csv, a table.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="What tiles may take on this machine, such as 2GB.", show_default="a quarter of what is free"
        ),
    ] = None,
) -> None:
    """Name the pictures whose annotation would teach the net most: unsure of their objects, and no near copies."""
    quiet_tensorflow()
    import unet_tf

    with working("Stopped. No list was written.") as bars:
        found = unet_tf.suggest(run, inputs, count, out, memory, bars.counter("pictures"))
    print_suggestions(found, out)
    if found.failed:
        raise typer.Exit(1)


def _refuse_with_server(given: list[str], out: Path) -> None:
    """Raise InputError for what a net behind a server cannot do."""
    from unet_tf.data.pictures import TIFF

    if given:
        raise InputError(
            f"With --server the net computes elsewhere, and {', '.join(given)} cannot be said. Leave it out, or give a "
            "run instead."
        )
    if out.suffix.lower() in (".zarr", *TIFF):
        raise InputError(
            f"With --server, --out must be a folder of masks; received {out}. Give a run for arrays and maps."
        )


def _predict_served(
    server: str, model: str, asked: dict[str, Any], inputs: list[str], out: Path, extras: dict[str, Any]
) -> None:
    """Send pictures to a server."""
    from unet_tf.edge.description import BUNDLE_DESCRIPTION
    from unet_tf.run import Run
    from unet_tf.serving.client import Client
    from unet_tf.serving.files import predict_served

    if any(Path(inputs[0], name).is_file() for name in (Run.CONFIG, BUNDLE_DESCRIPTION)):
        raise InputError(
            f"With --server no RUN is given, and {inputs[0]} is a run or a bundle. Leave it out; a bundle that is "
            "served is given with --bundle."
        )
    with _predicting(extras["overwrite"]) as bars, Client(server, model, **asked) as client:
        counters: dict[str, Any] = {"on_file": bars.counter("files"), "on_pixels": bars.count_pixels}
        outcome = predict_served(client, inputs, out, **extras, **counters)
    print_outcome(outcome, out, bars.speed)
    if outcome.failed:
        raise typer.Exit(1)
