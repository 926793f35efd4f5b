"""A bundle's net in headless Chromium: LiteRT.js beside ONNX Runtime Web, milliseconds a tile, downloads, exactness.

    python benchmarks/browser.py BUNDLE [--rounds 5] [--webgpu]

Each contender runs in a worker of its own, one tile to warm up and one a round; they take turns. `--webgpu` measures
WebGPU too, computed in software (SwiftShader) where there is no graphics processor: good for exactness alone.
"""

import argparse
import functools
import gzip
import http.server
import shutil
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

ONNXRUNTIME = "onnxruntime-web@1.30.0"
LITERT_WORKER = """
let model, name, litert;
onmessage = async ({ data: { file, threads, accelerator, input, shape } }) => {
  try {
    if (file) {
      litert = await import("./litert/litert.js");
      const path = (name) => new URL(`litert/${name}`, location.href).href;
      const script = path("litert_wasm_threaded_internal.js");
      self.Module = { locateFile: path, mainScriptUrlOrBlob: script, printErr: () => {} };
      await litert.loadLiteRt(path(""), { threads: true });
      const options = { accelerator, cpuOptions: { numThreads: threads }, gpuOptions: { precision: "fp32" } };
      model = await litert.loadAndCompile(file, options);
      name = model.getOutputDetails().findIndex((one) => one.name === "probabilities");
      return postMessage({});
    }
    const start = performance.now(), given = new litert.Tensor(input, shape), outputs = await model.run(given);
    const found = accelerator === "wasm" ? outputs[name] : await outputs[name].moveTo("wasm");
    const probabilities = found.toTypedArray().slice();
    for (const one of [given, ...outputs]) one.delete();
    postMessage({ probabilities, ms: performance.now() - start });
  } catch (error) { postMessage({ error: String(error) }); }
};
"""
ONNX_WORKER = """
import * as plain from "./ort/ort.wasm.min.mjs";
import * as gpu from "./ort/ort.webgpu.min.mjs";
let session, ort;
onmessage = async ({ data: { file, threads, accelerator, input, shape } }) => {
  try {
    if (file) {
      ort = accelerator === "wasm" ? plain : gpu;
      [ort.env.wasm.numThreads, ort.env.wasm.wasmPaths] = [threads, new URL("./ort/", location.href).href];
      session = await ort.InferenceSession.create(file, { executionProviders: [accelerator] });
      return postMessage({});
    }
    const start = performance.now();
    const { probabilities } = await session.run({ image: new ort.Tensor("float32", input, shape) }, ["probabilities"]);
    postMessage({ probabilities: probabilities.data.slice(), ms: performance.now() - start });
  } catch (error) { postMessage({ error: String(error) }); }
};
"""
PAGE = """<!doctype html><title>benchmark</title><script>
const workers = {};
function ask(name, message) {
  return new Promise((go) => {
    workers[name].onmessage = ({ data }) => go(data);
    workers[name].onerror = ({ message }) => go({ error: message });
    workers[name].postMessage(message);
  });
}
async function begin(name, script, message) {
  workers[name] = new Worker(script, { type: script === "onnx.js" ? "module" : "classic" });
  return ask(name, message);
}
async function tile(name, kind, shape, accelerator, wanted) {
  const bytes = await (await fetch(`tile.${kind}`)).arrayBuffer();
  const input = kind === "u8" ? new Uint8Array(bytes) : new Float32Array(bytes);
  const found = await ask(name, { input, shape, accelerator });
  if (found.probabilities) found.probabilities = wanted ? Array.from(found.probabilities) : null;
  return found;
}
</script>"""


class Isolated(http.server.SimpleHTTPRequestHandler):
    """A host whose pages may have threads."""

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_):
        """Say nothing."""


Isolated.extensions_map = {**Isolated.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}


def write_site(folder, bundle):
    """Both runtimes, the net in each form, a tile of noise; the probabilities of Keras for it."""
    import keras

    from unet_tf.exporting.bundle import Bundle
    from unet_tf.exporting.web import noise
    from unet_tf.exporting.web_runtime import fetch_runtime, write_runtime
    from unet_tf.model.ensemble import probabilities_of
    from unet_tf.model.inference import folded
    from unet_tf.model.onnx_graph import onnx_graph

    about = Bundle(bundle).description
    scale, how = about.normalisation, about.calibration
    model = keras.saving.load_model(bundle / "model.keras", compile=False)
    graph = onnx_graph(folded(model), how, mean=scale.mean, std=scale.std, size=(about.tile, about.tile))
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    for file in bundle.glob("model_*.tflite"):
        shutil.copy(file, folder)
    write_runtime(folder / "litert", fetch_runtime())
    subprocess.run(["npm", "pack", ONNXRUNTIME, "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(folder.glob("onnxruntime-web-*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    (folder / "package" / "dist").rename(folder / "ort")
    for name, text in {"index.html": PAGE, "litert.js": LITERT_WORKER, "onnx.js": ONNX_WORKER}.items():
        (folder / name).write_text(text)
    tile = noise(about.tile, scale.channels, scale.dtype)[None]
    tile.astype("<f4").tofile(folder / "tile.f32")
    tile.astype("u1").tofile(folder / "tile.u8")
    probabilities = probabilities_of(model, model(scale.scale(tile), training=False), how.temperature)
    return list(tile.shape), keras.ops.convert_to_numpy(probabilities)[0]


def download(folder, *names):
    """Megabytes of files, as they are and as a host compresses them."""
    contents = [(folder / name).read_bytes() for name in names]
    packed = sum(len(gzip.compress(content, 6)) for content in contents)
    return f"{sum(map(len, contents)) / 1e6:.1f} MB, {packed / 1e6:.1f} packed"


def contenders(webgpu):
    """(name, script, file, kind of the tile, accelerator, threads)."""
    found = [
        (f"{runtime}, {threads} thread{'s' * (threads > 1)}", script, file, kind, "wasm", threads)
        for runtime, script, file, kind in (
            ("LiteRT.js float32", "litert.js", "model_float32.tflite", "f32"),
            ("LiteRT.js uint8", "litert.js", "model_uint8.tflite", "u8"),
            ("ONNX Runtime Web float32", "onnx.js", "model.onnx", "f32"),
        )
        for threads in (1, 2)
    ]
    if webgpu:
        found.append(("LiteRT.js, WebGPU", "litert.js", "model_float32.tflite", "f32", "webgpu", 1))
        found.append(("ONNX Runtime Web, WebGPU", "onnx.js", "model.onnx", "f32", "webgpu", 1))
    return found


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--webgpu", action="store_true")
    given = parser.parse_args()
    flags = "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan --ignore-gpu-blocklist"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        shape, expected = write_site(folder, given.bundle)
        handler = functools.partial(Isolated, directory=name)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=flags.split() if given.webgpu else []
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        rows, times = contenders(given.webgpu), {}
        for number in range(given.rounds + 1):
            for row, script, file, kind, accelerator, threads in rows:
                if not number:
                    message = {"file": file, "threads": threads, "accelerator": accelerator}
                    if error := page.evaluate("all => begin(...all)", [row, script, message]).get("error"):
                        raise RuntimeError(f"{row}: {error}")
                found = page.evaluate("all => tile(...all)", [row, kind, shape, accelerator, not number])
                if "error" in found:
                    raise RuntimeError(f"{row}: {found['error']}")
                if number:
                    times[row].append(found["ms"])
                    continue
                times[row] = []
                probabilities = np.reshape(found["probabilities"], expected.shape) / (256 if kind == "u8" else 1)
                same = (probabilities.argmax(-1) == expected.argmax(-1)).mean()
                print(
                    f"{row}: to Keras {np.abs(probabilities - expected).max():.1e}, same labels {same:.3%}", flush=True
                )
        for row, all_ in times.items():
            print(f"{row}: {min(all_):.0f} ms at least, {np.median(all_):.0f} ms the median of {len(all_)}")
        wasm = ("litert_wasm_threaded_internal.wasm", "litert_wasm_threaded_internal.js", "litert.js")
        print("LiteRT.js:", download(folder / "litert", *wasm))
        plain = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        print("ONNX Runtime Web, processor alone:", download(folder / "ort", *plain))
        gpu = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
        print("ONNX Runtime Web, WebGPU too:", download(folder / "ort", *gpu))
        for file in ("model_float32.tflite", "model_uint8.tflite", "model.onnx"):
            print(f"{file}:", download(folder, file))
        browser.close()


if __name__ == "__main__":
    main()
