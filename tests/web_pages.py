"""Bundles of small nets with their page, quickly written, and plain static hosts of them."""

import functools
import http.server
import threading
from contextlib import contextmanager

import keras
import numpy as np

from unet_tf import Geometry, unet
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.exporting.tflite import write_tflite
from unet_tf.exporting.web import check_web, write_web
from unet_tf.model.calibration import PLAIN, Calibration
from unet_tf.model.inference import folded
from unet_tf.run import Run


def write_bundle(folder, model, description, variants=("float32",)):
    """TFLite files and the page of a net."""
    folder.mkdir(parents=True)
    windows = None
    if "uint8" in variants:
        shape = (4, description.tile, description.tile, description.normalisation.channels)
        windows = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_tflite(model, description, variants, windows, folder)
    write_web(folder, description, check_web(description, variants))
    return folder


def of_run(folder, run):
    """A bundle of a run, float32 and uint8."""
    run = Run(run)
    about = Description(run.classes, run.masks, run.normalisation, run.geometry, 48)
    return write_bundle(folder, folded(run.model), about, ("float32", "uint8"))


def of_new_net(folder, channels=3, dtype="uint8", threshold=None):
    """A bundle of a net that has learnt nothing: three classes, or two that part at a threshold."""
    keras.utils.set_random_seed(1)
    classes = ("ground", "<road>", "道") if threshold is None else ("ground", "cell")
    geometry = Geometry(1, "valid")
    model = folded(unet((None, None, channels), len(classes), base_filters=4, depth=1))
    most = 65535.0 if dtype == "uint16" else 255.0
    scale = Normalisation((most / 2,) * channels, (most / 8,) * channels, dtype)
    masks = MaskFormat("index", len(classes), values=tuple(range(0, 3 * len(classes), 3)))
    how = PLAIN if threshold is None else Calibration(1.0, threshold)
    return write_bundle(folder, model, Description(classes, masks, scale, geometry, 52, calibration=how))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


class WithoutIndex(_Quiet):
    """What a bucket of S3 answers at its REST address: a folder is no object."""

    def do_GET(self):
        """Answer with files alone."""
        if self.path.split("?")[0].endswith("/"):
            self.send_error(404)
        else:
            super().do_GET()


class WithListing(_Quiet):
    """What Google Cloud Storage and MinIO answer: of a folder what is in it."""

    def do_GET(self):
        """Answer with files, and a list of them."""
        if not self.path.split("?")[0].endswith("/"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.end_headers()
        self.wfile.write(b"<ListBucketResult/>")


class LeadsAway(_Quiet):
    """What hosts of short addresses answer: the page is at that of its folder alone."""

    def do_GET(self):
        """Lead from index.html to its folder."""
        if self.path.endswith("/index.html"):
            self.send_response(308)
            self.send_header("Location", "./")
            self.end_headers()
        else:
            super().do_GET()


class Host:
    """A static host as anybody has one: no header of its own."""

    def __init__(self, folder, handler=_Quiet):
        handler = functools.partial(handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """Answer nobody any more."""
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def hosted(folder, handler=_Quiet):
    """A host of a folder, which stops at the end."""
    host = Host(folder, handler)
    yield host
    host.stop()
