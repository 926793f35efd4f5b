"use strict";
// The page of `unet-tf serve`: sends a picture file, lays the mask that comes back over it.

let models = [], turn = 0; // turn: of the picture that came last; what earlier ones bring is dropped
const chosen = () => models.find((one) => one.name === get("model").value);

async function load() {
  models = await (await fetch("page/models")).json();
  for (const model of models) get("model").add(new Option(model.name));
  get("which").hidden = models.length < 2;
  describe();
}

function describe() {
  const model = chosen();
  const kind = kindOf(model.channels, model.pixel_type);
  get("takes").textContent = `PNG, JPEG, BMP or TIFF; this net was trained on ${kind} pictures.`;
  get("example").hidden = !model.example;
}

// name: of a picture file; read: gives it, as far as it depends on the model
async function segment(name, read) {
  const own = ++turn;
  say(`${name} is being segmented …`);
  try {
    await loaded;  // a picture may come before what the server said of its models
    const model = chosen(), file = await read(model);
    const answer = await fetch(`page/models/${model.name}/segment`, { method: "POST", body: file });
    if (!answer.ok) {
      const { error } = await answer.json().catch(() => ({}));  // a proxy says it in HTML
      throw new Error(error || `HTTP ${answer.status} ${answer.statusText}`);
    }
    const found = await answer.json();
    [found.label, found.sure] = [await values(found.mask), await values(found.probability)];
    const picture = await createImageBitmap(found.picture ? png(found.picture) : file);  // turned as EXIF says
    if (own !== turn) return;
    show(picture, found, model.classes);
    showFiles(name, found);
    say(`${name}: ${found.width} × ${found.height} pixels in ${found.seconds.toFixed(2)} s.`);
  } catch (error) {
    if (own !== turn) return;
    get("out").hidden = true;
    say(error instanceof TypeError ? "The server does not answer." : error.message, true);
  }
}

const take = (file) => file && segment(file.name, () => file);
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const png = (text) => new Blob([bytesOf(text)], { type: "image/png" });
// (H, W) values of a grey PNG, to the bit: what a canvas gives back may be something else
const values = async (text) => (await readPng(bytesOf(text), () => {})).data;

function showFiles(name, found) {
  const stem = name.replace(/\.[^.]*$/, "") || "picture";
  get("found").textContent = `${found.objects.toLocaleString("en")} object${found.objects === 1 ? "" : "s"}`;
  link("png", png(found.file), `${stem}.png`);
  link("geojson", new Blob([JSON.stringify(found.geojson)], { type: "application/geo+json" }), `${stem}.geojson`);
}

get("model").addEventListener("change", describe);
get("example").addEventListener("click", () => segment("example.png", async (model) => {
  const answer = await fetch(`page/models/${model.name}/example`);
  return new File([await answer.blob()], "example.png", { type: "image/png" });
}));
listen(take);
const loaded = load();
loaded.catch(() => say("The server does not answer.", true));
