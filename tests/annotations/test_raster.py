from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_tf.annotations.raster import areas, kept, paint, rasterise, spans_of
from unet_tf.annotations.shapes import Shape
from unet_tf.utils import signals


def drawn(rings, height, width):
    """(H, W) of one shape."""
    mask = np.zeros((height, width), np.uint8)
    paint(mask, rasterise([Shape("cell", tuple(np.asarray(ring, float) for ring in rings))], height, width), np.ones(1))
    return mask


def test_the_pixels_that_shapes_keep(monkeypatch):
    squares = [((0, 0), (4, 0), (4, 4), (0, 4)), ((2, 2), (6, 2), (6, 6), (2, 6)), ((3, 3), (4, 3), (4, 4), (3, 4))]
    spans = rasterise([Shape("cell", (np.array(square, float),)) for square in squares], 8, 8)
    for pixels in (1, 1 << 20):  # of runs at a time
        monkeypatch.setattr("unet_tf.annotations.raster.PIXELS", pixels)
        canvas = np.zeros((8, 8), np.uint8)
        paint(canvas, spans, np.array([1, 2, 1], np.uint8))
        assert kept(canvas, spans, np.array([1, 2, 1])).tolist() == [13, 15, 1]
        assert kept(canvas, spans, np.array([1, 2, 3])).tolist() == [13, 15, 0]


def exact(rings, height, width):
    """The rule in fractions: edges at or left of a centre, counted from above to below, are odd."""
    mask = np.zeros((height, width), np.uint8)
    rings = [[(Fraction(float(x)), Fraction(float(y))) for x, y in ring] for ring in rings]
    for row, column in np.ndindex(mask.shape):
        x, y, count = Fraction(2 * column + 1, 2), Fraction(2 * row + 1, 2), 0
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
                if (y0 <= y) != (y1 <= y):
                    count += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
        mask[row, column] = count % 2
    return mask


@pytest.mark.parametrize(
    ("ring", "truth"),
    [
        ([[0, 0], [3, 0], [3, 2], [0, 2]], ["111.", "111.", "...."]),
        # centres on the left and the upper edge are inside, those on the right and the lower one are not
        ([[0.5, 0.5], [2.5, 0.5], [2.5, 1.5], [0.5, 1.5]], ["11..", "....", "...."]),
        ([[0, 0], [4, 0], [0, 4]], ["111.", "11..", "1..."]),  # the edge passes through centres, left of them
        ([[4, 0], [4, 4], [0, 4]], ["...1", "..11", ".111"]),  # and here right of them
        ([[0, 0], [4, 3], [4, 0], [0, 3]], ["....", "11.1", "...."]),
        ([[1, 1], [1, 1], [1, 1]], ["....", "....", "...."]),
        ([[0, 1.2], [4, 1.2], [4, 1.4], [0, 1.4]], ["....", "....", "...."]),  # between two rows of centres
        ([[-9, -9], [99, -9], [99, 99], [-9, 99]], ["1111", "1111", "1111"]),
        ([[-9, 1], [-1, 1], [-1, 2], [-9, 2]], ["....", "....", "...."]),
    ],
)
def test_the_rule_of_centres(ring, truth):
    expected = np.array([[letter == "1" for letter in row] for row in truth])
    if ring == [[0, 0], [4, 3], [4, 0], [0, 3]]:  # crosses itself: the two triangles count
        expected = exact([ring], 3, 4).astype(bool)
        assert expected.any() and not expected.all()
    assert (drawn([ring], 3, 4) == expected).all()
    assert (drawn([ring[::-1]], 3, 4) == expected).all()
    assert (drawn([ring[1:] + ring[:1]], 3, 4) == expected).all()


def test_rings_in_rings_are_holes_and_parts_and_rings_twice_are_none():
    def square(low, high):
        return [[low, low], [high, low], [high, high], [low, high]]

    mask = drawn([square(0, 8), square(2, 6), square(3, 5)], 8, 8)
    assert mask.sum() == 64 - 16 + 4 and mask[4, 4] and not mask[2, 2]
    assert not drawn([square(0, 8), square(0, 8)], 8, 8).any()


coordinate = st.integers(-12, 44).map(lambda number: number / 4)
ring = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8)


@settings(max_examples=100)
@given(st.lists(ring, min_size=1, max_size=3), st.integers(1, 9), st.integers(1, 9))
def test_quarters_of_pixels_are_decided_as_in_fractions(rings, height, width):
    assert (drawn(rings, height, width) == exact(rings, height, width)).all()


@settings(max_examples=50)
@given(arrays(np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(-20, 30)))
def test_any_numbers_are_decided_as_in_fractions_but_next_to_a_centre(ring):
    wrong = np.argwhere(drawn([ring], 9, 9) != exact([ring], 9, 9))
    for row, column in wrong:  # an edge passes it nearer than float64 tells
        begin, end = ring, np.roll(ring, -1, axis=0)
        down = np.where(end[:, 1] == begin[:, 1], np.inf, end[:, 1] - begin[:, 1])
        x = begin[:, 0] + (row + 0.5 - begin[:, 1]) * (end[:, 0] - begin[:, 0]) / down
        assert np.abs(x - column - 0.5).min() < 1e-9


@settings(max_examples=50)
@given(st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=12, unique=True))
def test_shapes_that_share_edges_share_no_pixel_and_leave_none_out(inner):
    """Triangles of a fan around any points of a square: no centre is in two of them, and none is in none."""
    from scipy.spatial import Delaunay

    corners = np.array([[-3, -3], [11, -3], [11, 11], [-3, 11], *inner], float)
    points = np.unique(corners, axis=0)
    triangles = points[Delaunay(points).simplices]
    spans = rasterise([Shape("cell", (triangle,)) for triangle in triangles], 8, 8)
    count = np.zeros((8, 8), int)
    for _, row, start, stop in spans:
        count[row, start:stop] += 1
    assert (count == 1).all()


def test_masks_and_spans_are_drawn_where_they_are_and_in_order():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
    far = np.array([[-1, 0, 9], [2, -5, 1], [3, 3, 99], [3, 9, 12], [4, 0, 1]], np.int32)
    shapes = [Shape("a", spans=spans_of(mask)), Shape("b", (square,)), Shape("c", spans=far), Shape("d")]
    spans = rasterise(shapes, 4, 4)
    assert spans.tolist() == [[0, 1, 1, 3], [0, 2, 1, 3], [1, 0, 0, 2], [1, 1, 0, 2], [2, 2, 0, 1], [2, 3, 3, 4]]
    assert areas(spans, 4).tolist() == [4, 4, 2, 0]
    canvas = np.zeros((4, 4), np.uint8)
    paint(canvas, spans, np.array([1, 2, 3, 4]))
    assert canvas.tolist() == [[2, 2, 0, 0], [2, 2, 1, 0], [3, 1, 1, 0], [0, 0, 0, 3]]
    paint(canvas, spans[::-1], np.array([1, 2, 3, 4]))
    assert canvas[1, 1] == 1


def test_nothing_is_drawn_of_nothing():
    assert rasterise([], 3, 3).shape == rasterise([Shape("a")], 3, 3).shape == (0, 4)
    assert spans_of(np.zeros((0, 5))).shape == (0, 3)
    paint(np.zeros((3, 3)), np.zeros((0, 4), np.int32), np.zeros(0))


def test_parts_of_the_work_are_as_the_whole(monkeypatch):
    from unet_tf.annotations import raster

    rng = np.random.default_rng(0)
    shapes = [Shape("a", tuple(rng.random((9, 2)) * 40 for _ in range(2))) for _ in range(20)]
    whole = rasterise(shapes, 40, 40)
    canvas = np.zeros((40, 40), np.uint8)
    paint(canvas, whole, np.arange(1, 21))
    for crossings, points, pixels in ((1, 1, 1), (50, 30, 17)):
        monkeypatch.setattr(raster, "CROSSINGS", crossings)
        monkeypatch.setattr(raster, "POINTS", points)
        monkeypatch.setattr(raster, "PIXELS", pixels)
        assert (rasterise(shapes, 40, 40) == whole).all()
        other = np.zeros((40, 40), np.uint8)
        paint(other, whole, np.arange(1, 21))
        assert (other == canvas).all()


def test_the_work_is_linear_in_points_and_objects(monkeypatch):
    """A million points, and a hundred thousand objects: each edge is looked at once for each row that it crosses."""
    from unet_tf.annotations import raster

    crossings = 0
    columns = raster._columns

    def counted(edges, y):
        nonlocal crossings
        crossings += len(y)
        return columns(edges, y)

    monkeypatch.setattr(raster, "_columns", counted)
    angle = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    circle = np.column_stack([500 + 400 * np.cos(angle), 500 + 400 * np.sin(angle)])
    area = areas(rasterise([Shape("cell", (circle,))], 1000, 1000), 1)[0]
    assert abs(area - np.pi * 400**2) < 400 and crossings == 2 * 800
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    shapes = [Shape("cell", (square + np.array([number % 1000, number // 1000]),)) for number in range(100_000)]
    spans = rasterise(shapes, 1000, 1002)
    assert len(spans) == 200_000 and crossings == 2 * 800 + 400_000


def test_it_stops_between_two_parts(monkeypatch):
    from unet_tf.annotations import raster

    monkeypatch.setattr(raster, "CROSSINGS", 1)
    with pytest.raises(signals.Stopped), signals.stoppable():
        signals.tell()
        drawn([[[0, 0], [9, 0], [0, 9]]], 9, 9)


@pytest.fixture(scope="module")
def polygons():
    """Rings whose edges pass no centre: coordinates in odd eighths are on none, and their slopes are odd too."""
    rng = np.random.default_rng(1)
    found = []
    while len(found) < 100:
        angle = np.sort(rng.random(int(rng.integers(3, 12)))) * 2 * np.pi
        points = 24 + 20 * rng.random((len(angle), 1)) * np.column_stack([np.cos(angle), np.sin(angle)])
        found.append(points)
    return found


def test_scikit_image_draws_the_same_with_its_origin_in_a_centre(polygons):
    """`polygon2mask` puts whole numbers into centres: half a pixel away it agrees on all that lies on no edge."""
    from skimage.draw import polygon2mask

    for ring in polygons:
        assert (polygon2mask((48, 48), ring[:, ::-1] - 0.5) == drawn([ring], 48, 48)).all()


def test_pillow_and_opencv_draw_the_border_too(polygons):
    """Their polygons of whole numbers hold every pixel of ours half a pixel away, and the pixels of the outline."""
    import cv2
    from PIL import Image, ImageDraw

    for ring in polygons:
        whole = ring.round().astype(int)
        image = Image.new("L", (48, 48))
        ImageDraw.Draw(image).polygon([tuple(point) for point in whole.tolist()], fill=1, outline=1)
        other = cv2.fillPoly(np.zeros((48, 48), np.uint8), [whole.astype(np.int32)], 1)
        own = drawn([whole + 0.5], 48, 48)
        for mask in (np.array(image), other):
            assert not (own & ~mask & 1).any() and mask.sum() >= own.sum()


def distances(ring, height, width):
    """(H, W) from each centre to the nearest edge."""
    begin, end = ring, np.roll(ring, -1, axis=0)
    centres = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)[:, :, None] + 0.5
    along = end - begin
    share = (((centres - begin) * along).sum(-1) / (along**2).sum(-1)).clip(0, 1)
    return np.linalg.norm(centres - begin - share[..., None] * along, axis=-1).min(axis=-1)


def test_coco_s_library_differs_along_the_border_alone(polygons):
    """It rounds to fifths of a pixel: centres farther from the outline than half a pixel agree."""
    from pycocotools import mask as library

    far = []
    for ring in polygons:
        code = library.merge(library.frPyObjects([ring.ravel().tolist()], 48, 48))
        differ = library.decode(code) != drawn([ring], 48, 48)
        far += distances(ring, 48, 48)[differ].tolist()
    assert 0 < max(far) < 0.5
    whole = [[2, 3], [10, 3], [10, 9], [2, 9]]  # and corners of pixels are the same to it
    code = library.merge(library.frPyObjects([[float(side) for point in whole for side in point]], 48, 48))
    assert (library.decode(code) == drawn([whole], 48, 48)).all()
