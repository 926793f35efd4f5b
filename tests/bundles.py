"""Whole bundles of small nets, as `export` writes them, without training, data or comparison."""

import json
from dataclasses import replace

import numpy as np


def make_bundle(folder, padding="valid", calibration=None, variants=(), origin=None, license=""):
    """A bundle of a net of depth 2 with weights by chance: 8-bit grey pixels, two classes, tile 84."""
    import keras

    from unet_tf import MaskFormat, Normalisation, unet
    from unet_tf.edge.description import Description, Origin
    from unet_tf.exporting.bundle import CARD, DESCRIPTION, KERAS, PAGE, REPORT, SAVED_MODEL, hashes
    from unet_tf.exporting.card import model_card
    from unet_tf.exporting.shelves import write_version
    from unet_tf.exporting.tflite import write_tflite
    from unet_tf.geometry import Geometry
    from unet_tf.model.calibration import PLAIN
    from unet_tf.model.inference import folded

    keras.utils.set_random_seed(1)
    model = unet(base_filters=4, depth=2, padding=padding)
    for layer in model.layers:  # so that both classes are there
        if layer.name == "logits":
            layer.set_weights([20 * layer.get_weights()[0], layer.get_weights()[1]])
    about = Description(
        ("background", "cell"),
        MaskFormat("binary", 2),
        Normalisation((120.0,), (60.0,), "uint8"),
        Geometry(2, padding),
        84,
        origin or Origin(unet_tf="0.1", versions={"keras": keras.__version__}, max_iou_drop=0.01),
        calibration=calibration or PLAIN,
    )
    folder.mkdir(parents=True)
    net = folded(model)
    write_version(net, about, folder / SAVED_MODEL)
    model.save(folder / KERAS)
    windows = np.random.default_rng(0).integers(0, 256, (8, 84, 84, 1), dtype=np.uint8)
    write_tflite(net, about, variants, windows, folder)
    report = {
        "pictures": "noise, for want of files that can be used",
        "keras": {"max_probability_difference": 0.0, "label_agreement": 1.0},
        "artefacts": {
            SAVED_MODEL: {"max_probability_difference": 0.0, "label_agreement": 1.0, "bytes": 9, "milliseconds": 1.0}
        },
        "tile": 84,
        "threads": 2,
    }
    (folder / REPORT).write_text(json.dumps(report))
    (folder / PAGE).write_text("<html>a picture of the data</html>")
    (folder / CARD).write_text(model_card(folder.name, about, report, license), encoding="utf-8")
    rehash(folder, about, hashes, DESCRIPTION)
    return folder


def rehash(folder, about, hashes, name="bundle.json"):
    """Write what a bundle says of itself, by its files as they are now."""
    (folder / name).write_text(json.dumps(about.to_json() | {"sha256": hashes(folder)}))


def of_data(train=24, val=6, **scores):
    """Where a net comes from that learnt from so many files, with these scores."""
    from unet_tf.edge.description import Origin

    data = {"fingerprint": "ab" * 32, "train": train, "val": val}
    return replace(Origin(unet_tf="0.1", data=data, max_iou_drop=0.01), scores=scores)
