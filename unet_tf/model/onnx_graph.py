"""A folded U-Net, or the mean of several, written as an ONNX graph: what other runtimes than TensorFlow compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from unet_tf.errors import InputError
from unet_tf.model.calibration import HALF, PLAIN, Calibration
from unet_tf.model.ensemble import members_of
from unet_tf.model.unet import geometry_of
from unet_tf.utils.extras import import_extra
from unet_tf.version import __version__

if TYPE_CHECKING:
    import keras
    import onnx

OPSET, IR_VERSION = 17, 8
"""Of ONNX 1.12 (2022): what Fiji's engine, OpenCV and older runtimes read too."""
MOST_BYTES = 2**31 - 1
"""That a file of protocol buffers may have."""
IMAGE, MASK, PROBABILITIES, SUM = "image", "mask", "probabilities", "sum"
"""Names of the input and of the outputs."""


def import_onnx() -> Any:
    """The package onnx, which is heavy, and an extra.

    Raises:
        InputError: it is not installed.
    """
    return import_extra("ONNX needs the package onnx. Install it: pip install 'unet-tf[onnx]'", "onnx")


def onnx_graph(
    model: keras.Model,
    calibration: Calibration = PLAIN,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    nodata: Sequence[float] = (),
    size: tuple[int, int] | None = None,
    outputs: Sequence[str] = (MASK, PROBABILITIES),
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Write a net as an ONNX graph of built-in operators (opset 17), each convolution with its bias.

    Input: `image` (batch, height, width, channels) float32. Outputs: `mask` (batch, out, out) uint8 class ids by the
    rule of `unet_tf.model.calibration.label_of`, and `probabilities` (batch, out, out, num_classes) float32.

    Args:
        model: folded (`unet_tf.model.inference.folded`), in float32: normalised pixels -> logits; or an ensemble.
        calibration: temperature of a net alone, whose logits are divided by it, and threshold of two classes.
        mean: of each channel; None where the pixels come normalised.
        std: of each channel.
        nodata: raw values that stand for "no measurement" and count as the mean.
        size: height and width of the input, legal ones, then of one picture; None for any, each time.
        outputs: which of the two, in order; and `sum`, a scalar, the sum of the logits of a net, or of the
            probabilities of an ensemble, which is finite where all of them are.
        metadata: words that the file carries, by name.

    Returns:
        An `onnx.ModelProto`; `.SerializeToString()` is the content of a file.

    Raises:
        InputError: the package `onnx` is missing, the size is not legal, or the net is beyond 2 GiB.

    Example:
        >>> from unet_tf import unet
        >>> graph = onnx_graph(unet(base_filters=2, depth=1), size=(28, 28)).graph
        >>> [node.op_type for node in graph.node][:3]
        ['Transpose', 'Conv', 'Relu']
    """
    onnx = import_onnx()
    geometry, members = geometry_of(model), members_of(model)
    channels, num_classes = model.input_shape[-1], model.output_shape[-1]
    if size is not None:
        geometry.check(*size)
    if (needed := 4 * model.count_params()) > MOST_BYTES:
        raise InputError(f"An ONNX file must be below 2 GiB; the weights of this net take {needed / 2**30:.1f}.")
    graph = _Graph(onnx)
    x = IMAGE
    if mean is not None and std is not None:
        x = graph.add("Div", graph.add("Sub", x, graph.constant(mean)), graph.constant(std))
        for value in nodata:  # each channel by itself
            x = graph.add("Where", graph.add("Equal", IMAGE, graph.constant(value)), graph.constant(0.0), x)
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    if members:
        each = []
        for one in members:
            scaled = graph.add("Mul", x, graph.constant(np.reshape(one.scale, (1, -1, 1, 1))))
            scaled = graph.add("Add", scaled, graph.constant(np.reshape(one.offset, (1, -1, 1, 1))))
            each.append(graph.softmax(graph.net(one.model, scaled), one.temperature))
        total = each[0]
        for found in each[1:]:  # in their order, as Keras adds them
            total = graph.add("Add", total, found)
        found = probabilities = graph.add("Div", total, graph.constant(float(len(each))))
    else:
        found = graph.net(model, x)
        probabilities = graph.softmax(found, calibration.temperature)
    if MASK in outputs:
        if calibration.threshold == HALF:
            label = graph.add("ArgMax", found, axis=1, keepdims=0)
        else:
            second = graph.add("Gather", probabilities, graph.constant(1, np.int64), axis=1)
            label = graph.add("Greater", second, graph.constant(calibration.threshold))
        graph.add("Cast", label, out=MASK, to=onnx.TensorProto.UINT8)
    if PROBABILITIES in outputs:
        graph.add("Transpose", probabilities, out=PROBABILITIES, perm=[0, 2, 3, 1])
    if SUM in outputs:
        graph.add("ReduceSum", found, out=SUM, keepdims=0)
    shape: list[Any] = ["batch", "height", "width"] if size is None else [1, *size]
    out: list[Any] = ["batch", "height_out", "width_out"]
    if size is not None:
        out = [1, *(geometry.output_size(length) for length in size)]
    helper, kinds = onnx.helper, onnx.TensorProto
    given = [helper.make_tensor_value_info(IMAGE, kinds.FLOAT, [*shape, channels])]
    results = {
        MASK: helper.make_tensor_value_info(MASK, kinds.UINT8, out),
        PROBABILITIES: helper.make_tensor_value_info(PROBABILITIES, kinds.FLOAT, [*out, num_classes]),
        SUM: helper.make_tensor_value_info(SUM, kinds.FLOAT, []),
    }
    made = helper.make_model(
        helper.make_graph(graph.nodes, "unet", given, [results[name] for name in outputs], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="unet_tf",
        producer_version=__version__,
    )
    helper.set_model_props(made, dict(metadata or {}))
    return made


class _Graph:
    """Nodes and weights of a graph as it is written; values are known by their names. Pictures are (B, C, H, W)."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add an operation; give the name of its output."""
        out = out or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def constant(self, value: ArrayLike, dtype: Any = np.float32) -> str:
        """Add a constant; give its name."""
        name = f"constant{len(self.weights)}"
        self.weights.append(self._onnx.numpy_helper.from_array(np.asarray(value, dtype, order="C"), name))
        return name

    def softmax(self, logits: str, temperature: float) -> str:
        """Add the softmax over the channels of logits / temperature."""
        if temperature != 1:
            logits = self.add("Div", logits, self.constant(temperature))
        return self.add("Softmax", logits, axis=1)

    def net(self, model: keras.Model, x: str) -> str:
        """A U-Net as `unet_tf.unet` builds it: normalised pixels -> logits."""
        geometry = geometry_of(model)

        def conv(name: str, x: str) -> str:
            kernel, bias = model.get_layer(name).get_weights()  # (h, w, in, out)
            pad = kernel.shape[0] // 2 if geometry.padding == "same" else 0
            weights = self.constant(kernel.transpose(3, 2, 0, 1)), self.constant(bias)
            return self.add("Conv", x, *weights, kernel_shape=list(kernel.shape[:2]), pads=4 * [pad])

        def block(prefix: str, x: str) -> str:
            for i in (1, 2):
                x = self.add("Relu", conv(f"{prefix}_conv{i}", x))
            return x

        skips = []
        for level in range(geometry.depth):
            x = block(f"down{level}", x)
            skips.append(x)
            x = self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = block(f"down{geometry.depth}", x)
        for level, margin in zip(reversed(range(geometry.depth)), geometry.crop_margins, strict=True):
            kernel, bias = model.get_layer(f"up{level}_upconv").get_weights()  # (2, 2, out, in)
            weights = self.constant(kernel.transpose(3, 2, 0, 1)), self.constant(bias)
            x = self.add("ConvTranspose", x, *weights, kernel_shape=[2, 2], strides=[2, 2])
            skip = skips[level]
            if margin:
                sides = [margin, margin], [-margin, -margin], [2, 3]
                skip = self.add("Slice", skip, *(self.constant(values, np.int64) for values in sides))
            x = block(f"up{level}", self.add("Concat", skip, x, axis=1))
        return conv("logits", x)
