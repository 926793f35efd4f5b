import tracemalloc

import numpy as np

from unet_tf.annotations.drawing import _nested
from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.shapes import Shape


def square(low, high, name="object"):
    return Shape(name, (np.array([[low, low], [high, low], [high, high], [low, high]], float),))


def nested(shapes, side):
    spans = rasterise(shapes, side, side)
    nameless = np.array([shape.name == "object" for shape in shapes])
    return _nested(spans, nameless, areas(spans, len(shapes)), (side, side))


def test_shapes_without_a_class_in_others_are_counted_whatever_their_rows():
    outer = square(10, 590)
    assert nested([outer], 600) == 0
    assert nested([outer, square(100, 110), square(240, 270), square(560, 580)], 600) == 3
    assert nested([square(240, 270), outer], 600) == 1
    assert nested([outer, square(580, 599), square(20, 30, "cell")], 600) == 0  # one lies outside in part
    assert nested([square(20, 90, "cell"), square(30, 40)], 600) == 0


def test_they_are_counted_in_less_memory_than_a_number_a_pixel():
    shapes, side = [square(10, 3000), square(20, 30)], 3000
    spans = rasterise(shapes, side, side)
    area = areas(spans, 2)
    tracemalloc.start()
    assert _nested(spans[spans[:, 0] == 1], np.ones(2, bool), area, (side, side)) == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * side * side
