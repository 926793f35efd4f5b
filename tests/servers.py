"""Bundles of small models, written quickly, and servers of them in processes of their own."""

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from forked import Forked

RUN = Path(__file__).parent / "saved" / "run_0_1"


def write_bundle(folder, versions=(1,)):
    """A bundle of the saved run, with what serving reads of it; version 2 gives each class the other's pixels."""
    from unet_tf.edge.description import Description
    from unet_tf.exporting.saved_model import signatures, write_saved_model, write_warmup
    from unet_tf.model.inference import folded
    from unet_tf.run import Run

    run = Run(RUN)
    model = folded(run.model)
    about = Description(run.classes, run.masks, run.normalisation, run.geometry, 256)
    folder.mkdir()
    said = json.dumps(about.to_json() | {"sha256": {}})
    (folder / "bundle.json").write_text(said)
    for number in sorted(versions):
        if number == 2:
            kernel, bias = model.layers[-1].get_weights()
            model.layers[-1].set_weights([-kernel, -bias])
        path = folder / "saved_model" / str(number)
        functions = signatures(model, run.normalisation, run.geometry, 256)
        write_saved_model(model, functions, str(path))
        write_warmup(path, picture(side=64), functions)
        if number == 2:
            (path / "assets.extra" / "bundle.json").write_text(said)
    return folder


def write_small(folder):
    """A bundle of two versions that load at once: each gives its number at every pixel."""
    import tensorflow as tf

    from unet_tf.edge.description import Description
    from unet_tf.run import Run

    class Small(tf.Module):
        def __init__(self, number):
            super().__init__()
            self.weight = tf.Variable(tf.fill((64, 64), float(number)))

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.uint8, "image")])
        def mask(self, image):
            return {"mask": tf.zeros_like(image[..., 0]) + tf.cast(self.weight[0, 0], tf.uint8)}

    run = Run(RUN)
    about = Description(run.classes, run.masks, run.normalisation, run.geometry, 256)
    folder.mkdir()
    (folder / "bundle.json").write_text(json.dumps(about.to_json() | {"sha256": {}}))
    for number in (1, 2):
        module, path = Small(number), str(folder / "saved_model" / str(number))
        tf.saved_model.save(module, path, signatures={"serving_default": module.mask, "again": module.mask})
    return folder


def write_maths(folder, like):
    """A bundle whose SavedModel has two inputs and two outputs, and a signature of strings."""
    import tensorflow as tf

    class Maths(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "x"), tf.TensorSpec((None,), tf.int32, "y")])
        def both(self, x, y):
            y = tf.cast(y, tf.float32)
            return {"sum": x + y[:, None], "half": y / 2}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "text")])
        def texts(self, text):
            return {"same_bytes": text, "word": tf.strings.join([text, "!"])}

    module = Maths()
    (folder / "saved_model").mkdir(parents=True)
    shutil.copy(like / "bundle.json", folder)
    path = str(folder / "saved_model" / "7")
    tf.saved_model.save(module, path, signatures={"serving_default": module.both, "texts": module.texts})
    return folder


def picture(seed=0, side=48, width=None):
    """(H, W, 1) grey pixels that change slowly, as of cells."""
    shape = (side, width or side)
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)[..., None]


def png(image):
    """The bytes of a PNG file."""
    return cv2.imencode(".png", image)[1].tobytes()


def b64(content):
    """Bytes as JSON of TF Serving."""
    return {"b64": base64.b64encode(content).decode()}


@dataclass
class Served:
    """A server that answers."""

    http: str
    grpc: str
    process: Forked
    bundle: Path
    log: Path

    def signature(self, name="serving_default", version=2):
        """A signature of the SavedModel itself, to be called directly."""
        return self.models(version).signatures[name]

    def models(self, version):
        import tensorflow as tf

        if not hasattr(self, "_loaded"):
            self._loaded = {}
        if version not in self._loaded:
            self._loaded[version] = tf.saved_model.load(str(self.bundle / "saved_model" / str(version)))
        return self._loaded[version]


def start(log, bundles, **options):
    """Start a server and wait until it answers: its process and its two addresses."""
    code = (
        "import sys, json, logging;"
        "from unet_tf.serving.limits import Limits; from unet_tf.serving.server import serve;"
        "logging.basicConfig(level='INFO'); options = json.loads(sys.argv[1]);"
        "options['limits'] = Limits(**options.get('limits', {}));"
        "serve(**options, on_ready=lambda ports: print(json.dumps(ports), flush=True))"
    )
    options = json.dumps({"bundles": list(map(str, bundles)), "port": 0, "grpc_port": 0, **options})
    with log.open("w") as stderr:
        process = Forked(code, options, stdout=subprocess.PIPE, stderr=stderr)
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        process.wait()
        raise RuntimeError(log.read_text())
    ports = json.loads(line)
    return process, f"http://127.0.0.1:{ports['http']}", f"127.0.0.1:{ports['grpc']}"
