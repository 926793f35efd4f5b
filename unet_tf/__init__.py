"""The U-Net paper made whole in Keras 3 on TensorFlow: train, judge, predict at any size, export.

Verbs are functions here and commands of `unet-tf`. The names stand in `__init__.pyi`; nothing heavy is imported before
one of them is used. Where Keras is there already, what its files name is registered with it.
"""

import sys

import lazy_loader

from unet_tf.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if hasattr(sys.modules.get("keras"), "ops"):  # Keras 3
    from unet_tf.evaluation.metrics import MeanIoU as MeanIoU
    from unet_tf.model.losses import CrossentropyDice as CrossentropyDice
    from unet_tf.model.losses import WeightedCrossentropy as WeightedCrossentropy
    from unet_tf.model.muon import Muon as Muon
