"use strict";
// The page of a bundle's folder web/: the picture stays in this browser, a worker lays the net over it.

const parameters = new URLSearchParams(location.search);
const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
let net, worker, job = null, last = null, ready = false, failure = ""; // job: the file that is worked on; last: the one that is shown
const chosen = () => net.files[get("model").selectedIndex];

// A newer export may take over while this page is still being loaded: its files do not go with those that came before.
if (navigator.serviceWorker?.controller) {
  navigator.serviceWorker.addEventListener("controllerchange", () => ready || job || location.reload());
}

// The service worker keeps the page for times without a net of cables, and gives it the headers that threads need.
async function install() {
  if (crossOriginIsolated) sessionStorage.removeItem("reloaded");
  if (!("serviceWorker" in navigator)) return;
  try {
    const found = await navigator.serviceWorker.register("sw.js");
    const next = found.active ? null : found.installing ?? found.waiting;
    const settled = () => ["activated", "redundant"].includes(next.state);
    while (next && !settled()) await new Promise((go) => next.addEventListener("statechange", go, { once: true }));
    if (!found.active) return;
  } catch (error) {
    console.warn(error); // a browser that forbids it: one thread, and not offline
    return;
  }
  if (crossOriginIsolated || job || sessionStorage.getItem("reloaded")) return;
  sessionStorage.setItem("reloaded", "once");
  location.reload();
  await new Promise(() => {});
}

async function begin() {
  if (location.protocol === "file:") throw new Error("A browser opens this page from a web server alone: python -m http.server");
  await install();
  const answer = await fetch("net.json");
  if (!answer.ok) throw new Error(`net.json: HTTP ${answer.status} ${answer.statusText}`);
  net = await answer.json();
  for (const one of net.files) get("model").add(new Option(one.words));
  get("which").hidden = net.files.length < 2;
  const coloured = net.channels === 3 && net.pixel_type === "uint8";
  get("camera").hidden = !coloured;
  get("takes").textContent = `PNG${net.pixel_type === "uint8" ? " or JPEG" : ""}; this net was trained on ${kindOf(net.channels, net.pixel_type)} pictures.`;
  get("values").textContent = net.note;
  start();
}

function start() {
  worker?.terminate();
  [ready, failure] = [false, ""];
  worker = new Worker("worker.js");
  worker.onmessage = ({ data }) => hear(data);
  worker.onerror = (event) => hear({ failed: `The net cannot be started (${event.message ?? "the worker is missing"}).`, broken: true });
  const size = chosen().bytes + net.runtime_bytes;
  get("engine").textContent = `The net is being loaded: up to ${mb(size)}, once.`;
  worker.postMessage({ net, choice: chosen(), engine: parameters.get("engine") });
}

function hear({ loading, bytes, ready: engine, done, of, result, failed, broken }) {
  if (loading) get("engine").textContent = `The net is being loaded: ${mb(loading)} of ${mb(bytes)}.`;
  if (engine) {
    ready = true;
    describe(engine);
    if (job) send();
  }
  if (of) [get("progress").max, get("progress").value, get("progress").hidden] = [of, done, false];
  if (result) finish(result);
  if (failed) {
    if (!ready) [failure, get("engine").textContent] = [failed, ""];
    if (ready && broken) start(); // such as one whose memory is exhausted
    stop();
    get("out").hidden = true;
    last = null;
    say(failed, true);
  }
}

async function describe(engine) {
  const kept = navigator.serviceWorker?.controller && (await caches.match(chosen().file));
  const wide = crossOriginIsolated ? "" : " Threads need the service worker, which works over https.";
  get("engine").textContent = `${engine}${wide} ${kept ? "Kept for use without a network." : "Not kept: it needs the network each time."}`;
}

async function take(file) {
  if (!file) return;
  const busy = job !== null && ready;
  job = file;
  state.name = file.name.replace(/\.[^.]*$/, "") || "picture";
  say(`${file.name} is being segmented …`);
  get("cancel").hidden = false;
  if (!net) return; // the page goes on with it when the net is there
  if (failure) return hear({ failed: failure });
  if (busy) start();
  else if (ready) send();
}

const send = () => worker.postMessage({ file: job });

function stop() {
  job = null;
  get("cancel").hidden = get("progress").hidden = true;
}

function cancel() {
  say(`${job.name} was cancelled.`);
  const busy = ready;
  stop();
  if (busy) start(); // whatever is computed ends at once
}

function finish(result) {
  const canvas = new OffscreenCanvas(result.picture.width, result.picture.height);
  canvas.getContext("2d").putImageData(result.picture, 0, 0);
  show(canvas, result, net.classes);
  link("png", result.png, `${state.name}.png`);
  const tiles = result.tiles === 1 ? "one tile" : `${result.tiles} tiles`;
  say(`${job.name}: ${result.width} × ${result.height} pixels in ${result.seconds.toFixed(2)} s, ${tiles}.`);
  last = job;
  stop();
}

get("cancel").addEventListener("click", cancel);
get("model").addEventListener("change", () => { // what is shown is what the chosen net says
  const picture = job ?? last;
  start();
  job = null;
  take(picture);
});
listen(take);
begin().catch((error) => say(error.message, true));
