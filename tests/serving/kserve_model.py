"""kserve's own model server around a SavedModel: `python kserve_model.py SAVED_MODEL PORT`, where kserve is.

What others would write; the protocols are kserve's.
"""

import base64
import sys

import numpy as np
import tensorflow as tf
from kserve import InferOutput, InferResponse, Model, ModelServer


class Segmenter(Model):
    def __init__(self, path):
        super().__init__("unet")
        self.net, self.ready = tf.saved_model.load(path), True

    def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, dict):  # V1
            signature = payload.get("signature_name", "serving_default")
            return {"predictions": [self.v1(one, signature) for one in payload["instances"]]}
        (tensor,) = payload.inputs
        if tensor.datatype == "BYTES":
            files = [one if isinstance(one, bytes) else base64.b64decode(one) for one in tensor.data]
            masks = self.net.signatures["encoded"](image_bytes=tf.constant(files))["mask_bytes"].numpy()
            if isinstance(tensor.data[0], str):  # kserve's JSON has no bytes either
                masks = np.array([base64.b64encode(one).decode() for one in masks], object)
            output = InferOutput("mask_bytes", [len(masks)], "BYTES")
            output.set_data_from_numpy(masks, binary_data=not isinstance(tensor.data[0], str))
        else:
            wanted = {one.name for one in payload.request_outputs or []}
            name = "probabilities" if "probabilities" in wanted else "mask"
            signature = self.net.signatures["probabilities" if name == "probabilities" else "serving_default"]
            found = signature(image=tf.constant(tensor.as_numpy()))[name].numpy()
            output = InferOutput(name, list(found.shape), "FP32" if name == "probabilities" else "UINT8")
            output.set_data_from_numpy(found)
        return InferResponse(
            payload.id or "", "unet", [output],
            use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs,
        )  # fmt: skip

    def v1(self, instance, signature):
        if isinstance(instance, dict):
            (instance,) = [instance] if "b64" in instance else instance.values()
        if isinstance(instance, dict):
            files = tf.constant([base64.b64decode(instance["b64"])])
            mask = self.net.signatures["encoded"](image_bytes=files)["mask_bytes"].numpy()[0]
            return {"b64": base64.b64encode(mask).decode()}
        (found,) = self.net.signatures[signature](image=tf.constant(np.array([instance], np.uint8))).values()
        return found.numpy()[0].tolist()


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1).start([Segmenter(sys.argv[1])])
