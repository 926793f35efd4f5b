"""Where a net starts that was trained before: the weights of a run, a bundle, a `.keras` file, or one of the Hub."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from unet_tf.config import TrainConfig
from unet_tf.data.folder import some
from unet_tf.data.instances import BORDER_NAME
from unet_tf.edge.description import BUNDLE_DESCRIPTION, BUNDLE_NET, read_bundle
from unet_tf.errors import InputError
from unet_tf.model.reading import read_model
from unet_tf.model.unet import geometry_of, nets_of
from unet_tf.pages.words import many
from unet_tf.prediction.hub import fetch
from unet_tf.run import Run, load_model
from unet_tf.utils.hub import Address

FIRST = "down0_conv1"
"""The layer that sees the channels of a picture."""


@dataclass(frozen=True)
class Start:
    """A trained net.

    Attributes:
        path: where it was read from; of the Hub, its address.
        model: the net.
        classes: names of its classes; None where nobody knows.
    """

    path: Path | Address
    model: keras.Model
    classes: tuple[str, ...] | None

    def knows(self, classes: Sequence[str]) -> bool:
        """Say whether each of some classes is one of the net, by its name."""
        return self.classes is not None and {*classes} <= {*self.classes}

    def sizes_for(self, config: TrainConfig) -> TrainConfig:
        """A configuration whose net is like this one, where it leaves that open.

        Raises:
            InputError: it asks for another number of base filters, with which no kernel fits, or for batch
                normalisation where the net has none, or the other way round.
        """
        geometry = geometry_of(self.model)
        normalised = any(isinstance(layer, keras.layers.BatchNormalization) for layer in self.model.layers)
        own = {
            "base_filters": self.model.get_layer(FIRST).filters,
            "depth": geometry.depth,
            "padding": geometry.padding,
            "border_class": 0 if self.model.output_shape[-1] == 2 else None,
        }
        if config.base_filters not in (None, own["base_filters"]):
            raise InputError(
                f"A net must be as wide as the one that it starts from: {self.path} has {own['base_filters']} base "
                f"filters; received {config.base_filters}. Leave --base-filters out, or --from."
            )
        if config.batch_norm != normalised:  # which a configuration never leaves open
            has, flag = ("has", "--batch-norm") if normalised else ("has no", "--no-batch-norm")
            raise InputError(
                f"A net must have batch normalisation where the one that it starts from has it: {self.path} {has} "
                f"batch normalisation; received batch_norm = {config.batch_norm}. Say {flag}, or leave --from out."
            )
        open_ones: dict[str, Any] = {name: value for name, value in own.items() if getattr(config, name) is None}
        return replace(config, **open_ones)

    def give(self, model: keras.Model, classes: Sequence[str]) -> list[str]:
        """Put the weights into a new net, layer by layer.

        The logits of a class are those of the class of its name, where each has one, whatever their order; where names
        are not known, they are taken as they are. Kernels of one channel are spread over several, and those of several
        added up for one, so that a grey picture gives what it gave.

        Args:
            model: the new net; changed.
            classes: names of its classes.

        Returns:
            What did not fit and starts anew: name of the layer, and why.
        """
        known = {layer.name: layer.get_weights() for layer in self.model.layers}
        left = []
        for layer in model.layers:
            wanted = layer.get_weights()
            if not wanted:
                continue
            found = known.get(layer.name, [])
            if layer.name == "logits" and self.classes is not None and self.knows(classes):
                order = [self.classes.index(name) for name in classes]
                found = [weights[..., order] for weights in found]  # (1, 1, filters, classes), (classes,)
            if layer.name == FIRST and found:
                found = [_for_channels(found[0], wanted[0].shape[2]), *found[1:]]
            shapes, own = ([one.shape for one in weights] for weights in (found, wanted))
            if layer.name == "logits" and self.classes is not None and not self.knows(classes):
                left.append(f"logits (classes {', '.join(self.classes)} there, {', '.join(classes)} here)")
            elif shapes != own:
                there, here = (", ".join(map(str, each)) or "nothing" for each in (shapes, own))
                left.append(f"{layer.name} ({there} there, {here} here)")
            else:
                layer.set_weights(found)
        return left


def _for_channels(kernel: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """A first kernel (3, 3, C, F) for another number of channels, where it or that is 1; else as it is."""
    if kernel.shape[2] == 1:
        return np.repeat(kernel / channels, channels, axis=2)
    return kernel.sum(2, keepdims=True) if channels == 1 else kernel


def renaming(start: Start, classes: Sequence[str]) -> str:
    """How to say that classes of other names are those of the net; "" where each is known by its name."""
    if start.classes is None or start.knows(classes):
        return ""
    named = [name for name in start.classes if name != BORDER_NAME]  # which is made, and not named
    return (
        f"Classes of one name are one class: {start.path} has {', '.join(start.classes)}, the data has "
        f"{', '.join(classes)}, and the logits start anew."
        + f" Where they mean the same, call them so: --classes {shlex.quote(','.join(named))} (in the order of their "
        "ids), or in label_colors.txt." * (len(start.classes) == len(classes))
    )


def with_whole_path(config: TrainConfig) -> TrainConfig:
    """A configuration whose net to start from is found from every folder, as the run may go on in another.

    Of a repository of the Hub it is the revision of now, which is fetched.
    """
    if config.start_from is None:
        return config
    whole: Path | Address = Path(config.start_from).absolute()  # not resolved: a link's name says what lies behind it
    if (address := Address.parse(config.start_from)) is not None:
        whole = address if address.is_pinned else Address(address.name, fetch(address).name)
    return replace(config, start_from=str(whole))


def read_start(path: str | Path) -> Start:
    """Read the net of a run, a bundle, a `.keras` file or a repository of the Hub (`hf://USER/NAME`).

    Raises:
        InputError: there is none, or it is no U-Net of this package, a mean of several, or one inside another model.
    """
    address = Address.parse(path)
    path = file = Path(path) if address is None else fetch(address)
    where = address or path
    if path.suffix != ".keras":
        file = path / (BUNDLE_NET if (path / BUNDLE_DESCRIPTION).is_file() else Run.BEST)
    folder = file.parent
    if file.name == BUNDLE_NET and (folder / BUNDLE_DESCRIPTION).is_file():
        start = Start(where, read_model(file), read_bundle(folder).classes)
    elif address is not None:  # what Keras published there
        start = Start(where, read_model(path), None)
    elif folder == path or (file.name in (Run.BEST, Run.LAST) and (folder / Run.CONFIG).is_file()):
        run = Run(folder)
        start = Start(where, load_model(file, run.plan, run.normalisation.channels), run.classes)
    else:
        start = Start(where, read_model(file), None)
    nets = nets_of(start.model)
    if len(nets) > 1:
        raise InputError(
            f"A run must start from one net; {where} is the mean of {len(nets)}. Start from one of the runs that it "
            "was made of."
        )
    if nets:
        raise InputError(
            f"A run must start from a net that unet_tf.unet built; in {where} a net lies inside another model. Save "
            "the net by itself, and start from that."
        )
    geometry_of(start.model)
    if lacking := {FIRST, "logits"} - {layer.name for layer in start.model.layers}:
        raise InputError(
            f"A run must start from a net that unet_tf.unet built; {where} has no layer {', '.join(sorted(lacking))}. "
            "Start from one of unet_tf, or leave --from out."
        )
    return start


def said_of(left: Sequence[str], start: Start, model: keras.Model) -> str:
    """In words what a net takes over, and what not."""
    words = f"the net starts from all weights of {start.path}"
    if left:
        words = f"the net starts from the weights of {start.path}, but for {some(left, 5)}, which start anew"
    there, here = (net.input_shape[-1] for net in (start.model, model))
    return words if there == here or min(there, here) > 1 else f"{words}; {many(there, 'channel')} there, {here} here"
