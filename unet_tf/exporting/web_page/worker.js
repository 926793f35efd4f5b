"use strict";
// The net, in a thread of its own: a picture file in, its mask out, tile by tile.

importScripts("tiles.js", "png.js", "picture.js");
const MOST_THREADS = 8;
const FIRM = 1e-3; // by which the graphics processor may differ from the export on the tile that it is tried on
let net, choice, litert, model, names;

onmessage = async ({ data }) => {
  try {
    if (data.net) {
      [net, choice] = [data.net, data.choice];
      postMessage({ ready: await load(data.engine) });
    } else {
      await segment(data.file);
    }
  } catch (error) {
    const broken = !(error instanceof Refused);
    postMessage({ failed: broken ? `It cannot be computed here (${error?.message ?? error}).` : error.message, broken });
  }
};

async function load(engine) {
  const content = await download(choice);
  litert = await import(`./${net.runtime}/litert.js`);
  const threaded = self.crossOriginIsolated && (await litert.supportsFeature("relaxedSimd")) && (await litert.supportsFeature("threads"));
  const path = (name) => new URL(`${net.runtime}/${name}`, location.href).href;
  const script = path(`litert_wasm_${threaded ? "threaded" : "compat"}_internal.js`);
  const quiet = (words) => console.debug(words);
  self.Module = { locateFile: path, mainScriptUrlOrBlob: script, print: quiet, printErr: quiet };
  await (threaded ? litert.loadLiteRt(path(""), { threads: true }) : litert.loadLiteRt(script));
  const threads = threaded ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  let why = await gpu(content, engine);
  if (!why) return "Computed by WebGPU, on the graphics processor.";
  await compile(content, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
  return `Computed by WebAssembly, ${threads === 1 ? "one thread" : `${threads} threads`}: ${why}.`;
}

// The file of the net, if it is the one that the page was made with.
async function download({ file, bytes, sha256 }) {
  const answer = await fetch(file, { cache: "no-cache" });
  if (!answer.ok) throw new Refused(`${file} cannot be loaded (${answer.status}). Publish the folder again, whole.`);
  const parts = [], reader = answer.body.getReader();
  let loaded = 0;
  for (let part; !(part = await reader.read()).done;) {
    parts.push(part.value);
    postMessage({ loading: (loaded += part.value.length), bytes });
  }
  const content = new Uint8Array(await new Blob(parts).arrayBuffer());
  const digest = self.crypto?.subtle && new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const found = digest && [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (content.length !== bytes || (found && found !== sha256)) {
    for (const name of (await self.caches?.keys()) ?? []) await (await caches.open(name)).delete(new URL(file, location.href).href);
    throw new Refused(`${file} is not the file of this page: damaged, or of another export. Reload, or publish the folder again.`);
  }
  return content;
}

async function compile(content, options) {
  try { model?.delete?.(); } catch (error) { console.warn(error); } // that of WebGPU, if it was wrong
  model = undefined;
  model = await litert.loadAndCompile(content, options);
  names = model.getOutputDetails().map((one) => one.name);
}

// Compiles for WebGPU and tries it; "" where it is right, else why not.
async function gpu(content, engine) {
  if (!choice.exact) return "this net computes with whole numbers";
  if (engine === "wasm") return "as asked for";
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return "this browser has no WebGPU here";
  if (engine !== "webgpu" && (adapter.info?.isFallbackAdapter || adapter.isFallbackAdapter)) return "WebGPU has no graphics processor here";
  try {
    await compile(content, { accelerator: "webgpu", gpuOptions: { precision: "fp32" } });
    if (!model.isFullyAccelerated) return "WebGPU cannot compute all of this net";
    const { tile, channels, check } = net, shift = net.pixel_type === "uint16" ? 16 : 24;
    const noise = Float32Array.from({ length: tile * tile * channels }, (_, n) => Math.imul(n, 0x9e3779b1) >>> shift);
    const { probabilities } = await run(noise);
    const right = check.places.every((place, n) => Math.abs(probabilities[place] - check.probabilities[n]) <= FIRM);
    return right ? "" : "WebGPU computes wrong numbers here";
  } catch (error) {
    console.warn(error);
    return "WebGPU failed here";
  }
}

// One tile -> the outputs that are needed. The labels of WebGPU are wrong, its probabilities right.
async function run(window) {
  const input = new litert.Tensor(window, [1, net.tile, net.tile, net.channels]);
  const outputs = await model.run(input), found = {};
  for (const [n, name] of names.entries()) {
    if (name === "probabilities" || !choice.exact) {
      const here = outputs[n].accelerator === "wasm" ? outputs[n] : await outputs[n].moveTo("wasm");
      found[name] = here.toTypedArray().slice();
      here.delete();
    } else {
      outputs[n].delete();
    }
  }
  input.delete();
  return found;
}

async function segment(file) {
  const start = performance.now(), image = await readPicture(file, net), size = image.height * image.width;
  const label = new Uint8Array(size), sure = new Uint8Array(size), drawn = new Uint16Array(size);
  const pixels = net.classes.map(() => 0), window = new (choice.exact ? Float32Array : Uint8Array)(net.tile ** 2 * net.channels);
  const all = places(net, image.height, image.width);
  postMessage({ done: 0, of: all.length });
  for (const [n, place] of all.entries()) {
    readWindow(net, image, place, window);
    const { mask, probabilities } = await run(window);
    if (choice.exact && !probabilities.every(Number.isFinite)) {
      throw new Refused("A net must give finite probabilities; this one gives NaN or infinity here. Export again.");
    }
    eachOwn(net, image, place, (to, from) => {
      const id = choice.exact ? labelOf(probabilities, from * net.values.length) : mask[from];
      drawn[to] = net.values[id];
      label[to] = net.real[id];
      sure[to] = Math.round(255 * probability(probabilities, from * net.values.length, label[to]));
      pixels[label[to]]++;
    });
    postMessage({ done: n + 1, of: all.length });
  }
  const png = await writePng(image.height, image.width, drawn, net.table), picture = preview(image, 4096);
  const seconds = (performance.now() - start) / 1000;
  postMessage({ result: { height: image.height, width: image.width, label, sure, pixels, png, picture, tiles: all.length, seconds } });
}

// As unet_tf.model.calibration.label_of.
function labelOf(probabilities, at) {
  if (net.threshold !== 0.5) return Number(probabilities[at + 1] > Math.fround(net.threshold));
  let best = 0;
  for (let id = 1; id < net.values.length; id++) if (probabilities[at + id] > probabilities[at + best]) best = id;
  return best;
}

// Of a class that a person means: pixels of borders are the objects'.
function probability(probabilities, at, label) {
  let sum = 0;
  net.real.forEach((real, id) => { if (real === label) sum += choice.step * (probabilities[at + id] - choice.zero); });
  return Math.min(1, sum);
}
