"use strict";
// PNG files read to the bit, 8 and 16 bit, as unet_tf.data.png reads them, and masks written. Browsers know 8 bit alone.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const SAMPLES = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
const ADAM7 = [[0, 0, 8, 8], [0, 4, 8, 8], [4, 0, 8, 4], [0, 2, 4, 4], [2, 0, 4, 2], [0, 1, 2, 2], [1, 0, 2, 1]];
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

async function through(transform, chunks) {
  return new Uint8Array(await new Response(new Blob(chunks).stream().pipeThrough(transform)).arrayBuffer());
}

class Refused extends Error {} // whose words say all

// Chunks -> what the file declares, and its compressed pixels; nothing is allocated by what a header says.
function parsePng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), found = {}, packed = [];
  for (let at = 8, kind = ""; kind !== "IEND";) {
    if (at + 12 > bytes.length) throw new Error("it ends before its last chunk");
    const length = view.getUint32(at);
    kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length) throw new Error(`its chunk ${kind} reaches beyond its end`);
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) {
      throw new Error(`the checksum of its chunk ${kind} is wrong`);
    }
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (kind === "IDAT") packed.push(content);
    found[kind] ??= content;
    at += 12 + length;
  }
  if (found.IHDR?.length !== 13) throw new Error("it has no header");
  const head = new DataView(found.IHDR.buffer, found.IHDR.byteOffset, 13);
  const png = { width: head.getUint32(0), height: head.getUint32(4), packed, table: found.PLTE ?? [], exif: found.eXIf };
  [png.bits, png.colour, png.interlaced] = [found.IHDR[8], found.IHDR[9], found.IHDR[12]];
  const legal = DEPTHS[png.colour]?.includes(png.bits) && !found.IHDR[10] && !found.IHDR[11] && png.interlaced < 2;
  if (!legal || !png.width || !png.height) throw new Error(`its header declares ${png.height} × ${png.width} pixels of ${png.bits} bits`);
  if (png.table.length % 3 || (png.colour === 3 && !png.table.length)) throw new Error("its colour table is not whole");
  if (found.acTL && new DataView(found.acTL.buffer, found.acTL.byteOffset).getUint32(0) > 1) {
    throw new Refused("has several pictures, and this page reads files of one.");
  }
  return png;
}

// -> {data: Uint8Array or Uint16Array (H, W, channels), height, width, channels}, without alpha, turned as its EXIF says.
async function readPng(bytes, check) {
  const png = parsePng(bytes);
  check(png.width, png.height);
  const samples = SAMPLES[png.colour], unit = Math.max(1, (png.bits * samples) >> 3);
  let raw;
  try {
    raw = await through(new DecompressionStream("deflate"), png.packed);
  } catch {
    throw new Error("its pixels cannot be unpacked");
  }
  const data = new (png.bits === 16 ? Uint16Array : Uint8Array)(png.height * png.width * samples);
  let at = 0;
  for (const [first, begin, down, across] of png.interlaced ? ADAM7 : [[0, 0, 1, 1]]) {
    const rows = Math.ceil((png.height - first) / down), columns = Math.ceil((png.width - begin) / across);
    if (rows < 1 || columns < 1) continue;
    const length = Math.ceil((columns * png.bits * samples) / 8);
    let above = new Uint8Array(length);
    for (let row = 0; row < rows; row++, at += length + 1) {
      if (at + length + 1 > raw.length) throw new Error("it is short of its pixels");
      const line = raw.subarray(at + 1, at + 1 + length);
      unfilter(raw[at], line, above, unit);
      above = line;
      const start = (first + row * down) * png.width + begin;
      for (let column = 0; column < columns; column++) {
        for (let k = 0; k < samples; k++) {
          data[(start + column * across) * samples + k] = sample(line, column * samples + k, png.bits);
        }
      }
    }
  }
  if (at !== raw.length) throw new Error("it holds more pixels than it declares");
  return shown(png, data, samples);
}

function unfilter(kind, line, above, unit) {
  if (kind > 4) throw new Error("its rows have a filter that PNG does not have");
  for (let i = 0; kind && i < line.length; i++) {
    const left = i < unit ? 0 : line[i - unit], up = above[i], corner = i < unit ? 0 : above[i - unit];
    if (kind === 1) line[i] += left;
    else if (kind === 2) line[i] += up;
    else if (kind === 3) line[i] += (left + up) >> 1;
    else {
      const p = left + up - corner, a = Math.abs(p - left), b = Math.abs(p - up), c = Math.abs(p - corner);
      line[i] += a <= b && a <= c ? left : b <= c ? up : corner;
    }
  }
}

function sample(line, n, bits) {
  if (bits === 8) return line[n];
  if (bits === 16) return (line[2 * n] << 8) | line[2 * n + 1];
  return (line[(n * bits) >> 3] >> (8 - bits - ((n * bits) & 7))) & ((1 << bits) - 1);
}

function shown(png, data, samples) {
  const size = png.width * png.height, image = { height: png.height, width: png.width };
  if (png.colour === 3) {
    image.data = new Uint8Array(3 * size);
    for (let i = 0; i < size; i++) for (let k = 0; k < 3; k++) image.data[3 * i + k] = png.table[3 * data[i] + k] ?? 0;
  } else if (png.colour >= 4) { // without alpha
    image.data = new data.constructor((samples - 1) * size);
    for (let i = 0, to = 0; i < data.length; i++) if ((i + 1) % samples) image.data[to++] = data[i];
  } else {
    image.data = png.bits < 8 ? data.map((value) => value * (255 / ((1 << png.bits) - 1))) : data;
  }
  image.channels = image.data.length / size;
  return turned(image, png.exif ? orientation(png.exif) : 1);
}

// The orientation in EXIF data, 1 to 8; 1 where it says none.
function orientation(exif) {
  try {
    if (exif[0] === 0x45) exif = exif.subarray(6); // "Exif\0\0" comes first in some files
    const view = new DataView(exif.buffer, exif.byteOffset, exif.length), little = view.getUint16(0) === 0x4949;
    const start = view.getUint32(4, little);
    for (let n = 0; n < view.getUint16(start, little); n++) {
      const at = start + 2 + 12 * n;
      if (view.getUint16(at, little) === 0x0112) {
        const found = view.getUint16(at + 8, little);
        return found >= 1 && found <= 8 ? found : 1;
      }
    }
  } catch {} // beyond its end
  return 1;
}

function turned(image, how) {
  if (how === 1) return image;
  const { data, height, width, channels } = image, swapped = how > 4;
  const [rows, columns] = swapped ? [width, height] : [height, width];
  const out = new data.constructor(data.length);
  const right = [2, 3, 7, 8].includes(how), below = [3, 4, 6, 7].includes(how);
  for (let i = 0, to = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let [row, column] = swapped ? [j, i] : [i, j];
      if (below) row = height - 1 - row;
      if (right) column = width - 1 - column;
      for (let k = 0; k < channels; k++) out[to++] = data[(row * width + column) * channels + k];
    }
  }
  return { data: out, height: rows, width: columns, channels };
}

// (H, W) values -> a PNG file: indices of a colour table, or grey of 8 bits, or of 16 where a value needs it.
async function writePng(height, width, values, table) {
  const bits = values.some((value) => value > 255) ? 16 : 8, row = 1 + (width * bits) / 8;
  const raw = new Uint8Array(height * row);
  for (let i = 0, at = 0; i < height; i++) {
    at++; // no filter
    for (let j = 0; j < width; j++) {
      const value = values[i * width + j];
      if (bits === 16) raw[at++] = value >> 8;
      raw[at++] = value & 255;
    }
  }
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([bits, table ? 3 : 0, 0, 0, 0], 8);
  const chunk = (kind, content) => {
    const whole = new Uint8Array(content.length + 12), view = new DataView(whole.buffer);
    view.setUint32(0, content.length);
    whole.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
    whole.set(content, 8);
    view.setUint32(8 + content.length, crc32(whole.subarray(4, 8 + content.length)));
    return whole;
  };
  const packed = await through(new CompressionStream("deflate"), [raw]);
  const palette = table ? [chunk("PLTE", table.flat())] : [];
  return new Blob(
    [new Uint8Array(SIGNATURE), chunk("IHDR", head), ...palette, chunk("IDAT", packed), chunk("IEND", [])],
    { type: "image/png" },
  );
}
