"use strict";
// What pages that lay a mask over a picture share: pictures come in, the mask is drawn, its places are told.

const LONGEST = 4096; // side of a canvas, pixels: phones draw no larger ones
const get = (id) => document.getElementById(id);
const state = { classes: [], name: "picture", found: null, label: null, sure: null, at: null };

function listen(take) {
  for (const id of ["file", "photo"]) {
    get(id).addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
  }
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

function say(words, bad = false) {
  get("status").textContent = words;
  get("status").classList.toggle("bad", bad);
}

function kindOf(channels, type) {
  const kind = { 1: "grey", 3: "RGB" }[channels] ?? `${channels}-channel`;
  return `${{ uint8: "8-bit", uint16: "16-bit" }[type] ?? type} ${kind}`;
}

// picture: what a canvas can draw; found: height, width, label and sure (H, W), pixels of each class; classes: {name, colour}
function show(picture, found, classes) {
  Object.assign(state, { found, classes, label: found.label, sure: found.sure, at: null });
  const by = Math.ceil(Math.max(found.width, found.height) / LONGEST);
  const width = Math.ceil(found.width / by), height = Math.ceil(found.height / by);
  for (const id of ["picture", "mask"]) [get(id).width, get(id).height] = [width, height];
  get("picture").getContext("2d").drawImage(picture, 0, 0, width, height);
  const drawn = new ImageData(width, height);
  for (let row = 0, place = 0; row < height; row++) {
    for (let column = 0; column < width; column++, place += 4) {
      const id = found.label[row * by * found.width + column * by];
      drawn.data.set(classes[id].colour, place);
      drawn.data[place + 3] = id ? 255 : 0;
    }
  }
  get("mask").getContext("2d").putImageData(drawn, 0, 0);
  get("legend").replaceChildren(...classes.map((one, id) => {
    const row = document.createElement("tr"), name = row.insertCell(), share = row.insertCell();
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${one.colour})`;
    name.append(swatch, one.name);
    share.textContent = `${(100 * found.pixels[id] / found.label.length).toFixed(1)} %`;
    return row;
  }));
  get("place").hidden = true;
  get("under").textContent = "Point at a pixel to see its class and how sure the net is.";
  get("out").hidden = false;
}

function link(id, blob, name) {
  URL.revokeObjectURL(get(id).href);
  [get(id).href, get(id).download] = [URL.createObjectURL(blob), name];
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
  const percent = (100 * state.sure[place] / 255).toFixed(0);
  get("under").textContent = `Row ${row}, column ${column}: ${state.classes[state.label[place]].name}, ${percent} % sure.`;
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
