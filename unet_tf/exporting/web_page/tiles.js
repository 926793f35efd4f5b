"use strict";
// Tiles as unet_tf.tiling cuts them (`fixed`): where they lie, what the net reads for each, what of its output counts.

// The pixel of an axis of `size` pixels that stands for the position `at`, mirrored outside of it without its edge.
function mirrored(at, size) {
  if (size === 1) return 0;
  const period = 2 * (size - 1), rest = ((at % period) + period) % period;
  return Math.min(rest, period - rest);
}

// First row and column of each tile, row by row from the top left.
function places(net, height, width) {
  const columns = Math.ceil(width / net.step), rows = Math.ceil(height / net.step);
  return Array.from({ length: rows * columns }, (_, n) => [Math.floor(n / columns) * net.step, (n % columns) * net.step]);
}

// What the net reads for a tile, into (tile, tile, channels); the image is (height, width, 1 or channels).
function readWindow(net, image, [top, left], out) {
  const { tile, halo, channels } = net, { data, height, width } = image;
  const columns = Array.from({ length: tile }, (_, i) => mirrored(left - halo + i, width) * image.channels);
  const last = image.channels === 1 ? 0 : 1; // grey is repeated
  for (let i = 0, to = 0; i < tile; i++) {
    const row = mirrored(top - halo + i, height) * width * image.channels;
    for (let j = 0; j < tile; j++) {
      for (let channel = 0; channel < channels; channel++, to++) out[to] = data[row + columns[j] + channel * last];
    }
  }
}

// Calls place(pixel of the image, pixel of the net's output) for all that a tile contributes.
function eachOwn(net, image, [top, left], place) {
  const rows = Math.min(net.step, image.height - top), columns = Math.min(net.step, image.width - left);
  for (let i = 0; i < rows; i++) {
    const to = (top + i) * image.width + left, from = (net.margin + i) * net.output + net.margin;
    for (let j = 0; j < columns; j++) place(to + j, from + j);
  }
}
