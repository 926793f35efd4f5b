"""Verbs that ship a net: export, verify."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from unet_tf.cli import export_options as option
from unet_tf.cli.app import app, said
from unet_tf.cli.console import console, errors, literal, print_table, working
from unet_tf.cli.options import with_settings
from unet_tf.config import NAMING
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import MAX_IOU_DROP, PAGE, TFLITE
from unet_tf.utils.stderr import quiet_tensorflow
from unet_tf.utils.text import argument

OF_A_BUNDLE = "tile", "variants", "bfloat16", "onnx", "web", "bioimageio", "author", "license", "max_iou_drop"
"""Options that say what a new bundle holds, and nothing of one that stands."""
RunOrBundle = Annotated[
    Path, typer.Argument(help="Folder that train or crossval filled; with --hub, or a bundle.", metavar="RUN")
]


@app.command(
    epilog="Examples:\n\nunet-tf export runs/cells --out bundles/cells\n\n"
    "unet-tf export runs/cells --out bundles/cells --variants float32,uint8 --tile 512 --data moved/cells\n\n"
    "unet-tf export runs/cells --out bundles/cells --onnx\n\n"
    "unet-tf export runs/folds --out bundles/cells --variants ''  (the mean of all nets of a cross-validation)\n\n"
    "unet-tf export runs/cells --out bundles/cells --variants float32,uint8 --web\n\n"
    "unet-tf export runs/cells --out bundles/cells --bioimageio --author 'Ada Lovelace, Analytical Society' "
    "--license CC-BY-4.0\n\n"
    "unet-tf export runs/cells2 --out bundles/cells --add-version\n\n"
    "unet-tf export runs/cells --out bundles/cells --hub anna/cells\n\n"
    "unet-tf export bundles/cells --hub anna/cells  (a bundle that stands)"
)
def export(
    context: typer.Context,
    run: RunOrBundle,
    out: option.Out = None,
    tile: option.Tile = None,
    data: option.Data = None,
    variants: option.Variants = ",".join(TFLITE),
    bfloat16: option.Bfloat16 = False,
    onnx: option.Onnx = False,
    web: option.Web = False,
    bioimageio: option.Bioimageio = False,
    author: option.Author = None,
    license: option.License = "",
    max_iou_drop: option.MaxIouDrop = MAX_IOU_DROP,
    add_version: option.AddVersion = False,
    hub: option.Hub = None,
    private: option.Private = False,
) -> None:
    """Write a bundle: a SavedModel for TF Serving and TFLite files for the edge, each held against Keras.

    Of a cross-validation each file holds all nets and gives the mean: N times the size and the time of one.
    """
    quiet_tensorflow()
    import unet_tf
    from unet_tf.evaluation.bundle_tables import bundle_rows

    given = said(context, OF_A_BUNDLE)
    if private and hub is None:
        raise InputError("--private is said of a new repository: give --hub USER/NAME beside it, or leave it out.")
    if hub is not None:
        _may_publish(hub, run, out, add_version, bool(given) or data is not None)
        if out is None:
            _publish(run, hub, private)
            return
    if out is None:
        raise InputError("A bundle has to be written somewhere: give --out DIR, a new folder.")
    if add_version:
        _add_version(run, out, data, given)
        return
    names = [name.strip() for name in variants.split(",") if name.strip()]
    with working() as bars:
        report = unet_tf.export(
            run, out, tile, data=data, variants=names, bfloat16=bfloat16, onnx=onnx, web=web, bioimageio=bioimageio,
            authors=author or [], license=license, max_iou_drop=max_iou_drop,
            on_step=bars.step, on_image=bars.counter("pictures"),
        )  # fmt: skip
    print_table(bundle_rows(report))
    console.print(f"On {report['pictures']}. Report: {literal(str(out / PAGE))}")
    if web:
        from unet_tf.exporting.web import WEB, first_visit

        size = first_visit(out) / 1e6
        console.print(f"Page: {literal(str(out / WEB))}, for any static host; a first visit loads up to {size:.1f} MB.")
    if hub is not None:
        try:
            _publish(out, hub, private)
        except InputError as error:
            raise InputError(f"{error} The bundle stands: {_publishing(out, hub, private)} publishes it.") from error


def _add_version(run: Path, bundle: Path, data: Path | None, given: list[str]) -> None:
    """Add a version to a bundle that stands, and say how it compares to Keras."""
    import unet_tf
    from unet_tf.evaluation.bundle_tables import bundle_rows

    if given:
        raise InputError(
            "--add-version writes a SavedModel alone, by the rules of the bundle: leave out "
            f"{', '.join(given)}, or export to another --out."
        )
    with working() as bars:
        report = unet_tf.add_version(run, bundle, data=data, on_step=bars.step, on_image=bars.counter("pictures"))
    print_table(bundle_rows(report))
    added = literal(str(bundle / next(iter(report["artefacts"]))))
    console.print(f"On {report['pictures']}. Added: {added}; to take it back, remove that folder.")


def _may_publish(hub: str, run: Path, out: Path | None, add_version: bool, others: bool) -> None:
    """Raise InputError, before anything is written, where it could not be published as it was asked."""
    from unet_tf.exporting.bundle import DESCRIPTION
    from unet_tf.exporting.hub import writer

    if add_version:
        raise InputError("--hub and --add-version are two steps: add the version, then unet-tf export BUNDLE --hub.")
    is_bundle = (run / DESCRIPTION).is_file()
    if is_bundle and (others or out is not None):
        raise InputError(
            f"{run} is a bundle that stands, and is published as it is: leave out --out and what says how to export, "
            "or give a run."
        )
    if out is None and not is_bundle:
        raise InputError(f"{run} is no bundle that could be published. Say where it is to be written: --out DIR.")
    writer(hub)


def _publish(bundle: Path, hub: str, private: bool) -> None:
    """Publish a bundle, and say where it is."""
    from unet_tf.exporting.hub import publish

    stopped = f"Stopped. Nothing was published; {_publishing(bundle, hub, private)} goes on."
    with working(literal(stopped)) as bars:
        found = publish(bundle, hub, private=private, on_step=bars.step, on_file=bars.counter("files"))
    console.print(f"Published: {literal(found.address)}; {literal(found.url)}")


def _publishing(bundle: Path, hub: str, private: bool) -> str:
    """The command that publishes a bundle that stands, as it was asked for."""
    return f"unet-tf export {argument(bundle)} --hub {quote(hub)}{' --private' * private}"


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
    from unet_tf.evaluation.bundle_tables import bundle_rows

    with working() as bars:
        found = unet_tf.verify(bundle, data, on_image=bars.counter("pictures"), **settings)
    if found.report is not None:
        for report in (found.report, *found.versions.values()):
            limits = ["allowed", "", *(found.allowed[name] for name in report["artefacts"])]
            print_table([(*row, limit) for row, limit in zip(bundle_rows(report), limits, strict=True)])
            console.print(f"On {report['pictures']}.")
    for fault in found.faults:
        errors.print(f"[bold red]Fault:[/] {literal(fault)}")
    if found.faults:
        raise typer.Exit(1)
    console.print("[green]All files are as exported, and no net differs from Keras by more than it may.[/]")
