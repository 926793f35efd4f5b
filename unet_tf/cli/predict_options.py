"""The options of `unet-tf predict`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SERVER = "A net that is served"
"""Of the help: what is said beside --server."""
Run = Annotated[
    str,
    typer.Argument(
        help="Folder that train or crossval filled; a bundle, or a file of one; hf://USER/NAME. With --server the "
        "first INPUT.",
        metavar="RUN",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        help="Folder of the masks: NAME.png, drawn as the training masks; NAME.tif for a stack. Or NAME.zarr "
        "for one array, or TIFF with tiles or without compression, of any size, chunk by chunk. Or NAME.tif for one "
        "GeoTIFF of any size: a map of class ids in its coordinate system, 255 where it has no measurement."
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Picture files, folders of them, patterns; or a zarr array.", metavar="INPUT...", show_default=False
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(help="What tiles may take on this machine, such as 2GB.", show_default="a quarter of what is free"),
]
Tta = Annotated[str, typer.Option(help="Average over turned tiles: none, rotations (4) or all (8).")]
Format = Annotated[
    str, typer.Option(help="Of the masks of single pictures: png or tif, which keeps the place of a GeoTIFF.")
]
Probabilities = Annotated[
    bool, typer.Option(help="Write NAME.npy too: (H, W, classes) float32, one more axis for a stack.")
]
Overlay = Annotated[bool, typer.Option(help="Write NAME_overlay.png too, the mask laid over the picture.")]
Instances = Annotated[
    bool,
    typer.Option(
        help="Write NAME_instances.tif, or .zarr beside NAME.zarr: an id for each object; and NAME_objects.csv."
    ),
]
MinArea = Annotated[int, typer.Option(help="Pixels of the smallest object that --instances and --polygons count.")]
Polygons = Annotated[
    str,
    typer.Option(
        help="Write the outlines of the objects: geojson (annotations of QuPath), detections (of QuPath), coco, "
        "labelme, imagej; of a GeoTIFF gpkg (in its coordinates), wgs84 (GeoJSON in degrees); several, separated by "
        "commas.",
        show_default="none",
    ),
]
Simplify = Annotated[
    float, typer.Option(help="Leave out points of outlines that lie so many pixels or less from what is left.")
]
Subpixel = Annotated[bool, typer.Option(help="Let outlines run between the pixels, where the probabilities are equal.")]
Uncertainty = Annotated[
    bool,
    typer.Option(
        help="Write NAME_uncertainty.tif too, how unsure the net is of each pixel, 0 to 1; with --tta, or of a "
        "cross-validation, NAME_spread.tif: how much of it is that the turned tiles, or the nets, disagree."
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="What computes: tensorflow, openvino, onnxruntime (extras of these names), or auto, what was measured "
        "fastest on such a processor, of what is installed."
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(help="Do again what is done; files of earlier settings and outlines of others stay, and are named."),
]
Shard = Annotated[str | None, typer.Option(help="k/n: this is job k of n that share the work.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler whose workers do it, or local:N for N processes.")
]
Axes = Annotated[str | None, typer.Option(help="Of the zarr array or TIFF, such as tzyx.", show_default="its own")]
Chunk = Annotated[
    int | None, typer.Option(help="Largest side of a chunk of NAME.zarr or of a map, pixels.", show_default="2048")
]
Server = Annotated[
    str | None,
    typer.Option(
        help="Ask a server, TF Serving or unet-tf serve: http://HOST:8501 or grpc://HOST:8500, https:// or "
        "grpcs:// with TLS; or one that speaks V2 alone: v2+http://HOST:8080. RUN is not given then.",
        show_default="none: this machine",
        rich_help_panel=SERVER,
    ),
]
Model = Annotated[str, typer.Option(help="Its name there.", rich_help_panel=SERVER)]
ModelVersion = Annotated[
    int | None, typer.Option(help="Its version.", show_default="the newest", rich_help_panel=SERVER)
]
Label = Annotated[str | None, typer.Option(help="Label of a version, such as stable.", rich_help_panel=SERVER)]
Bundle = Annotated[
    Path | None,
    typer.Option(
        help="The bundle that is served, to draw masks as in training and to cut large pictures with less overlap. "
        "A net of --channels, --channel-suffix or --context needs it.",
        show_default="none: class ids with a colour table",
        rich_help_panel=SERVER,
    ),
]
InFlight = Annotated[int, typer.Option(help="Pictures at once.", rich_help_panel=SERVER)]
Timeout = Annotated[float, typer.Option(help="Seconds for an answer.", rich_help_panel=SERVER)]
Retries = Annotated[
    int,
    typer.Option(
        help="How often a request is sent again, later and later, where the server is away or busy.",
        rich_help_panel=SERVER,
    ),
]
MaxPixels = Annotated[int, typer.Option(help="Of a request; larger pictures are cut.", rich_help_panel=SERVER)]
Ca = Annotated[Path | None, typer.Option(help="File of certificates to trust with TLS.", rich_help_panel=SERVER)]
