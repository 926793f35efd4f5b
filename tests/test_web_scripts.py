"""The scripts of the page of a bundle, held to Python: tiles, pictures read, masks written."""

import base64
import io

import numpy as np
import pytest
from kinds_of_files import kinds, pil
from PIL import Image

from unet_tf import Geometry, read_image
from unet_tf.errors import InputError
from unet_tf.tiling import fixed

SCRIPTS = "unet_tf/exporting/web_page"


@pytest.fixture(scope="module")
def scripts(browser, pytestconfig):
    """A page with the scripts that need no net; all that is called of them are functions, which keep nothing."""
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
                    all.forEach((place, n) => {
                        eachOwn(net, image, place, (to, from) => { whole[to] = n * 1e6 + from; });
                    });
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


@pytest.mark.parametrize(
    ("least", "message"),
    [(1, "cannot be read here: this browser hides pixels from pages."), (9, "is larger than what this browser draws.")],
)
def test_a_canvas_that_gives_back_something_else_is_no_picture(scripts, least, message):
    """Against recognition, or beyond its largest size."""
    grey = np.add.outer(np.arange(40) * 3, np.arange(56) * 2).astype(np.uint8)
    scripts.evaluate(
        """(least) => {
            const known = OffscreenCanvasRenderingContext2D.prototype, real = known.getImageData;
            window.restore = () => { known.getImageData = real; };
            known.getImageData = function (...box) {
                const found = real.apply(this, box);
                if (box[2] >= least) found.data.fill(0);
                return found;
            };
        }""",
        least,
    )
    try:
        assert message in read(scripts, pil(grey, "JPEG", quality=100))
    finally:
        scripts.evaluate("restore()")
    found = read(scripts, pil(grey, "JPEG", quality=100))
    assert found.shape == (40, 56, 1)
    assert np.abs(found[..., 0].astype(int) - grey).max() <= 1


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


@pytest.mark.parametrize(
    ("values", "table"), [((0, 255), None), ((0, 1), None), ((7, 40_000), None), ((0, 1), [[1, 2, 3], [4, 5, 6]])]
)
def test_masks_are_written_as_png(scripts, values, table):
    mask = np.random.default_rng(0).choice(values, (5, 13))
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
