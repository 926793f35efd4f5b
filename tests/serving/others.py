"""Clients that others wrote, against a server: `python others.py HTTP GRPC PICTURE`, in an environment of theirs.

It prints what they found as JSON; masks are lists.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from ovmsclient import make_grpc_client, make_http_client
from tritonclient.utils import InferenceServerException


def failure(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as error:
        return type(error).__name__, str(error)
    return "", ""


def with_ovmsclient(client, file, image):
    status = client.get_model_status("unet")
    metadata = client.get_model_metadata("unet")
    return {
        "status": {str(version): one["state"] for version, one in status.items()},
        "metadata": metadata,
        "mask": np.asarray(client.predict({"image": image}, "unet")).tolist(),
        "version 1": np.asarray(client.predict({"image": image}, "unet", 1)).tolist(),
        "not found": failure(client.predict, {"image": image}, "other"),
        "no version": failure(client.get_model_status, "unet", 9),
        "bad shape": failure(client.predict, {"image": image[0]}, "unet"),
    }  # fmt: skip


def with_triton(address, file, image):
    client = triton.InferenceServerClient(address)

    def infer(name, array, kind, output, binary=True, **options):
        given = triton.InferInput(name, list(array.shape), kind)
        given.set_data_from_numpy(array, binary_data=binary)
        wanted = [triton.InferRequestedOutput(output, binary_data=binary)]
        return client.infer("unet", [given], outputs=wanted, **options).as_numpy(output)

    files = np.array([file], object)
    metadata = client.get_model_metadata("unet")
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("unet"),
        "not there ready": client.is_model_ready("other"),
        "server": client.get_server_metadata()["extensions"],
        "inputs": metadata["inputs"],
        "versions": metadata["versions"],
        "mask": infer("image", image, "UINT8", "mask").tolist(),
        "mask in JSON": infer("image", image, "UINT8", "mask", binary=False).tolist(),
        "version 1": infer("image", image, "UINT8", "mask", model_version="1").tolist(),
        "probabilities": infer("image", image, "UINT8", "probabilities").tolist(),
        "mask file": base64.b64encode(infer("image_bytes", files, "BYTES", "mask_bytes")[0]).decode(),
        "request id": client.infer("unet", [_input(image)], request_id="7").get_response()["id"],
    }
    try:
        infer("image", image[0], "UINT8", "mask")
    except InferenceServerException as error:
        found["bad shape"] = error.status(), error.message()
    return found | {"not found": failure(client.infer, "other", [_input(image)])}


def _input(image):
    given = triton.InferInput("image", list(image.shape), "UINT8")
    given.set_data_from_numpy(image)
    return given


if __name__ == "__main__":
    http, grpc, path = sys.argv[1:]
    image = np.load(path)
    file = Path(path).with_suffix(".png").read_bytes()
    found = {
        "ovms REST": with_ovmsclient(make_http_client(http), file, image),
        "ovms gRPC": with_ovmsclient(make_grpc_client(grpc), file, image),
        "triton": with_triton(http, file, image),
    }
    print(json.dumps(found))
