import math

from unet_tf.pages.charts import HEIGHT, LEFT, MOST, RIGHT, TOP, WIDTH, Line, chart, ticks, training_curves

ROW = {"epoch": "0", "loss": "1.5", "mean_iou": "0.5", "val_loss": "1", "val_mean_iou": "0.4", "seconds": "3"}


def drawn(points, **more):
    ranges = {"x_range": (0.0, 1.0), "y_range": (0.0, 1.0)} | more
    return chart("t", [Line("a", points)], "x", "y", **ranges).paths[0]


def test_corners_lie_where_the_axes_meet():
    assert drawn([(0, 0), (1, 1)]).d == f"M{LEFT} {HEIGHT - 34}L{WIDTH - RIGHT} {TOP}"


def test_what_is_not_finite_is_a_gap():
    line = drawn([(0, 0), (0.2, math.nan), (0.4, 0.5), (0.5, math.inf), (1, 1)])
    assert (line.d.count("M"), len(line.dots)) == (3, 3)
    assert drawn([]).d == ""
    assert drawn([(math.nan, math.nan)]).d == ""


def test_a_long_line_has_a_bounded_number_of_points_and_its_last():
    line = drawn([(n / 99_999, n / 99_999) for n in range(100_000)])
    assert line.d.count("L") <= MOST
    assert line.d.endswith(f"{WIDTH - RIGHT} {TOP}")
    assert line.dots == []


def test_marks_are_round_and_whole_where_they_count():
    assert ticks(0, 0.003) == [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003]
    assert ticks(1, 2, least=1) == [1.0, 2.0]
    assert ticks(0, 1e6)[-1] == 1e6
    assert len(ticks(1, 7919)) <= 8


def test_one_epoch_gaps_and_a_bad_beginning_are_drawn():
    loss, _ = training_curves([ROW], 1)
    assert [path.name for path in loss.paths] == ["training, augmented tiles", "files held out"]
    assert loss.paths[0].d.count("M") == 1
    rows = [ROW | {"epoch": str(n), "loss": str(value)} for n, value in enumerate((900.0, 1.0, math.nan, 0.5))]
    loss, _ = training_curves(rows, None)
    assert loss.y_ticks[-1].text == "3"  # three times the median
    assert (loss.paths[0].d.count("M"), loss.marked) == (2, None)
    all_nan = [row | {"loss": "nan", "val_loss": "nan"} for row in rows]
    assert training_curves(all_nan, 2)[0].paths[0].d == ""
