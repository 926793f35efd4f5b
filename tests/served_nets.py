"""Bundles of small untrained nets, and a server of them in a process of its own."""

import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import servers
from forked import Forked

KINDS = {
    "grey": {"channels": 1, "dtype": "uint8", "padding": "same"},
    "rgb": {"channels": 3, "dtype": "uint8", "padding": "valid"},
    "deep": {"channels": 1, "dtype": "uint16", "padding": "same"},
    "many": {"channels": 4, "dtype": "float32", "padding": "valid", "nodata": (-5.0,)},
}
"""Nets by name."""
PIXELS = 200_000
"""Of a request, at most."""


def write_net(folder, channels, dtype, padding, nodata=(), versions=(1,)):
    """A bundle of a net of two poolings and three classes, with what serving and predicting read of it."""
    import keras

    from unet_tf import Geometry, MaskFormat, Normalisation, unet
    from unet_tf.edge.description import Description
    from unet_tf.exporting.bundle import hashes
    from unet_tf.exporting.saved_model import signatures, write_saved_model

    keras.utils.set_random_seed(channels)
    model = unet((None, None, channels), 3, 4, 2, padding)
    for weight in model.trainable_weights:  # so that no two classes are equal where the picture is even
        if weight.name == "bias":
            weight.assign(keras.random.normal(weight.shape, stddev=0.2))
    wide = {"uint8": (120.0, 60.0), "uint16": (30000.0, 15000.0), "float32": (0.5, 0.3)}[dtype]
    normalisation = Normalisation((wide[0],) * channels, (wide[1],) * channels, dtype, nodata)
    masks = MaskFormat("palette", 3, ((0, 0, 0), (200, 30, 30), (30, 200, 30)))
    geometry = Geometry(2, padding)
    tile = geometry.nearest_legal(200)[0]
    about = Description(("ground", "cell", "rim"), masks, normalisation, geometry, tile)
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    functions = signatures(model, normalisation, geometry, tile)
    path = folder / "saved_model" / "1"
    write_saved_model(model, functions, str(path))
    (folder / "bundle.json").write_text(json.dumps(about.to_json() | {"sha256": hashes(folder)}))
    for version in versions[1:]:
        shutil.copytree(path, path.with_name(str(version)))
    return folder


def say_version(bundle, number, **changed):
    """Let a bundle say that it holds another version, whose description is that of version 1 but for this."""
    from unet_tf.exporting.bundle import Bundle

    file = bundle / "saved_model" / str(number) / "assets.extra" / "bundle.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(replace(Bundle(bundle).description, **changed).to_json() | {"sha256": {}}))


def picture(kind, height, width, seed=0):
    """(H, W, C) raw pixels for a net of `KINDS`."""
    own, rng = KINDS[kind], np.random.default_rng(seed)
    shape = height, width, own["channels"]
    if own["dtype"] == "float32":
        return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(own["dtype"]).max, shape, own["dtype"], endpoint=True)


@dataclass
class Nets:
    """A server that answers, and the bundles that it serves."""

    process: Forked
    http: str
    grpc: str
    bundles: dict

    def url(self, protocol):
        """Its address."""
        return self.http if protocol == "rest" else self.grpc


def start(log, bundles, **options):
    """Start a server of bundles by name, and wait until it answers."""
    given = [f"{name}={folder}" for name, folder in bundles.items()]
    process, http, grpc = servers.start(log, given, **options)
    return Nets(process, http, f"grpc://{grpc}", bundles)
