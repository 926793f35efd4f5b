"""The page in a headless Chromium: what it shows is what `unet-tf predict` writes."""

import base64
import functools
import json
import re
import struct
import zlib
from dataclasses import replace
from types import SimpleNamespace

import cv2
import httpx
import numpy as np
import pytest
import tifffile
from agreement import same_labels
from malformed import tiff_of
from PIL import Image
from servers import RUN, picture, png, start

from unet_tf import Geometry, MaskFormat, Normalisation, predict_files
from unet_tf.data.channels import Channels
from unet_tf.data.drawing import displayable
from unet_tf.data.nodata import fill_nodata
from unet_tf.edge.description import Description
from unet_tf.exporting.bundle import Bundle
from unet_tf.prediction.predictor import Predictor
from unet_tf.serving.errors import ServingError
from unet_tf.serving.limits import Limits
from unet_tf.serving.page import _read, _segmented

give = pytest.importorskip("browsing", reason="playwright and axe are not installed: pip install 'unet-tf[test]'").give
IMAGE = picture(3, 90, 120)
FOREGROUND = (230, 159, 0)


@pytest.fixture(scope="module")
def address(one_version, tmp_path_factory):
    """The address of a server of one bundle under two names."""
    log = tmp_path_factory.mktemp("page") / "log"
    process, http, _ = start(log, [f"cells={one_version}", f"again={one_version}"])
    yield http
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The picture as a file, and what `predict` writes of it."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "cell.png").write_bytes(png(IMAGE))
    predict_files(RUN, [folder / "cell.png"], folder / "out", polygons=("geojson",))
    return folder


@pytest.fixture
def opened(open_page, address):
    """A function that opens the page of the server."""
    return functools.partial(open_page, address)


def segmented(page, name):
    """Wait for the answer."""
    page.get_by_role("status").get_by_text(re.compile(rf"^{re.escape(name)}: \d+ × \d+ pixels in")).wait_for()
    return np.array(page.evaluate("Array.from(state.label)")).reshape(page.evaluate("[mask.height, mask.width]"))


def upload(page, path):
    page.set_input_files("#file", path)
    return segmented(page, path.name)


def test_the_mask_is_that_of_predict(opened, written):
    page = opened()
    label = upload(page, written / "cell.png")
    assert same_labels(label, Predictor(RUN).probabilities(IMAGE), 2e-5)
    assert 0 < label.mean() < 1
    values = page.evaluate("Array.from(mask.getContext('2d').getImageData(0, 0, mask.width, mask.height).data)")
    drawn = np.reshape(values, (*label.shape, 4))
    np.testing.assert_array_equal(drawn[..., 3], 255 * label)
    assert {tuple(one) for one in drawn[label > 0][:, :3]} == {FOREGROUND}


def test_the_mask_is_that_of_predict_whatever_a_canvas_gives_back(opened, written):
    """Against recognition some browsers give pages other pixels; of canvases that are too large, zeros."""
    page = opened()
    page.evaluate(
        """() => {
            const known = OffscreenCanvasRenderingContext2D.prototype, real = known.getImageData;
            known.getImageData = function (...box) {
                const found = real.apply(this, box);
                found.data.fill(0);
                return found;
            };
        }"""
    )
    label = upload(page, written / "cell.png")
    assert same_labels(label, Predictor(RUN).probabilities(IMAGE), 2e-5)
    assert page.evaluate("Math.min(...state.sure)") >= 127  # of two classes the more probable one


def begin(page, name, content):
    """Give a page a picture file: what is to be waited for lies in `early`."""
    page.evaluate(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            window.early = take(new File([bytes], name, { type: "image/png" }));
        }""",
        [name, base64.b64encode(content).decode()],
    )


@pytest.mark.parametrize("content", [png(picture(1, 30, 40)), b"hello"], ids=["answered", "refused"])
def test_what_comes_late_of_an_earlier_picture_is_dropped(opened, written, content):
    page, held = opened(), []
    page.route("**/segment", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/segment"):
        begin(page, "early.png", content)
    label = upload(page, written / "cell.png")
    held[0].continue_()
    page.evaluate("window.early")
    assert page.locator("#status").inner_text().startswith("cell.png: 120 × 90 pixels")
    assert page.locator("#out").is_visible()
    np.testing.assert_array_equal(page.evaluate("Array.from(state.label)"), label.ravel())
    assert page.locator("#png").get_attribute("download") == "cell.png"
    assert all("status of 400" in one for one in page.said)  # by the browser itself
    page.said.clear()


def test_a_proxy_that_refuses_a_picture_in_html_is_heard(opened, written):
    page = opened()
    page.route("**/segment", lambda route: route.fulfill(status=413, body="<html>", content_type="text/html"))
    begin(page, "large.png", b"")
    page.evaluate("window.early")
    assert page.locator("#status").inner_text().startswith("HTTP 413 ")
    page.said.clear()


def test_an_example_that_comes_late_is_dropped(opened, written):
    page, held = opened(), []
    page.route("**/example", lambda route: held.append(route))
    page.evaluate(
        """() => {
            const own = segment;
            segment = (...given) => {
                segment = own;
                return (window.early = own(...given));
            };
        }"""
    )
    with page.expect_request("**/example"):
        page.get_by_role("button", name="Try the example").click()
    upload(page, written / "cell.png")
    held[0].continue_()
    page.evaluate("window.early")
    assert page.locator("#status").inner_text().startswith("cell.png: ")


def test_an_answer_has_the_classes_of_the_model_that_gave_it(opened, written):
    page, held = opened(), []
    page.route("**/segment", lambda route: held.append(route))
    page.locator("#model option").nth(1).wait_for(state="attached")
    page.evaluate("models[1].classes = [{name: 'sea', colour: [1, 2, 3]}, {name: 'land', colour: [4, 5, 6]}]")
    with page.expect_request("**/models/cells/segment"):
        page.set_input_files("#file", written / "cell.png")
    page.get_by_label("Model").select_option("again")
    held[0].continue_()
    segmented(page, "cell.png")
    names = [row.inner_text().split("\t")[0] for row in page.locator("#legend tr").all()]
    assert names == ["background", "foreground"]


def test_shares_objects_and_downloads_are_those_of_predict(opened, written):
    page = opened()
    label = upload(page, written / "cell.png")
    rows = [row.inner_text().split("\t") for row in page.locator("#legend tr").all()]
    share = 100 * label.mean()
    assert [row[1] for row in rows] == [f"{100 - share:.1f} %", f"{share:.1f} %"]
    assert [row[0] for row in rows] == ["background", "foreground"]
    features = json.loads((written / "out" / "cell.geojson").read_text())["features"]
    assert page.locator("#found").inner_text() == f"{len(features)} object{'s' * (len(features) != 1)}"
    with page.expect_download() as download:
        page.get_by_text("Mask as PNG").click()
    assert download.value.suggested_filename == "cell.png"
    assert download.value.path().read_bytes() == (written / "out" / "cell.png").read_bytes()
    with page.expect_download() as download:
        page.get_by_text("Outlines as GeoJSON").click()
    assert download.value.suggested_filename == "cell.geojson"
    assert json.loads(download.value.path().read_text())["features"] == features


def test_the_example_of_the_bundle_is_segmented(opened, address):
    page = opened()
    page.get_by_role("button", name="Try the example").click()
    label = segmented(page, "example.png")
    content = httpx.get(f"{address}/page/models/cells/example", timeout=60).content
    example = cv2.imdecode(np.frombuffer(content, np.uint8), 0)
    assert same_labels(label, Predictor(RUN).probabilities(example[..., None]), 2e-5)


def test_opacity_and_places_by_keyboard_and_pointer(opened, written):
    page = opened()
    label = upload(page, written / "cell.png")
    sure = Predictor(RUN).probabilities(IMAGE).max(-1)
    page.locator("#opacity").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#percent").inner_text() == "53 %"
    assert page.evaluate("getComputedStyle(mask).opacity") == "0.53"
    page.locator("#mask").focus()
    for key in ("ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)

    def told():
        words = page.locator("#under").inner_text()
        row, column, name, percent = re.fullmatch(r"Row (\d+), column (\d+): (\w+), (\d+) % sure\.", words).groups()
        place = int(row), int(column)
        assert name == ("background", "foreground")[label[place]]
        assert abs(int(percent) - 100 * sure[place]) <= 0.71
        return place

    assert told() == (45 - 2, 60 - 1)
    box = page.locator("#mask").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 30.5 / 120, box["y"] + box["height"] * 10.5 / 90)
    assert told() == (10, 30)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(opened, written, way):
    page = opened()
    give(page, way, "a.b.png", png(IMAGE))
    assert segmented(page, "a.b.png").shape == (90, 120)
    assert page.locator("#png").get_attribute("download") == "a.b.png"


def test_a_tiff_is_shown_though_browsers_do_not(opened, tmp_path, written):
    page = opened()
    tifffile.imwrite(tmp_path / "cell.tif", IMAGE[..., 0])
    label = upload(page, tmp_path / "cell.tif")
    assert same_labels(label, Predictor(RUN).probabilities(IMAGE), 2e-5)
    values = page.evaluate("Array.from(picture.getContext('2d').getImageData(0, 0, 120, 90).data)")
    assert np.reshape(values, (90, 120, 4))[..., 0].std() > 10


def test_a_bad_picture_is_said_and_the_next_one_works(opened, written, tmp_path):
    page = opened()
    (tmp_path / "no.png").write_bytes(b"hello")
    page.set_input_files("#file", tmp_path / "no.png")
    page.get_by_role("status").get_by_text("is not a complete PNG, JPEG, BMP or TIFF picture.").wait_for()
    assert page.locator("#out").is_hidden()
    assert all("status of 400" in one for one in page.said)  # by the browser itself
    page.said.clear()
    upload(page, written / "cell.png")
    assert page.locator("#out").is_visible()


def test_several_models_are_to_be_chosen_from(opened, written):
    page = opened()
    page.locator("#model option").nth(1).wait_for(state="attached")
    assert page.locator("#model option").all_inner_texts() == ["cells", "again"]
    page.get_by_label("Model").select_option("again")
    with page.expect_request("**/page/models/again/segment"):
        upload(page, written / "cell.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_for_all_and_for_a_phone(opened, written, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[test]'")
    page = opened(color_scheme=scheme, viewport={"width": 390, "height": 844})
    for _ in range(2):
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"]) for one in found if one["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        upload(page, written / "cell.png")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark))) < 200) == (scheme == "dark")


def about(channels, kind="uint8", **of_files):
    """What a net says of itself."""
    normalisation = Normalisation((100.0,) * channels, (50.0,) * channels, kind)
    masks = MaskFormat("index", 2)
    return Description(("a", "b"), masks, normalisation, Geometry(1, "same"), 64, channels=Channels(**of_files))


@pytest.fixture
def read(tmp_path):
    """A function that reads the bytes of a file for a net."""
    return lambda body, net, **limits: _read(tmp_path / "picture.png", body, net, Limits(**limits))[0]


@pytest.fixture
def tiff(tmp_path):
    """A function that gives the bytes of a TIFF file."""

    def of(image, **options):
        tifffile.imwrite(tmp_path / "a.tif", image, **options)
        return (tmp_path / "a.tif").read_bytes()

    return of


RGB = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)


def test_the_channels_are_those_that_the_net_takes_in_its_order(read):
    body = png(RGB[..., ::-1])
    np.testing.assert_array_equal(read(body, about(3)), RGB)
    turned = about(3, picked=("2", "1", "0"), names=("", "", ""))
    np.testing.assert_array_equal(read(body, turned), RGB[..., ::-1])
    np.testing.assert_array_equal(read(body, about(1, picked=("1",), names=("", "", ""))), RGB[..., 1:2])
    grey = png(RGB[..., 0])
    np.testing.assert_array_equal(read(grey, about(3)), np.repeat(RGB[..., :1], 3, axis=-1))
    np.testing.assert_array_equal(read(png(np.repeat(RGB[..., :1], 3, axis=-1)), about(1)), RGB[..., :1])


def test_a_value_that_the_file_names_as_no_measurement_is_the_mean(read, tiff):
    heights = np.random.default_rng(0).random((8, 9), np.float32)
    heights[:3] = -7
    body = tiff(heights, extratags=[(42113, "s", 0, "-7", True)])
    for channels in (1, 3):
        found = read(body, about(channels, "float32"))
        assert found.shape == (8, 9, channels) and (found[:3] == 100).all()
        np.testing.assert_array_equal(found[3:, :, 0], heights[3:])
    trained = replace(about(1, "float32"), normalisation=Normalisation((100.0,), (50.0,), "float32", (-7.0,)))
    np.testing.assert_array_equal(read(body, trained)[..., 0], heights)  # the graph knows it


def images_in_one(count, side):
    """A TIFF file of as many directories, channels by its description, which all say that one strip is theirs."""
    strip, text = zlib.compress(bytes(side * side)), f"ImageJ=1.54\nimages={count}\nchannels={count}\n\0".encode()
    begin = 8 + len(strip) + len(text)
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
            (270, 2, len(text), 8 + len(strip)), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side),
            (279, 4, 1, len(strip))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *one) for one in tags)
    size = 2 + len(entries) + 4
    nexts = [begin + size * (number + 1) for number in range(count - 1)] + [0]
    pages = [struct.pack("<H", len(tags)) + entries + struct.pack("<I", one) for one in nexts]
    return struct.pack("<2sHI", b"II", 42, begin) + strip + text + b"".join(pages)


def test_a_net_that_gives_what_is_not_finite_has_no_mask(one_version):
    answer = SimpleNamespace(version=1, outputs={"probabilities": np.full((1, 90, 120, 2), np.nan, np.float32)})
    models = {"cells": SimpleNamespace(find=lambda: (1, None))}
    calls = SimpleNamespace(limits=Limits(), models=models, predict=lambda *asked: answer)
    with pytest.raises(ServingError, match="A net must give finite probabilities") as told:
        _segmented(calls, "cells", Bundle(one_version), png(IMAGE))
    assert told.value.code == "INTERNAL"


def test_a_version_that_was_copied_in_is_not_taken_for_another(one_version):
    calls = SimpleNamespace(limits=Limits(), models={"cells": SimpleNamespace(find=lambda: (7, None))})
    with pytest.raises(ServingError, match="Version 7 does not say what its net is"):
        _segmented(calls, "cells", Bundle(one_version), png(IMAGE))


def test_what_is_no_picture_of_the_net_is_refused_before_it_is_decoded(read, tiff, monkeypatch):
    small = tiff(np.zeros((4, 4), np.uint8))
    named = tiff(np.zeros((2, 4, 4), np.uint8), imagej=True, metadata={"axes": "CYX", "Labels": ["NIR", "red"]})
    with pytest.raises(ServingError, match="The picture has 2 .0 NIR, 1 red"):
        read(named, about(2, names=("red", "NIR")))
    with pytest.raises(ServingError, match="The picture holds uint8 pixels, and the net was trained on uint16"):
        read(small, about(1, "uint16"))
    with pytest.raises(ServingError, match="The picture has 3 channels, and the net was trained on 1"):
        read(png(RGB), about(1))
    monkeypatch.setattr("unet_tf.data.tiff.read_window", None)
    for body, net, words in (
        (small, about(2, suffixes=("_a", "_b")), "several files that end in _a, _b"),
        (small, about(3, context=1), "several planes of a stack"),
        (tiff(np.zeros((3, 4, 4), np.uint8), photometric="minisblack"), about(1), "this file holds 3"),
        (images_in_one(1024, 64), about(1), "takes pictures of 1 channel; this one has 1024"),
        (tiff(np.zeros((4, 4, 9), np.uint8), planarconfig="contig"), about(3), "of 3 channels; this one has 9"),
    ):
        with pytest.raises(ServingError, match=words) as told:
            read(body, net)
        assert told.value.status == 400


def segment_by(net, body, foreground=0.5):
    """What the page gets of a file of 7 x 9 px, by default where the net is not sure of anything."""
    one = np.broadcast_to(np.float32(foreground), (1, 7, 9))
    given = SimpleNamespace(version=1, outputs={"probabilities": np.stack([1 - one, one], axis=-1)})
    models = {"cells": SimpleNamespace(find=lambda: (1, None))}
    calls = SimpleNamespace(limits=Limits(), models=models, predict=lambda *asked: given)
    return json.loads(_segmented(calls, "cells", SimpleNamespace(describe=lambda number: net), body)[0])


@pytest.mark.parametrize(
    ("channels", "kind"), [(5, "uint8"), (4, "uint16"), (3, "uint8"), (3, "float32"), (3, "float64")]
)
def test_a_tiff_that_pillow_does_not_know_is_segmented(tiff, channels, kind):
    image = np.random.default_rng(0).integers(0, 200, (7, 9, channels)).astype(kind)
    body = tiff(image, photometric="minisblack", planarconfig="contig")
    assert segment_by(about(channels, kind), body)["height"] == 7


def test_outlines_of_a_picture_that_exif_turns_lie_on_its_stored_pixels(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6  # to be turned to the right
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(tmp_path / "a.png", exif=tags)
    foreground = np.zeros((7, 9))
    foreground[0, :2] = 1
    found = segment_by(about(1), (tmp_path / "a.png").read_bytes(), foreground)
    assert (found["height"], found["width"]) == (7, 9)
    (one,) = found["geojson"]["features"]
    (ring,) = one["geometry"]["coordinates"]
    assert {*map(tuple, ring)} == {(0, 7), (1, 7), (1, 9), (0, 9)}


@pytest.mark.parametrize(("value", "known"), [(-7.0, (-7.0,)), (-9999.0, ())])
def test_a_tiff_is_shown_with_the_median_where_nothing_was_measured(tiff, value, known):
    heights = np.random.default_rng(0).random((7, 9, 1), np.float32)
    heights[:3] = value
    trained = replace(about(1, "float32"), normalisation=Normalisation((100.0,), (50.0,), "float32", known))
    found = base64.b64decode(segment_by(trained, tiff(heights[..., 0]))["picture"])
    shown = cv2.imdecode(np.frombuffer(found, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(shown, displayable(fill_nodata(heights, (value,))))


def test_pixels_are_those_of_the_picture_and_not_of_a_small_one_before_it(read, tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((4, 4), np.uint8), subfiletype=1)
        writer.write(np.zeros((40, 40), np.uint8))
    body = (tmp_path / "a.tif").read_bytes()
    assert read(body, about(1)).shape == (40, 40, 1)
    with pytest.raises(ServingError, match="A request may have 1,000 pixels; this one has 1,600"):
        read(body, about(1), pixels=1000)
    with pytest.raises(ServingError, match="in 122 bytes, which cannot hold them"):
        read(tiff_of(40_000, 30_000), about(1))
