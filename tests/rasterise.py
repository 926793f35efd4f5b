"""Objects drawn by hand, and shapes to pixels by the rule of `Shape`, slow and plain: what writers are tested with.

Import it as `from rasterise import inside`: pytest puts this folder on the path.
"""

from pathlib import Path

import numpy as np

from unet_tf.annotations.writing import Picture
from unet_tf.prediction.objects import find_objects
from unet_tf.prediction.polygons import shapes_of

CLASSES = ("background", "cell", "mitosis: α")
COLOURS = {"cell": (230, 159, 0), "mitosis: α": (86, 180, 233)}
PICTURES = {
    "one pixel": ["1"],
    "empty": ["0"],
    "all of it": ["111", "111"],
    "a row": ["11011"],
    "a hole": ["111", "101", "111"],
    "an island in a hole": ["11111", "10001", "10101", "10001", "11111"],
    "another object in a hole": ["11111", "10001", "10201", "10001", "11111"],
    "a hole in an island in a hole": ["1111111", "1000001", "1011101", "1010101", "1011101", "1000001", "1111111"],
    "diagonal": ["10", "01"],
    "diagonal the other way": ["01", "10"],
    "diagonal of two objects": ["12", "21"],
    "a ring closed at a corner": ["110", "101", "111"],
    "a hole that touches the outside": ["1110", "1011", "1111"],
    "two holes that touch": ["11111", "10111", "11011", "11111"],
    "holes that part an object": ["11111", "10111", "11011", "11101", "11111"],
    "a chess board": ["1010", "0101", "1010", "0101"],
    "numbers with gaps": ["100000", "000099", "700099"],
}


def picture(rows):
    """(H, W) ids or classes, a digit each."""
    return np.array([[int(one) for one in row] for row in rows])


def drawn(label, **settings):
    """The ids of the objects of an (H, W) label of classes 0, 1, 2, and their shapes."""
    ids, objects = find_objects(label.astype(np.uint8), np.eye(3, dtype=np.float32)[label] * 0.875)
    return ids, shapes_of(ids, objects, CLASSES, **settings)


def write(writer, path, pages, axes=(), **settings):
    """Write the objects of (H, W) labels of classes 0, 1, 2; their ids, page by page."""
    name = path.parent / "in" / "a.png"
    height, width = pages[0].shape
    found = [drawn(label, **settings) for label in pages]
    with writer(Path(path), Picture(name, height, width, len(pages), COLOURS, axes=axes)) as add:
        for _, shapes in found:
            add(shapes)
    return [ids for ids, _ in found]


def inside(rings, shape):
    """(H, W) bool: pixels whose centre lies inside an odd number of rings: a ray to the left crosses them as often."""
    height, width = shape
    found = np.zeros(shape, bool)
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            crossed = (rows > min(y0, y1)) & (rows <= max(y0, y1))
            if crossed.any():
                at = x0 + (rows[crossed] - y0) * ((x1 - x0) / (y1 - y0))
                found[crossed] ^= columns > at[:, None]
    return found


def numbered(outlines, shape):
    """(H, W) ids of outlines; objects that overlap are an error."""
    ids = np.zeros(shape, np.int64)
    for number, rings in outlines.items():
        found = inside(rings, shape)
        assert not ids[found].any()
        ids[found] = number
    return ids


def mask(path, label, chunk, fill=True, axes=None):
    """A mask as `predict_large` writes it."""
    import zarr

    names = [{"label-value": number, "class": f"class {number}"} for number in range(3)]
    colours = [{"label-value": number, "rgba": [number, 2, 3, 255]} for number in range(3)]
    ome = {"version": "0.5", "multiscales": [{"datasets": [{"path": "0"}]}]}
    ome["image-label"] = {"properties": names, "colors": colours}
    group = zarr.create_group(str(path), zarr_format=3, attributes={"ome": ome}, overwrite=True)
    chunks = (*[1] * (label.ndim - 2), *(min(a, b) for a, b in zip(chunk, label.shape[-2:], strict=True)))
    options = {"dtype": "uint8", "chunks": chunks, "fill_value": 0, "dimension_names": axes}
    array = group.create_array("0", shape=label.shape, **options)
    if fill:
        array.with_config({"write_empty_chunks": True})[...] = label
    return path
