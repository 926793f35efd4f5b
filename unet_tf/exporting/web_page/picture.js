"use strict";
// A picture file to pixels as unet_tf.read_image gives them, or refused in words: what it is, its first bytes say.

const MOST_PIXELS = 1 << 26; // larger ones take more memory than a tab may have
const OTHERS = [
  ["II*\0", "a TIFF"], ["MM\0*", "a TIFF"], ["II+\0", "a TIFF"], ["MM\0+", "a TIFF"], ["BM", "a BMP"], ["GIF8", "a GIF"],
  ["RIFF", "a WebP"], ["\0\0\0\x0cjP", "a JPEG 2000"], ["P5", "a PGM"], ["P6", "a PPM"], ["\x93NUMPY", "a NumPy"],
  ["%PDF", "a PDF"], ["<svg", "an SVG"],
];

async function readPicture(file, net) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const start = String.fromCharCode(...bytes.subarray(0, 8));
  try {
    let image;
    if (SIGNATURE.every((byte, i) => bytes[i] === byte)) image = await readPng(bytes, checkSize);
    else if (bytes[0] === 0xff && bytes[1] === 0xd8) image = await readJpeg(bytes);
    else throw otherKind(start);
    return fitting(greyIfEqual(image), net);
  } catch (error) {
    if (error instanceof Refused) throw new Refused(`${file.name} ${error.message}`);
    throw new Refused(
      `${file.name} (${bytes.length} bytes) is not a complete PNG or JPEG picture: truncated, damaged or of another ` +
        `type (${error.message}). Copy it again.`,
    );
  }
}

function otherKind(start) {
  const kind = start.slice(4) === "ftyp" ? "a HEIC or AVIF" : OTHERS.find(([begin]) => start.startsWith(begin))?.[1];
  if (kind) return new Refused(`is ${kind} file, and this page reads PNG and JPEG. Save it as PNG.`);
  return new Error("its first bytes are those of no format that is read");
}

function checkSize(width, height) {
  if (width * height > MOST_PIXELS) {
    throw new Refused(
      `has ${width} × ${height} pixels, and this page takes ${MOST_PIXELS.toLocaleString("en")} at most. Cut it, or use ` +
        "unet-tf predict, which takes any size.",
    );
  }
}

// Width, height, bits and number of components, from the header of the frame.
function jpegFrame(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff || marker === 1 || (marker >= 0xd0 && marker < 0xd9)) {
      at += marker === 0xff ? 1 : 2;
    } else if (marker >= 0xc0 && marker < 0xd0 && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return [view.getUint16(at + 7), view.getUint16(at + 5), bytes[at + 4], bytes[at + 9]];
    } else if (marker === 0xd9 || marker === 0xda) {
      break;
    } else {
      at += 2 + view.getUint16(at + 2);
    }
  }
  throw new Error("it has no header of a frame");
}

async function readJpeg(bytes) {
  const [width, height, bits, components] = jpegFrame(bytes);
  if (bits !== 8) throw new Refused(`is a JPEG file of ${bits} bits, and JPEG is read with 8. Save it as PNG.`);
  if (components !== 1 && components !== 3) {
    throw new Refused(`is a JPEG file of ${components} colours, and this page reads grey and RGB. Save it as RGB.`);
  }
  checkSize(width, height);
  if (!width || !height) throw new Error(`it declares ${width} × ${height} pixels`);
  let end = bytes.length - 1;
  while (end > 0 && !(bytes[end] === 0xd9 && bytes[end - 1] === 0xff)) end--;
  if (!end) throw new Error("it ends before its end marker");
  if (!keepsPixels()) throw new Refused("cannot be read here: this browser hides pixels from pages. Save it as PNG.");
  let bitmap;
  try { // turned as its EXIF says; a colour profile would change the numbers
    bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  } catch {
    throw new Error("it cannot be decoded");
  }
  const { data: pixels, height: rows, width: columns } = drawn(bitmap), size = rows * columns;
  const channels = components; // of a grey one the first of three that are equal
  const image = { data: new Uint8Array(size * channels), height: rows, width: columns, channels };
  for (let n = 0, to = 0; n < size; n++) for (let k = 0; k < channels; k++) image.data[to++] = pixels[4 * n + k];
  return image;
}

// ImageData of a bitmap, which is closed. Beyond its largest canvas a browser draws nothing, or fails.
function drawn(bitmap) {
  try {
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const found = context.getImageData(0, 0, bitmap.width, bitmap.height);
    if (found.data[3] === 255 && found.data[found.data.length - 1] === 255) return found;
  } catch (error) {
    console.warn(error);
  } finally {
    bitmap.close();
  }
  throw new Refused("is larger than what this browser draws. Save it as PNG.");
}

// Whether a canvas gives back what was drawn: against recognition, some browsers give pages something else.
function keepsPixels() {
  const context = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  const given = Uint8ClampedArray.from({ length: 256 }, (_, n) => (n % 4 === 3 ? 255 : (29 * n) % 256));
  context.putImageData(new ImageData(given, 8, 8), 0, 0);
  return context.getImageData(0, 0, 8, 8).data.every((value, n) => Math.abs(value - given[n]) <= 2);
}

function greyIfEqual(image) {
  const { data, channels } = image;
  if (channels !== 3) return image;
  for (let i = 0; i < data.length; i += 3) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return image;
  const grey = new data.constructor(data.length / 3);
  for (let i = 0; i < grey.length; i++) grey[i] = data[3 * i];
  return { ...image, channels: 1, data: grey };
}

function fitting(image, net) {
  const type = image.data instanceof Uint16Array ? "uint16" : "uint8";
  if (type !== net.pixel_type) {
    throw new Refused(
      `holds ${type} pixels, and the net was trained on ${net.pixel_type}, whose range it expects. Rescale it to the ` +
        `range of the training images, as ${net.pixel_type}${net.pixel_type === "uint16" ? " PNG" : ""}.`,
    );
  }
  if (image.channels !== net.channels && image.channels !== 1) {
    throw new Refused(`has ${image.channels} channels, and the net was trained on ${net.channels}. Save it as grey.`);
  }
  return image;
}

// What people see of it: RGBA, the longer side at most `longest`, 16 bits stretched from the darkest to the brightest.
function preview(image, longest) {
  const by = Math.ceil(Math.max(image.height, image.width) / longest), colour = image.channels === 3 ? 1 : 0;
  const out = new ImageData(Math.ceil(image.width / by), Math.ceil(image.height / by));
  let low = 0, scale = 1;
  if (image.data instanceof Uint16Array) {
    let high = 0;
    low = 65535;
    for (const value of image.data) { if (value < low) low = value; if (value > high) high = value; }
    scale = 255 / Math.max(1, high - low);
  }
  for (let i = 0, to = 0; i < out.height; i++) {
    for (let j = 0; j < out.width; j++, to += 4) {
      const from = (i * by * image.width + j * by) * image.channels;
      for (let k = 0; k < 3; k++) out.data[to + k] = (image.data[from + k * colour] - low) * scale;
      out.data[to + 3] = 255;
    }
  }
  return out;
}
