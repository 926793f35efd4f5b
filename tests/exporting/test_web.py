"""The page of a bundle in headless Chromium: its masks are those of `predict`, without a server of ours."""

import itertools
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from kinds_of_files import pil
from PIL import Image
from servers import RUN, picture, png
from web_pages import LeadsAway, WithListing, WithoutIndex, hosted, of_new_net, of_run

from unet_tf import Geometry, export, predict_files, read_image
from unet_tf.data.channels import Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.errors import InputError
from unet_tf.exporting import web
from unet_tf.exporting.bundle import Bundle
from unet_tf.exporting.web import check_web, first_visit
from unet_tf.exporting.web_runtime import PLACE, fetch_runtime
from unet_tf.prediction.predictor import Predictor

browsing = pytest.importorskip("browsing", reason="playwright and axe are not installed: pip install 'unet-tf[test]'")
TOLERANCE = 1e-4
"""Of the probabilities of the float32 file against Keras (`unet_tf.exporting.parity.EXACT`)."""
FOREGROUND = (230, 159, 0)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Three bundles with their pages, in folders of a host."""
    try:
        fetch_runtime()
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
def opened(open_page, address):
    """A function that opens the page of a bundle."""
    return lambda name="run", query="", at=address, **options: open_page(f"{at}/{name}/web/{query}", **options)


@pytest.fixture
def context(browser):
    """A browser that keeps what its pages keep, for hosts of a test's own."""
    with browser.new_context() as own:
        own.set_default_timeout(120_000)
        yield own


def ready(page):
    computed = page.locator("#engine").get_by_text(re.compile("^Computed by"))
    computed.or_(page.locator("#status.bad")).wait_for(timeout=120_000)
    assert computed.is_visible(), page.get_by_role("status").inner_text()
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


def assert_equal(label, probabilities, expected, least=0.99):
    """Labels are equal wherever two probabilities are further apart than the tolerance, which so many pixels are."""
    two = np.sort(probabilities, axis=-1)[..., -2:]
    sure = two[..., 1] - two[..., 0] > 2 * TOLERANCE
    assert sure.mean() > least
    np.testing.assert_array_equal(label[sure], expected[sure])


def test_the_mask_is_that_of_predict(opened, tmp_path):
    """Pictures of many sizes, one after the other on one page."""
    page, predictor = ready(opened()), Predictor(RUN)
    for shape in ((90, 120), (1, 1), (1, 70), (13, 5), (48, 48), (101, 33)):
        image = picture(3, *shape) if min(shape) > 1 else np.full((*shape, 1), 200, np.uint8)
        file = tmp_path / f"{shape}.png"
        file.write_bytes(png(image))
        predict_files(RUN, [file], tmp_path / "out")
        mask = cv2.imread(str(tmp_path / "out" / file.name), cv2.IMREAD_UNCHANGED)
        probabilities = predictor.probabilities(image)
        label = segmented(page, file.name, png(image))
        assert_equal(label, probabilities, mask > 0)
        found = downloaded(page)
        assert found.suggested_filename == file.name
        assert_equal(cv2.imread(str(found.path()), cv2.IMREAD_UNCHANGED), probabilities, mask)
        shares = [row.inner_text().split("\t")[1] for row in page.locator("#legend tr").all()]
        assert shares == [f"{100 * (label == one).mean():.1f} %" for one in (0, 1)], shape


def test_colour_classes_and_names_that_are_no_markup(opened, bundles):
    image = np.random.default_rng(5).integers(0, 256, (70, 61, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    net = EdgeNet(bundles / "colour" / "model_float32.tflite")
    page = ready(opened("colour"))
    label = segmented(page, "road.png", png(image[..., ::-1]))
    assert_equal(label, net.probabilities(image), net.label(image), 0.5)
    assert len(np.unique(label)) > 1
    assert [row.inner_text().split("\t")[0] for row in page.locator("#legend tr").all()] == ["ground", "<road>", "道"]
    with Image.open(downloaded(page).path()) as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), 3 * label)
    grey = image[..., :1]
    assert_equal(segmented(page, "grey.png", png(grey)), net.probabilities(grey), net.label(grey), 0.5)


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
    segmented(page, "a.png", png(image))
    page.evaluate("state.label = []")
    page.get_by_label("Net").select_option(index=1)  # what is shown is computed anew
    assert (labels(page, "a.png") == net.label(image)).mean() > 0.999
    page.get_by_text("this net computes with whole numbers").wait_for()


def test_photographs_are_turned_as_read_image_turns_them(opened, bundles, tmp_path):
    smooth = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 256, (50, 70, 3), dtype=np.uint8), (0, 0), 4)
    page, net = ready(opened("colour")), EdgeNet(bundles / "colour" / "model_float32.tflite")
    for orientation in (1, 3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = tmp_path / f"{orientation}.jpg"
        file.write_bytes(pil(smooth, "JPEG", quality=95, exif=exif))
        image, label = read_image(file), segmented(page, file.name, file.read_bytes())
        assert label.shape == image.shape[:2]
        assert (label == net.label(image)).mean() > 0.99, orientation


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


def test_it_works_after_the_host_has_gone(context, bundles):
    with hosted(bundles) as host:
        page = context.new_page()
        page.goto(f"{host.address}/run/web/")
        ready(page)
        host.stop()
        page.goto(f"{host.address}/run/web/")
        before = segmented(ready(page), "a.png", png(picture(3, 60)))
        page.reload()
        np.testing.assert_array_equal(segmented(ready(page), "a.png", png(picture(3, 60))), before)


@pytest.mark.parametrize("host_of", [WithoutIndex, WithListing, LeadsAway])
def test_hosts_that_have_no_index_documents_or_lead_to_them_serve_it_too(context, bundles, host_of):
    with hosted(bundles, host_of) as host:
        page = context.new_page()
        page.goto(f"{host.address}/run/web/index.html")
        assert ready(page).locator("#engine").inner_text().endswith("Kept for use without a network.")
        host.stop()
        for name in ("", "index.html", "?engine=wasm"):
            page.goto(f"{host.address}/run/web/{name}")
            ready(page)


def new_export(page, folder, bundle):
    """Publish the page of another bundle in a folder, and wait until the browser has all of it."""
    shutil.rmtree(folder / "web")
    # written now, as a host has it: of files of one second it says that nothing is new
    shutil.copytree(bundle / "web", folder / "web", copy_function=shutil.copyfile)
    page.evaluate(
        """async () => {
            const found = await navigator.serviceWorker.getRegistration();
            await found.update();
            const next = found.installing ?? found.waiting;
            while (next.state !== "installed") await new Promise((go) => next.addEventListener("statechange", go));
        }"""
    )


def test_another_export_takes_its_place_when_all_its_pages_are_closed(context, bundles, tmp_path):
    shutil.copytree(bundles / "run", tmp_path / "web" / "run")
    with hosted(tmp_path / "web") as host:
        page = context.new_page()
        page.goto(f"{host.address}/run/web/")
        ready(page)
        assert "grey" in page.locator("#takes").inner_text()
        new_export(page, tmp_path / "web" / "run", bundles / "colour")
        page.reload()
        assert "grey" in ready(page).locator("#takes").inner_text()
        page.close()
        page = context.new_page()
        for _ in range(20):  # the first may still be the old one's
            page.goto(f"{host.address}/run/web/")
            if "RGB" in (takes := ready(page).locator("#takes").inner_text()):
                break
            page.goto("about:blank")
            page.wait_for_timeout(200)
        assert "RGB" in takes


def test_another_export_that_takes_over_amid_the_loading_is_loaded_whole(context, bundles, tmp_path):
    shutil.copytree(bundles / "run", tmp_path / "run")
    with hosted(tmp_path) as host:
        page = context.new_page()
        page.goto(f"{host.address}/run/web/")
        new_export(ready(page), tmp_path / "run", bundles / "colour")
        page.add_init_script(  # the page's next loading stops before its net, the one after that does not
            """if (!sessionStorage.getItem("held")) {
                sessionStorage.setItem("held", "once");
                window.fetch = () => new Promise(() => {});
            }"""
        )
        page.reload()
        for worker in context.service_workers:
            worker.evaluate("self.skipWaiting()")
        assert "RGB" in ready(page).locator("#takes").inner_text()


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
    browsing.give(page, way, "a.b.png", png(picture(3, 30)))
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
    net = max(path.stat().st_size for path in web.glob("*.tflite"))
    runtime = {path.name: path.stat().st_size for path in (web / "litert-2.5.3").iterdir() if "compat" not in path.name}
    threaded = {f"litert_wasm_threaded_internal.{suffix}" for suffix in ("js", "wasm")}
    assert {*runtime} == {"litert.js", "wasm-utils.js"} | threaded
    small = [path.stat().st_size for path in web.iterdir() if path.suffix in (".html", ".css", ".js", ".json", ".txt")]
    total = net + sum(runtime.values()) + 2 * sum(small)  # by the page, and by the service worker that keeps them
    assert first_visit(bundles / "run") == total
    assert f"{total / 1e6:.1f}\N{NO-BREAK SPACE}MB" in (web / "index.html").read_text()
    assert "sw.js" not in re.search(r"FILES = (\[.*?\])", (web / "sw.js").read_text())[1]
    files = json.loads((web / "net.json").read_text())["files"]
    assert [one["file"] for one in files] == ["model_float32.tflite", "model_uint8.tflite"]


def test_what_the_fast_net_loses_is_said_where_there_are_scores(tmp_path):
    net = {"max_probability_difference": 0.1, "label_agreement": 0.9}
    for there, here, words in (
        ({"mean_iou": 0.5}, {"mean_iou": 0.375}, "; mean IoU -0.1250"),
        ({"mean_iou": None}, {"mean_iou": None}, ""),
        ({}, {}, ""),  # of labels that are void alone
    ):
        report = {"keras": net | there, "artefacts": {"a.tflite": net | here}}
        (tmp_path / "report.json").write_text(json.dumps(report | {"pictures": "a few", "tile": 64, "threads": 2}))
        assert web._loss(tmp_path, tmp_path / "a.tflite") == words


def test_webgpu_gives_the_same_where_a_browser_has_it(browser, address):
    flags = "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan --ignore-gpu-blocklist"
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    own = browser.browser_type.launch(executable_path=chromium, args=flags.split())
    try:
        page = own.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}/run/web/?engine=webgpu")
        words = ready(page).locator("#engine").inner_text()
        if "has no WebGPU" in words:
            pytest.skip("this Chromium has no WebGPU, not even in software")
        assert words.startswith("Computed by WebGPU, on the graphics processor.")
        image = picture(3, 60, 50)
        probabilities = Predictor(RUN).probabilities(image)
        assert_equal(segmented(page, "a.png", png(image)), probabilities, probabilities.argmax(-1))
        page.goto(f"{address}/run/web/")
        words = ready(page).locator("#engine").inner_text()
        assert "WebGPU has no graphics processor here" in words
    finally:
        own.close()


def test_export_makes_the_page_and_the_bundle_covers_it(bundles, tmp_path):
    export(RUN, tmp_path / "bundle", variants=("float32",), web=True)
    bundle = Bundle(tmp_path / "bundle")
    assert bundle.faults() == []
    with (bundle.path / "web" / "page.js").open("a") as script:
        script.write("// more")
    assert bundle.faults() == ["web/page.js was changed after the export."]


def test_without_npm_nothing_is_exported(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(PLACE, raising=False)
    with pytest.raises(InputError, match="npm, which fetches it, is not installed"):
        export(RUN, tmp_path / "bundle", variants=("float32",), web=True)
    assert not (tmp_path / "bundle").exists()


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
