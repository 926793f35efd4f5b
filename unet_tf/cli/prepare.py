"""Verbs before training: check, import."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from unet_tf.annotations.pieces import MASKS
from unet_tf.annotations.recognise import MARKS
from unet_tf.cli.app import Data, app
from unet_tf.cli.console import console, literal, print_findings, working
from unet_tf.cli.options import with_settings
from unet_tf.config import NAMING
from unet_tf.edge.description import BUNDLE_DESCRIPTION
from unet_tf.pages.words import many
from unet_tf.run import Run
from unet_tf.utils.signals import Stopped
from unet_tf.utils.text import argument


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
        check_folder(out, data)
    with working() as bars:
        findings = run_check(data, on_file=bars.counter("reading pairs"), **settings)
    print_findings(findings)
    if out is not None:
        with working():  # a signal lets it be written whole
            page = write_overview(findings, out)
        console.print(f"Page: {literal(str(page))}")
        if findings.palette is not None:
            file = literal(str(out / PALETTE_FILE))
            console.print(
                f"Give the classes in {file} names, where they have none, and copy it into {literal(str(data))}."
            )
    if findings.problems:
        raise typer.Exit(1)
    console.print("[green]Nothing stands in the way of training.[/]")


@app.command(
    "import",
    epilog="Examples:\n\nunet-tf import labelme/ --out data/cells\n\n"
    "unet-tf import instances.json --images pictures/ --out data/cells --classes 'cell=nucleus+cytoplasm,vessel'\n\n"
    "unet-tf import rois/ --from imagej --out data/nuclei --instances --empty background\n\n"
    "unet-tf import masks/ --images dyes/ --out data/dyes --channel-suffix _dapi,_gfp\n\n"
    "unet-tf import cells/ --from masks --instances --out numbered/  (each piece of a binary mask becomes an object)",
)
def import_(
    source: Annotated[Path, typer.Argument(help="File or folder of annotations.", metavar="SOURCE")],
    out: Annotated[Path, typer.Option(help="Data folder to make, with images/ and masks/.", metavar="DATA")],
    program: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"Who wrote them: {', '.join(MARKS)}; or masks, whose pieces are numbered.",
            show_default="told by the content",
        ),
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
    class_field: Annotated[
        str | None,
        typer.Option(help="Of GeoJSON and vectors: the field that names the class.", show_default="class, label, ..."),
    ] = None,
) -> None:
    """Make a data folder of annotations, masks of outlines, and check it. Exit code 1 where training would fail."""
    import unet_tf

    with working() as bars:
        done = unet_tf.import_annotations(
            source, out, program=program, images=images, classes=classes, instances=instances, overlap=overlap,
            empty=empty, overwrite=overwrite, channel_suffix=channel_suffix, class_field=class_field,
            on_file=bars.counter("annotations"), on_picture=bars.counter("masks"),
        )  # fmt: skip
        try:
            findings = unet_tf.check(out, on_file=bars.counter("reading pairs"), **done.settings)
        except Stopped:
            console.print(f"Imported, and not checked: {literal(str(out))}")
            raise
    drawn = many(done.shapes, "piece" if done.program == MASKS else "shape")
    what = many(done.pictures, "mask") + (" of objects" if instances else " of classes")
    console.print(f"{drawn} of {literal(done.program)} in {what}: {literal(str(out))}")
    for note in done.notes:
        console.print(f"[yellow]Worth a look:[/] {literal(note)}")
    print_findings(findings)
    if findings.problems:
        raise typer.Exit(1)
    flags = "".join(f" --{name} {literal(quote(value))}" for name, value in done.flags)
    if (net := _start_of(done.net)) is not None:
        flags += f" --from {literal(argument(net))}"
    run = argument(f"runs/{out.name}")
    console.print(f"Train:  unet-tf train {literal(argument(out))} --out {literal(run)}{flags}")


def _start_of(net: str) -> Path | None:
    """The run or bundle whose predictions were corrected, as one would write it here; None where it is not there."""
    path = Path(net)
    if not net or not any((path / name).is_file() for name in (Run.CONFIG, BUNDLE_DESCRIPTION)):
        return None
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
