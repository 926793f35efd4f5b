"""The page of a bundle in headless Chromium: its masks are those of `predict`, it needs no server of ours and no network."""

import base64
import io
import itertools
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from kinds_of_files import kinds, pil
from PIL import Image
from servers import RUN, picture, png
from web_pages import hosted, of_new_net, of_run

from unet_tf import Geometry, predict_files, read_image
from unet_tf.data.channels import Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.errors import InputError
from unet_tf.exporting.web import check_web, first_visit
from unet_tf.exporting.web_runtime import PACKAGES, fetched
from unet_tf.prediction.predictor import Predictor
from unet_tf.tiling import fixed

browsing = pytest.importorskip("browsing", reason="playwright and axe are not installed: pip install 'unet-tf[test]'")
SCRIPTS = "unet_tf/exporting/web_page"
TOLERANCE = 1e-4
"""Of the probabilities of the float32 file against Keras (`unet_tf.exporting.parity.EXACT`)."""
FOREGROUND = (230, 159, 0)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Three bundles with their pages, in folders of a host."""
    for package in PACKAGES:
        try:
            fetched(package)
        except InputError as error:
            pytest.skip(f"LiteRT.js is not to be had: {error}")
    folder = tmp_path_factory.mktemp("web")
    of_run(folder / "run", RUN)
    of_new_net(folder / "colour")
    of_new_net(folder / "deep", channels=1, dtype="uint16", threshold=0.35)
    return folder


@pytest.fixture(scope="module")
def address(bundles):
    with hosted(bundles) as host:
        yield host.address


@pytest.fixture
def opened(browser, address):
    """A function that opens a page; whatever it logs as an error or asks others for fails the test."""
    contexts, said = [], []

    def open_page(name="run", query="", at=address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        context.on("request", lambda one: None if one.url.startswith((at, "blob:", "data:")) else said.append(one.url))
        page.goto(f"{at}/{name}/web/{query}")
        page.said = said
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def ready(page):
    page.locator("#engine").get_by_text(re.compile("^Computed by")).wait_for(timeout=120_000)
    return page


def labels(page, name):
    """Wait for the mask; (H, W) class ids."""
    page.get_by_role("status").get_by_text(re.compile(rf"^{re.escape(name)}: \d+ × \d+ pixels in")).wait_for(
        timeout=120_000
    )
    text = page.evaluate("""() => { let text = ""; for (const id of state.label) text += id; return text; }""")
    return np.array(list(text), int).reshape(page.evaluate("[state.found.height, state.found.width]"))


def give(page, name, content):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def segmented(page, name, content):
    give(page, name, content)
    return labels(page, name)


def refusal(page):
    page.locator("#status.bad").wait_for(timeout=60_000)
    assert page.locator("#out").is_hidden()
    return page.get_by_role("status").inner_text()


def downloaded(page):
    with page.expect_download() as download:
        page.get_by_text("Mask as PNG").click()
    return download.value


def assert_equal(label, probabilities, expected):
    """Labels are equal wherever two probabilities are further apart than the tolerance."""
    two = np.sort(probabilities, axis=-1)[..., -2:]
    sure = two[..., 1] - two[..., 0] > 2 * TOLERANCE
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(label[sure], expected[sure])


@pytest.mark.parametrize("shape", [(90, 120), (1, 1), (1, 70), (13, 5), (48, 48), (101, 33)])
def test_the_mask_is_that_of_predict(opened, tmp_path, shape):
    image = picture(3, *shape) if min(shape) > 1 else np.full((*shape, 1), 200, np.uint8)
    (tmp_path / "cell.png").write_bytes(png(image))
    predict_files(RUN, [tmp_path / "cell.png"], tmp_path / "out")
    mask = cv2.imread(str(tmp_path / "out" / "cell.png"), cv2.IMREAD_UNCHANGED)
    probabilities = Predictor(RUN).probabilities(image)
    page = ready(opened())
    label = segmented(page, "cell.png", png(image))
    assert_equal(label, probabilities, mask > 0)
    found = downloaded(page)
    assert found.suggested_filename == "cell.png"
    assert_equal(cv2.imread(str(found.path()), cv2.IMREAD_UNCHANGED), probabilities, mask)
    shares = [row.inner_text().split("\t")[1] for row in page.locator("#legend tr").all()]
    assert shares == [f"{100 * (label == one).mean():.1f} %" for one in (0, 1)]


def test_colour_classes_and_names_that_are_no_markup(opened, bundles):
    image = np.random.default_rng(5).integers(0, 256, (70, 61, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    net = EdgeNet(bundles / "colour" / "model_float32.tflite")
    page = ready(opened("colour"))
    label = segmented(page, "road.png", png(image[..., ::-1]))
    assert_equal(label, net.probabilities(image), net.label(image))
    assert len(np.unique(label)) > 1
    assert [row.inner_text().split("\t")[0] for row in page.locator("#legend tr").all()] == ["ground", "<road>", "道"]
    with Image.open(downloaded(page).path()) as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), 3 * label)
    grey = image[..., :1]
    assert_equal(segmented(page, "grey.png", png(grey)), net.probabilities(grey), net.label(grey))


def test_sixteen_bits_and_a_threshold(opened, bundles):
    image = (picture(1, 60, 77).astype(np.uint16) * 257) ^ 13
    net = EdgeNet(bundles / "deep" / "model_float32.tflite")
    page = ready(opened("deep"))
    label = segmented(page, "deep.png", png(image))
    probabilities = net.probabilities(image)
    sure = np.abs(probabilities[..., 1] - 0.35) > TOLERANCE
    np.testing.assert_array_equal(label[sure], net.label(image)[sure])
    assert (label != probabilities.argmax(-1)).any()
    give(page, "flat.png", png(picture(1, 60)))
    assert refusal(page).startswith("flat.png holds uint8 pixels, and the net was trained on uint16")
    assert page.locator("#camera").is_hidden()


def test_whole_numbers_give_what_the_edge_gives(opened, bundles):
    image, net = picture(4, 80, 61), EdgeNet(bundles / "run" / "model_uint8.tflite")
    page = ready(opened())
    assert [one.split(" ")[0] for one in page.locator("#model option").all_inner_texts()] == ["exact", "fast,"]
    page.get_by_label("Net").select_option(index=1)
    page.get_by_text("this net computes with whole numbers").wait_for()
    assert (segmented(page, "a.png", png(image)) == net.label(image)).mean() > 0.999


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photographs_are_turned_as_read_image_turns_them(opened, bundles, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 256, (50, 70, 3), dtype=np.uint8), (0, 0), 4)
    (tmp_path / "a.jpg").write_bytes(pil(smooth, "JPEG", quality=95, exif=exif))
    image, net = read_image(tmp_path / "a.jpg"), EdgeNet(bundles / "colour" / "model_float32.tflite")
    page = ready(opened("colour"))
    label = segmented(page, "a.jpg", (tmp_path / "a.jpg").read_bytes())
    assert label.shape == image.shape[:2]
    assert (label == net.label(image)).mean() > 0.99


def test_it_says_who_computes_and_that_threads_came_by_the_service_worker(opened):
    page = ready(opened())
    assert page.evaluate("crossOriginIsolated")
    words = page.locator("#engine").inner_text()
    assert re.match(r"Computed by WebAssembly, (\d+ threads|one thread): this browser has no WebGPU here\.", words)
    assert words.endswith("Kept for use without a network.")


def test_without_a_service_worker_one_thread_computes(opened):
    page = ready(opened(service_workers="block"))
    words = page.locator("#engine").inner_text()
    assert words.startswith("Computed by WebAssembly, one thread: ")
    assert words.endswith("Not kept: it needs the network each time.")
    assert segmented(page, "a.png", png(picture(3, 60))).shape == (60, 60)


def test_it_works_after_the_host_has_gone(browser, bundles):
    with hosted(bundles) as host:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{host.address}/run/web/")
        ready(page)
        host.stop()
        page.goto(f"{host.address}/run/web/")
        before = segmented(ready(page), "a.png", png(picture(3, 60)))
        page.reload()
        np.testing.assert_array_equal(segmented(ready(page), "a.png", png(picture(3, 60))), before)
        context.close()


def test_another_export_takes_its_place_when_all_its_pages_are_closed(browser, bundles, tmp_path):
    shutil.copytree(bundles / "run", tmp_path / "web" / "run")
    shutil.copytree(bundles / "colour" / "web", tmp_path / "new")
    with hosted(tmp_path / "web") as host:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{host.address}/run/web/")
        ready(page)
        assert "grey" in page.locator("#takes").inner_text()
        shutil.rmtree(tmp_path / "web" / "run" / "web")
        (tmp_path / "new").rename(tmp_path / "web" / "run" / "web")
        page.evaluate(
            """async () => {
                const found = await navigator.serviceWorker.getRegistration();
                await found.update();
                const next = found.installing ?? found.waiting;
                while (next.state !== "installed") await new Promise((go) => next.addEventListener("statechange", go));
            }"""
        )
        page.reload()
        assert "grey" in ready(page).locator("#takes").inner_text()
        page.close()
        page = context.new_page()
        for _ in range(2):  # the first may still be the old one's
            page.goto(f"{host.address}/run/web/")
            ready(page)
            page.goto("about:blank")
        page.goto(f"{host.address}/run/web/")
        assert "RGB" in ready(page).locator("#takes").inner_text()
        context.close()


def test_a_net_that_is_not_the_page_s_is_refused(opened, bundles, tmp_path):
    shutil.copytree(bundles / "run", tmp_path / "run")
    net = tmp_path / "run" / "web" / "model_float32.tflite"
    content = bytearray(net.read_bytes())
    content[-100] ^= 1
    net.write_bytes(content)
    with hosted(tmp_path) as host:
        page = opened(at=host.address)
        assert refusal(page).startswith("model_float32.tflite is not the file of this page: damaged")
        give(page, "a.png", png(picture(3, 60)))
        assert refusal(page).startswith("model_float32.tflite is not the file of this page: damaged")


BAD = {
    "cut.png": (png(picture(3, 60))[:-40], "cut.png (", "is not a complete PNG or JPEG picture"),
    "empty.png": (b"", "empty.png (0 bytes)", "its first bytes are those of no format that is read"),
    "words.png": (b"hello, world", "words.png (12 bytes)", "of no format"),
    "a.tif": (b"II*\0" + bytes(100), "a.tif is a TIFF file", "Save it as PNG"),
    "a.heic": (b"\0\0\0\x18ftypheic" + bytes(100), "a.heic is a HEIC or AVIF file", "Save it as PNG"),
    "cut.jpg": (pil(picture(3, 60)[..., 0], "JPEG")[:-30], "cut.jpg (", "it ends before its end marker"),
    "inks.jpg": (pil(np.zeros((9, 9, 4), np.uint8), "JPEG", "CMYK"), "inks.jpg is a JPEG file of 4 colours", "as RGB"),
    "red.png": (png(np.dstack([picture(n, 60) for n in range(3)])), "red.png has 3 channels", "Save it as grey."),
    "large.png": (
        pil(np.zeros((1, 1), np.uint8), "PNG"), "large.png has 10000 × 9000 pixels", "takes 67,108,864 at most",
    ),
}  # fmt: skip


def larger(content):
    """The header of a PNG file says 10,000 x 9,000 pixels."""
    import zlib

    head = b"IHDR" + (10_000).to_bytes(4) + (9_000).to_bytes(4) + content[24:29]
    return content[:12] + head + zlib.crc32(head).to_bytes(4) + content[33:]


def test_bad_pictures_are_named_and_the_next_one_works(opened):
    page = ready(opened())
    for name, (content, start, end) in BAD.items():
        give(page, name, larger(content) if name == "large.png" else content)
        words = refusal(page)
        assert words.startswith(start), words
        assert end in words, words
        assert segmented(page, f"after {name}.png", png(picture(3, 20))).shape == (20, 20)


def test_a_picture_is_cancelled_and_replaced(opened):
    page = ready(opened())
    large = png(picture(3, 1500))
    give(page, "large.png", large)
    page.get_by_role("progressbar", name="Tiles done").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("status").get_by_text("large.png was cancelled.").wait_for()
    assert page.get_by_role("button", name="Cancel").is_hidden()
    assert page.locator("#progress").is_hidden()
    give(page, "large.png", large)
    page.get_by_role("progressbar", name="Tiles done").wait_for()
    assert segmented(page, "small.png", png(picture(3, 30))).shape == (30, 30)
    assert page.locator("#progress").is_hidden()


def test_a_picture_may_come_before_the_net(opened):
    page = opened(service_workers="block")
    assert segmented(page, "early.png", png(picture(3, 30))).shape == (30, 30)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(opened, way):
    page = ready(opened())
    make = {
        "drop": "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})",
        "paste": "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})",
    }[way]
    page.evaluate(
        f"""text => {{
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], "a.b.png", {{type: "image/png"}}));
            document.dispatchEvent({make});
        }}""",
        base64.b64encode(png(picture(3, 30))).decode(),
    )
    assert labels(page, "a.b.png").shape == (30, 30)
    assert page.locator("#png").get_attribute("download") == "a.b.png"


def test_opacity_and_places_by_keyboard(opened):
    page = ready(opened())
    label = segmented(page, "cell.png", png(picture(3, 90, 120)))
    page.locator("#opacity").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("getComputedStyle(mask).opacity") == "0.51"
    page.locator("#mask").focus()
    page.keyboard.press("ArrowUp")
    words = page.locator("#under").inner_text()
    row, column, name, percent = re.fullmatch(r"Row (\d+), column (\d+): (\w+), (\d+) % sure\.", words).groups()
    assert (int(row), int(column)) == (45 - 2, 60)
    assert name == ("background", "foreground")[label[int(row), int(column)]]
    assert abs(int(percent) - 100 * Predictor(RUN).probabilities(picture(3, 90, 120))[43, 60].max()) <= 0.71
    values = page.evaluate("Array.from(mask.getContext('2d').getImageData(0, 0, mask.width, mask.height).data)")
    drawn = np.reshape(values, (90, 120, 4))
    np.testing.assert_array_equal(drawn[..., 3], 255 * label)
    assert {tuple(one) for one in drawn[label > 0][:, :3]} == {FOREGROUND}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_for_all_and_for_a_phone(opened, scheme):
    page = opened(color_scheme=scheme, viewport={"width": browsing.PHONE, "height": 844}, bypass_csp=True)
    ready(page)
    for content in (picture(3, 90, 120), None):
        assert browsing.serious(page) == []
        assert browsing.overflow(page) == 0
        if content is not None:
            segmented(page, "cell.png", png(content))
    page.set_viewport_size({"width": browsing.DESK, "height": 900})
    assert browsing.serious(page) == []
    assert browsing.overflow(page) == 0


def test_the_folder_says_its_licences_and_its_size(bundles):
    web = bundles / "run" / "web"
    words = (web / "LICENCES.txt").read_text()
    assert "Apache License" in words
    assert "MIT License" in words
    assert "{{" not in words + (web / "sw.js").read_text()
    net, runtime = (web / "model_float32.tflite").stat().st_size, web / "litert-2.5.3"
    threaded = sum(path.stat().st_size for path in runtime.glob("*threaded*"))
    assert first_visit(bundles / "run") == net + threaded
    assert f"{(net + threaded) / 1e6:.1f} MB" in (web / "index.html").read_text()
    files = json.loads((web / "net.json").read_text())["files"]
    assert [one["file"] for one in files] == ["model_float32.tflite", "model_uint8.tflite"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float32"}, "its pixels are float32, and pictures that a page reads are uint8 or uint16"),
        ({"channels": 5}, "it takes 5 channels, and pictures that a page reads are grey or RGB"),
        ({"source": Channels(context=1)}, "its channels are"),
        ({"variants": ("uint8",)}, "--web needs the TFLite file float32; received uint8. Add it to --variants."),
    ],
)
def test_nets_that_no_page_can_show_are_refused_with_the_reason(changes, message):
    channels = changes.get("channels", 3)
    scale = Normalisation((0.0,) * channels, (1.0,) * channels, changes.get("dtype", "uint8"))
    about = Description(("a", "b"), MaskFormat("binary", 2), scale, Geometry(1, "valid"), 52)
    about = Description(*itertools.islice(vars(about).values(), 6), changes.get("source", about.channels))
    with pytest.raises(InputError, match=re.escape(message)):
        check_web(about, changes.get("variants", ("float32",)))


@pytest.fixture
def scripts(browser, pytestconfig):
    """A page with the scripts that need no net."""
    page = browser.new_page()
    for name in ("tiles.js", "png.js", "picture.js"):
        page.add_script_tag(content=(pytestconfig.rootpath / SCRIPTS / name).read_text())
    yield page
    page.close()


def test_tiles_lie_and_read_as_those_of_python(scripts):
    rng = np.random.default_rng(0)
    for depth, padding, side in (
        (0, "valid", 12),
        (1, "same", 24),
        (1, "valid", 28),
        (2, "valid", 76),
        (2, "same", 64),
    ):
        geometry = Geometry(depth, padding)
        for height, width in ((1, 1), (1, 9), (2, 3), (7, 40), (33, 16), (geometry.tile_step(side) + 1, 50)):
            image = rng.integers(0, 256, (height, width, 2), dtype=np.uint8)
            grid = fixed(geometry, (height, width), (side, side))
            net = {
                "tile": side, "halo": geometry.halo, "margin": geometry.margin, "output": geometry.output_size(side),
                "step": geometry.tile_step(side), "channels": 2,
            }  # fmt: skip
            places, windows, whole = scripts.evaluate(
                """([net, data, height, width]) => {
                    const image = { data, height, width, channels: 2 }, all = places(net, height, width);
                    const windows = all.map((place) => {
                        const out = new Float32Array(net.tile ** 2 * 2);
                        readWindow(net, image, place, out);
                        return Array.from(out);
                    });
                    const whole = Array(height * width).fill(-1);
                    all.forEach((place, n) => eachOwn(net, image, place, (to, from) => { whole[to] = n * 1e6 + from; }));
                    return [all, windows, whole];
                }""",
                [net, image.ravel().tolist(), height, width],
            )
            assert list(map(tuple, places)) == [grid.origin(n) for n in range(len(grid))]
            output = geometry.output_size(side)
            expected = np.empty((height, width))
            for n in range(len(grid)):
                np.testing.assert_array_equal(np.reshape(windows[n], (side, side, 2)), grid.window(image, n))
                numbers = n * 1e6 + np.arange(output**2).reshape(output, output)
                expected[grid.place(n)] = grid.own(numbers, n)
            np.testing.assert_array_equal(np.reshape(whole, (height, width)), expected)


READ = """async ([text, net]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    try {
        const { data, height, width, channels } = await readPicture(new File([bytes], "a"), net);
        return [Array.from(data), [height, width, channels], data.constructor.name];
    } catch (error) {
        return error instanceof Refused ? error.message : `not refused: ${error.stack}`;
    }
}"""


def read(scripts, content, dtype="uint8", channels=3):
    found = scripts.evaluate(READ, [base64.b64encode(content).decode(), {"pixel_type": dtype, "channels": channels}])
    if isinstance(found, str):
        return found
    data, shape, kind = found
    return np.array(data, {"Uint8Array": np.uint8, "Uint16Array": np.uint16}[kind]).reshape(shape)


@pytest.mark.parametrize("kind", [one for one in kinds() if one.name.startswith("png")], ids=lambda one: one.name)
def test_png_files_are_read_as_read_image_reads_them(scripts, kind):
    dtype = "uint16" if kind.shown is not None and kind.shown.dtype == np.uint16 else "uint8"
    found = read(scripts, kind.data, dtype)
    if kind.shown is None:
        assert isinstance(found, str)
        assert not found.startswith("not refused")
    else:
        np.testing.assert_array_equal(found, kind.shown if kind.shown.ndim == 3 else kind.shown[..., None])


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(9))
def test_pictures_that_exif_turns(scripts, tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.add.outer(np.arange(40) * 3, np.arange(56) * 2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100} if suffix == "jpg" else {}))
    found = read(scripts, (tmp_path / f"a.{suffix}").read_bytes())
    expected = read_image(tmp_path / f"a.{suffix}")
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (suffix == "jpg")


def test_damaged_png_files_are_read_as_python_reads_them_or_refused(scripts, tmp_path):
    content = pil(np.random.default_rng(0).integers(0, 9, (9, 11), dtype=np.uint8), "PNG")
    rng, file = np.random.default_rng(1), tmp_path / "a.png"
    for number in range(150):
        damaged = bytearray(content)
        if number % 3 == 0:
            del damaged[rng.integers(0, len(content)) :]
        else:
            damaged[rng.integers(0, len(content))] ^= 1 << rng.integers(0, 8)
        file.write_bytes(damaged)
        found = read(scripts, bytes(damaged))
        try:
            expected = read_image(file)
        except InputError:
            expected = None
        if expected is None:
            assert isinstance(found, str)
            assert not found.startswith("not refused"), found
        else:
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("table", [None, [[1, 2, 3], [4, 5, 6]]])
@pytest.mark.parametrize("values", [(0, 255), (0, 1), (7, 40_000)])
def test_masks_are_written_as_png(scripts, values, table):
    mask = np.random.default_rng(0).choice(values, (5, 13))
    if table and max(values) > 1:
        return
    text = scripts.evaluate(
        """async ([values, table]) => {
            const blob = await writePng(5, 13, Uint16Array.from(values), table);
            return btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
        }""",
        [mask.ravel().tolist(), table],
    )
    with Image.open(io.BytesIO(base64.b64decode(text))) as found:
        np.testing.assert_array_equal(np.asarray(found), mask)
        assert found.mode == ("P" if table else "L" if max(values) < 256 else "I;16")
