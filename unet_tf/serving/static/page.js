"use strict";
// The page of `unet-tf serve`: sends a picture file, lays the mask that comes back over it.

const get = (id) => document.getElementById(id);
const state = { models: [], name: "picture", found: null, label: null, sure: null, at: null };

async function load() {
  state.models = await (await fetch("page/models")).json();
  for (const model of state.models) get("model").add(new Option(model.name));
  get("which").hidden = state.models.length < 2;
  describe();
}

function listen() {
  get("model").addEventListener("change", describe);
  for (const id of ["file", "photo"]) {
    get(id).addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
  }
  get("example").addEventListener("click", async () => {
    const answer = await fetch(`page/models/${get("model").value}/example`);
    take(new File([await answer.blob()], "example.png", { type: "image/png" }));
  });
  const drop = get("drop");
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
  get("opacity").addEventListener("input", showOpacity);
  get("mask").addEventListener("pointermove", (event) => {
    const box = get("mask").getBoundingClientRect();
    tell((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, false);
  });
  get("mask").addEventListener("keydown", move);
  showOpacity();
}

function describe() {
  const model = state.models.find((one) => one.name === get("model").value);
  const kind = { 1: "grey", 3: "RGB" }[model.channels] ?? `${model.channels}-channel`;
  const bits = { uint8: "8-bit", uint16: "16-bit" }[model.pixel_type] ?? model.pixel_type;
  get("takes").textContent = `PNG, JPEG, BMP or TIFF; this net learnt from ${bits} ${kind} pictures.`;
  get("example").hidden = !model.example;
}

function say(words, bad = false) {
  get("status").textContent = words;
  get("status").classList.toggle("bad", bad);
}

async function take(file) {
  if (!file) return;
  state.name = file.name.replace(/\.[^.]*$/, "") || "picture";
  say(`${file.name} is being segmented …`);
  try {
    await loaded;  // a picture may come before what the server said of its models
    const answer = await fetch(`page/models/${get("model").value}/segment`, { method: "POST", body: file });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error || answer.statusText);
    await show(file, found);
    say(`${file.name}: ${found.width} × ${found.height} pixels in ${found.seconds.toFixed(2)} s.`);
  } catch (error) {
    get("out").hidden = true;
    say(error instanceof TypeError ? "The server does not answer." : error.message, true);
  }
}

async function grey(text) {
  // (H, W) values of a grey PNG; canvas pixels are RGBA, and grey has R = G = B
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const values = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  return Uint8Array.from({ length: values.length / 4 }, (_, place) => values[4 * place]);
}

async function show(file, found) {
  const bytes = (text) => new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  const picture = await createImageBitmap(found.picture ? bytes(found.picture) : file);  // turned as EXIF says
  [state.found, state.label, state.sure] = [found, await grey(found.mask), await grey(found.probability)];
  const classes = state.models.find((one) => one.name === get("model").value).classes;
  for (const id of ["picture", "mask"]) [get(id).width, get(id).height] = [found.width, found.height];
  get("picture").getContext("2d").drawImage(picture, 0, 0, found.width, found.height);
  const drawn = new ImageData(found.width, found.height);
  state.label.forEach((id, place) => drawn.data.set([...classes[id].colour, id ? 255 : 0], 4 * place));
  get("mask").getContext("2d").putImageData(drawn, 0, 0);
  get("legend").replaceChildren(...classes.map((one, id) => {
    const row = document.createElement("tr"), name = row.insertCell(), share = row.insertCell();
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${one.colour})`;
    name.append(swatch, one.name);
    share.textContent = `${(100 * found.pixels[id] / state.label.length).toFixed(1)} %`;
    return row;
  }));
  get("found").textContent = `${found.objects.toLocaleString("en")} object${found.objects === 1 ? "" : "s"}`;
  const link = (id, blob, name) => {
    URL.revokeObjectURL(get(id).href);
    [get(id).href, get(id).download] = [URL.createObjectURL(blob), name];
  };
  link("png", bytes(found.file), `${state.name}.png`);
  link("geojson", new Blob([JSON.stringify(found.geojson)], { type: "application/geo+json" }), `${state.name}.geojson`);
  get("place").hidden = true;
  get("under").textContent = "Point at a pixel to see its class and how sure the net is.";
  get("out").hidden = false;
}

function showOpacity() {
  get("mask").style.opacity = get("opacity").value / 100;
  get("percent").textContent = `${get("opacity").value} %`;
}

function tell(across, down, marked) {
  if (!state.found) return;
  const { width, height } = state.found;
  const column = Math.min(width - 1, Math.max(0, Math.floor(across * width)));
  const row = Math.min(height - 1, Math.max(0, Math.floor(down * height)));
  const place = row * width + column;
  const classes = state.models.find((one) => one.name === get("model").value).classes;
  const percent = (100 * state.sure[place] / 255).toFixed(0);
  get("under").textContent = `Row ${row}, column ${column}: ${classes[state.label[place]].name}, ${percent} % sure.`;
  state.at = [column, row];
  get("place").hidden = !marked;
  get("place").style.left = `${100 * (column + .5) / width}%`;
  get("place").style.top = `${100 * (row + .5) / height}%`;
}

function move(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!steps || !state.found) return;
  event.preventDefault();
  const { width, height } = state.found;
  const by = event.shiftKey ? 1 : Math.max(1, Math.round(width / 50));
  const [column, row] = state.at ?? [Math.floor(width / 2), Math.floor(height / 2)];
  tell((column + by * steps[0] + .5) / width, (row + by * steps[1] + .5) / height, true);
}

listen();
const loaded = load();
loaded.catch(() => say("The server does not answer.", true));
