"""The U-Net paper made whole in Keras 3 on TensorFlow: train, judge, predict at any size, export.

Verbs are functions here and commands of `unet-tf`. Nothing heavy is imported before a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # what the lazy names below stand for
    from unet_tf.collection import predict_files as predict_files
    from unet_tf.config import TrainConfig as TrainConfig
    from unet_tf.crossvalidation import crossval as crossval
    from unet_tf.data.augment import Augmentation as Augmentation
    from unet_tf.data.augment import augment as augment
    from unet_tf.data.masks import MaskFormat as MaskFormat
    from unet_tf.data.masks import label_from_instances as label_from_instances
    from unet_tf.data.palette import read_palette as read_palette
    from unet_tf.data.pictures import read_image as read_image
    from unet_tf.data.pictures import read_mask as read_mask
    from unet_tf.data.synthetic import generate_cells as generate_cells
    from unet_tf.data.weight_map import border_weights as border_weights
    from unet_tf.data.weight_map import class_balance as class_balance
    from unet_tf.data.weight_map import components as components
    from unet_tf.demonstration import demo as demo
    from unet_tf.doctor import check as check
    from unet_tf.errors import InputError as InputError
    from unet_tf.evaluation import evaluate as evaluate
    from unet_tf.exporting import export as export
    from unet_tf.geometry import Geometry as Geometry
    from unet_tf.labels import label_from_one_hot as label_from_one_hot
    from unet_tf.labels import one_hot as one_hot
    from unet_tf.large import predict_large as predict_large
    from unet_tf.losses import WeightedCrossentropy as WeightedCrossentropy
    from unet_tf.metrics import MeanIoU as MeanIoU
    from unet_tf.metrics import scores as scores
    from unet_tf.model import unet as unet
    from unet_tf.prediction import predict as predict
    from unet_tf.preparation import dataset as dataset
    from unet_tf.run import Run as Run
    from unet_tf.training import resume as resume
    from unet_tf.training import train as train
    from unet_tf.verification import verify as verify

# name -> module that defines it
_HOME = {
    "unet": "model",
    "Geometry": "geometry",
    "WeightedCrossentropy": "losses",
    "MeanIoU": "metrics",
    "scores": "metrics",
    "read_image": "data.pictures",
    "read_mask": "data.pictures",
    "read_palette": "data.palette",
    "MaskFormat": "data.masks",
    "label_from_instances": "data.masks",
    "one_hot": "labels",
    "label_from_one_hot": "labels",
    "Augmentation": "data.augment",
    "augment": "data.augment",
    "generate_cells": "data.synthetic",
    "components": "data.weight_map",
    "border_weights": "data.weight_map",
    "class_balance": "data.weight_map",
    "check": "doctor",
    "dataset": "preparation",
    "InputError": "errors",
    "Run": "run",
    "TrainConfig": "config",
    "train": "training",
    "resume": "training",
    "crossval": "crossvalidation",
    "predict": "prediction",
    "predict_files": "collection",
    "predict_large": "large",
    "evaluate": "evaluation",
    "export": "exporting",
    "verify": "verification",
    "demo": "demonstration",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
