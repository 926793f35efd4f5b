"""Load on `unet-tf serve`: many clients at once, each mask compared with the SavedModel's own, beside a plain loop.

    python benchmarks/serving.py [--requests 2000] [--clients 16] [--rounds 10] [--side 512] [--base 16]
                                 [--protocol rest|v2] [--running N]

Rounds of the server and of the loop take turns, each in a process of its own with TensorFlow's usual threads, so that
a machine that is shared or warms up does not favour one of them.
"""

import argparse
import base64
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, Queue

import httpx
import numpy as np
import psutil

PICTURES = 16
LOOP = """
import sys, time
import tensorflow as tf
from pathlib import Path
net = tf.saved_model.load(sys.argv[1]).signatures["encoded"]
files = [path.read_bytes() for path in sorted(Path(sys.argv[2]).glob("*.png"))]
masks = Path(sys.argv[2])
for number, file in enumerate(files):
    (masks / f"{number:02}.mask").write_bytes(net(image_bytes=tf.constant([file]))["mask_bytes"].numpy()[0])
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for number in range(int(line)):
        net(image_bytes=tf.constant([files[number % len(files)]]))["mask_bytes"].numpy()
    print(time.perf_counter() - start, flush=True)
"""
SERVER = """
import json, sys
from unet_tf.serving.limits import Limits
from unet_tf.serving.server import serve
limits = Limits(**json.loads(sys.argv[2]))
serve([sys.argv[1]], port=0, grpc_port=-1, limits=limits, on_ready=lambda ports: print(ports["http"], flush=True))
"""


def write_bundle(folder, base):
    """A bundle of an untrained net of depth 4, whose masks have both classes."""
    from unet_tf.data.masks import MaskFormat
    from unet_tf.data.normalisation import Normalisation
    from unet_tf.edge.description import Description
    from unet_tf.exporting.saved_model import signatures, write_saved_model, write_warmup
    from unet_tf.geometry import Geometry
    from unet_tf.model.unet import unet
    from unet_tf.tiling import default_tile

    normalisation, geometry = Normalisation((110.0,), (40.0,), "uint8"), Geometry(4, "same")
    net = unet((None, None, 1), 2, base_filters=base, depth=4, padding="same")
    about = Description(("background", "cell"), MaskFormat("binary", 2), normalisation, geometry, 256)
    path = folder / "saved_model" / "1"
    functions = signatures(net, normalisation, geometry, default_tile(geometry))
    write_saved_model(net, functions, str(path))
    write_warmup(path, np.zeros((256, 256, 1), np.uint8), functions)
    (folder / "bundle.json").write_text(json.dumps(about.to_json() | {"sha256": {}}))


def write_pictures(folder, side):
    import cv2

    from unet_tf.synthetic.cells import generate_cells

    folder.mkdir()
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f"{number:02}.png"), generate_cells(side, side, seed=number)[0])


def started(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        sys.exit("A process has not started; what it said stands above.")
    return process, line.strip()


def processor_seconds(process):
    """That a process has taken until now: what others do on a shared machine is no part of it."""
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


class Load:
    """Clients that ask for masks and compare them.

    Attributes:
        seconds: of each request.
        wrong, lost: requests whose mask differed, and those without an answer.
    """

    def __init__(self, address, protocol, files, masks, clients):
        self.protocol, self.files, self.masks = protocol, files, masks
        self.clients = [httpx.Client(base_url=address, timeout=300) for _ in range(clients)]
        self.seconds, self.wrong, self.lost = [], 0, 0

    def run(self, count):
        """Send so many requests; give the seconds that they took together."""
        numbers = Queue()
        for number in range(count):
            numbers.put(number % len(self.files))
        threads = [threading.Thread(target=self._work, args=(client, numbers)) for client in self.clients]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    def _work(self, client, numbers):
        while True:
            try:
                number = numbers.get_nowait()
            except Empty:
                return
            start = time.perf_counter()
            try:
                mask = getattr(self, f"_{self.protocol}")(client, self.files[number])
            except (httpx.HTTPError, KeyError, ValueError):
                self.lost += 1
                continue
            self.seconds.append(time.perf_counter() - start)
            self.wrong += mask != self.masks[number]

    def _rest(self, client, file):
        instance = {"b64": base64.b64encode(file).decode()}
        body = {"signature_name": "encoded", "instances": [instance]}
        (found,) = client.post("/v1/models/unet:predict", json=body).json()["predictions"]
        return base64.b64decode(found["b64"])

    def _v2(self, client, file):
        tail = struct.pack("<I", len(file)) + file
        one = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(tail)}}
        head = json.dumps({"inputs": [one], "parameters": {"binary_data_output": True}}).encode()
        length = "Inference-Header-Content-Length"
        answer = client.post("/v2/models/unet/infer", content=head + tail, headers={length: str(len(head))})
        return answer.content[int(answer.headers[length]) + 4 :]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--base", type=int, default=16)
    parser.add_argument("--protocol", choices=("rest", "v2"), default="rest")
    parser.add_argument("--running", type=int, help="requests worked on at once; the server's default without")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bundle(folder, given.base)
        write_pictures(folder / "pictures", given.side)
        loop, _ = started(LOOP, folder / "saved_model" / "1", folder / "pictures")
        limits = {} if given.running is None else {"running": given.running}
        server, port = started(SERVER, folder, json.dumps(limits))
        files, masks = ([path.read_bytes() for path in sorted((folder / "pictures").glob(f"*.{kind}"))]
                        for kind in ("png", "mask"))  # fmt: skip
        load = Load(f"http://127.0.0.1:{port}", given.protocol, files, masks, given.clients)
        process = psutil.Process(server.pid)
        each, memory, served, looped = max(1, given.requests // given.rounds), [], [], []
        before = [processor_seconds(one) for one in (server, loop)]
        for _ in range(given.rounds):
            served.append(load.run(each))
            memory.append(process.memory_info().rss / 2**20)
            print(each, file=loop.stdin, flush=True)
            looped.append(float(loop.stdout.readline()))
            speed = f"server {each / served[-1]:.2f}/s, loop {each / looped[-1]:.2f}/s"
            print(f"{speed}, {memory[-1]:.0f} MiB, {load.wrong} wrong, {load.lost} lost", flush=True)
        taken = [processor_seconds(one) - was for one, was in zip((server, loop), before, strict=True)]
        for one in (loop, server):
            one.terminate()
        code = server.wait(60)
    late = memory[len(memory) // 4 - 1 :] if len(memory) > 3 else memory
    ratios = np.divide(looped, served)
    p50, p99 = np.percentile(load.seconds, [50, 99])
    print(f"{len(load.seconds)} answers, {load.wrong} wrong, {load.lost} lost, exit code {code}")
    print(f"p50 {p50:.3f} s, p99 {p99:.3f} s, {len(load.seconds) / sum(served):.2f} requests/s")
    words = f"median {np.median(ratios):.3f} of {ratios.round(2)}"
    print(f"loop {each * given.rounds / sum(looped):.2f}/s; server / loop: {words}")
    print("processor seconds a request: server {:.3f}, loop {:.3f}".format(*np.divide(taken, each * given.rounds)))
    print(f"memory over the last three quarters: {late[0]:.0f} to {late[-1]:.0f} MiB, at most {max(late):.0f}")


if __name__ == "__main__":
    main()
