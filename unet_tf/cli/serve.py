"""Verb that serves nets to other programs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

import typer

from unet_tf.cli.app import app
from unet_tf.cli.console import errors, literal, say, show_log
from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra
from unet_tf.utils.stderr import quiet_tensorflow

PACKAGES = (
    "grpc", "grpc_health", "orjson", "prometheus_client", "starlette", "tensorflow_serving", "uvicorn",
)  # fmt: skip
"""That it takes beside those of every installation."""


@app.command(
    epilog="Examples:\n\nunet-tf serve bundles/cells\n\n"
    "unet-tf serve cells=bundles/cells roads=bundles/roads --port 9000\n\n"
    "unet-tf serve unet=bundles/cells --label stable=1 --label canary=2\n\n"
    "curl localhost:8501/v1/models/unet"
)
def serve(
    bundles: Annotated[
        list[str],
        typer.Argument(
            help="Folders that export filled, or NAME=BUNDLE. One without a name is unet, several have their folders'. "
            "A folder whose own name has an = is taken as such.",
            metavar="BUNDLE...",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of HTTP: TF Serving's REST, V2, /metrics and the page.")] = 8501,
    grpc_port: Annotated[int, typer.Option(help="Of gRPC; -1 for none.")] = 8500,
    label: Annotated[
        list[str] | None, typer.Option(help="LABEL=VERSION or NAME:LABEL=VERSION: served beside the newest version.")
    ] = None,
    max_pixels: Annotated[int, typer.Option(help="Of all pictures of a request.")] = 1 << 26,
    max_bytes: Annotated[int, typer.Option(help="Of the body of a request.")] = 64 << 20,
    queue: Annotated[int, typer.Option(help="Requests that may wait.")] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds within which a request is answered.")] = 120,
    drain: Annotated[
        float, typer.Option(help="Seconds after SIGTERM in which requests are taken while it says it is not ready.")
    ] = 0,
    quiet: Annotated[bool, typer.Option(help="No line for each request.")] = False,
) -> None:
    """Serve bundles over TF Serving's REST and gRPC and over V2, with a page at / to try them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong in C++ is raised, and said in our words
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    quiet_tensorflow()
    say("Starting: TensorFlow, then the versions that are to be served. It answers once all are warmed up.")
    for package in PACKAGES:
        import_extra(f"unet-tf serve needs the package {package}: pip install 'unet-tf[serve]'.", package)
    from unet_tf.serving.limits import Limits
    from unet_tf.serving.server import is_local
    from unet_tf.serving.server import serve as run

    for name, value in (("--max-pixels", max_pixels), ("--max-bytes", max_bytes), ("--timeout", timeout)):
        if value <= 0:
            raise InputError(f"{name} must be above 0; received {value}.")
    for name, value, least in (("--port", port, 0), ("--grpc-port", grpc_port, -1)):
        if not least <= value <= 65535:
            raise InputError(f"{name} must be {least} to 65535; received {value}.")
    if queue < 0 or drain < 0:
        raise InputError(f"--queue and --drain must be 0 or more; received {queue} and {drain}.")
    if not is_local(host):
        with suppress(SystemExit):  # where nobody reads it
            errors.print(
                f"[yellow]Open to others:[/] {literal(host)} is reached by other machines, and there is no password "
                "and no encryption. Put a proxy before it."
            )
    _log_requests(not quiet)
    limits = Limits(body=max_bytes, held=max(512 << 20, max_bytes), pixels=max_pixels, waiting=queue, seconds=timeout)

    def on_ready(ports: Mapping[str, int]) -> None:
        shown = f"[{host}]" if ":" in host else host
        say(f"Page:  http://{literal(shown)}:{ports['http']}/")
        if "grpc" in ports:
            say(f"gRPC:  {literal(shown)}:{ports['grpc']}")
        say("Ctrl-C stops it.")

    with show_log():
        run(bundles, host, port, grpc_port, label or (), limits, drain, on_ready=on_ready)


def _log_requests(wanted: bool) -> None:
    """A line of JSON for each request on standard error, or none."""
    access = logging.getLogger("unet_tf.serving.access")
    access.propagate = False
    handler: logging.Handler = logging.StreamHandler(sys.stderr) if wanted else logging.NullHandler()
    handler.setFormatter(logging.Formatter('{"time": "%(asctime)s", %(tail)s', "%Y-%m-%dT%H:%M:%S%z"))
    handler.addFilter(_with_tail)
    access.addHandler(handler)
    access.setLevel(logging.INFO)


def _with_tail(record: logging.LogRecord) -> bool:
    record.tail = record.getMessage()[1:]  # the time joins the JSON of the message
    return True
