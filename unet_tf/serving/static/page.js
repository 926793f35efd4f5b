"use strict";
// The page of `unet-tf serve`: sends a picture file, lays the mask that comes back over it.

let models = [];
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
  get("takes").textContent = `PNG, JPEG, BMP or TIFF; this net learnt from ${kind} pictures.`;
  get("example").hidden = !model.example;
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
    await showAnswer(file, found);
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

async function showAnswer(file, found) {
  const bytes = (text) => new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  const picture = await createImageBitmap(found.picture ? bytes(found.picture) : file);  // turned as EXIF says
  [found.label, found.sure] = [await grey(found.mask), await grey(found.probability)];
  show(picture, found, chosen().classes);
  get("found").textContent = `${found.objects.toLocaleString("en")} object${found.objects === 1 ? "" : "s"}`;
  link("png", bytes(found.file), `${state.name}.png`);
  link("geojson", new Blob([JSON.stringify(found.geojson)], { type: "application/geo+json" }), `${state.name}.geojson`);
}

get("model").addEventListener("change", describe);
get("example").addEventListener("click", async () => {
  const answer = await fetch(`page/models/${get("model").value}/example`);
  take(new File([await answer.blob()], "example.png", { type: "image/png" }));
});
listen(take);
const loaded = load();
loaded.catch(() => say("The server does not answer.", true));
