"""The U-Net paper made whole in Keras 3 on TensorFlow: train, judge, predict at any size, export.

Verbs are functions here and commands of `unet-tf`. Nothing heavy is imported before a name is used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name -> module that defines it
_HOME = {
    "unet": "model",
    "Geometry": "geometry",
    "WeightedCrossentropy": "losses",
    "MeanIoU": "metrics",
    "scores": "metrics",
    "label_from_mask": "data.masks",
    "label_from_instances": "data.masks",
    "generate_cells": "data.synthetic",
    "components": "data.weight_map",
    "border_weights": "data.weight_map",
    "class_balance": "data.weight_map",
    "check": "data.doctor",
    "InputError": "errors",
    "Run": "run",
    "TrainConfig": "run",
    "train": "training",
    "predict": "prediction",
    "evaluate": "evaluation",
    "export": "exporting",
    "demo": "demonstration",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
