"""A package of the BioImage Model Zoo: what it says, what is refused, and what bioimageio.core makes of it."""

import hashlib
import io
import json
import logging
import shutil
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import yaml

from unet_tf import InputError, Run, export, unet
from unet_tf.data.drawing import displayable
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import fill_nodata
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description, Origin
from unet_tf.exporting import bioimageio
from unet_tf.exporting.bioimageio import BIOIMAGEIO, faults, write_bioimageio
from unet_tf.exporting.bundle import Bundle
from unet_tf.exporting.credits import Author, Credits, credits_of
from unet_tf.exporting.parity import Example, keras_net, noise
from unet_tf.exporting.source import describe, model_of
from unet_tf.exporting.zoo import legal_name, summary
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import Calibration
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.tiling import read_window

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"
ADA = Credits((Author("Ada Lövelace", "Analytical Society, London"), Author("文")), "CC-BY-4.0")
CARD = (
    "---\na: b\n---\n# Cells\n\nA U-Net.\n\n## How well\n\nWell.\n\n## Data\n\nMany.\n\n## How to call it\n\nno"
    "\n\n## Limits\n\n- few\n"
)


def described(
    classes, padding, dtype="uint8", channels=1, nodata=(), mean=100.0, std=20.0, calibration=None, nets=1, depth=1
):
    return Description(
        tuple(classes),
        MaskFormat(kind="index", num_classes=len(classes)),
        Normalisation((mean,) * channels, (std,) * channels, dtype, nodata),
        Geometry(depth, padding),
        Geometry(depth, padding).min_tile,
        Origin(versions={"keras": keras.__version__, "tensorflow": "2.21.0"}),
        calibration=calibration or Calibration(),
        nets=nets,
    )


def net(description, seed=0):
    keras.utils.set_random_seed(seed)
    geometry, shape = description.geometry, (None, None, description.normalisation.channels)
    return unet(shape, len(description.classes), 2, geometry.depth, geometry.padding)


def written(folder, description, model, name="cells", validation=(), card=CARD):
    write_bioimageio(folder / BIOIMAGEIO, name, model, description, card, validation, ADA)
    return zipfile.ZipFile(folder / BIOIMAGEIO)


def fields(package):
    return yaml.safe_load(package.read("rdf.yaml"))


@pytest.fixture(scope="module")
def saved():
    """The saved run: its net, and what is known of it."""
    run = Run(SAVED)
    return model_of(run, "float32"), describe(run, 52, 0.01)[0]


@pytest.fixture(scope="module")
def pairs(cells):
    return find_named(cells).check()["val"]


@pytest.fixture(scope="module")
def package(saved, pairs, tmp_path_factory):
    """A package of the saved run."""
    model, description = saved
    return written(tmp_path_factory.mktemp("package"), description, model, validation=pairs)


def test_a_package_says_everything_of_its_net(package, saved):
    said = fields(package)
    assert (said["type"], said["name"], said["license"]) == ("model", "U-Net cells", "CC-BY-4.0")
    assert said["authors"] == [{"name": "Ada Lövelace", "affiliation": "Analytical Society, London"}, {"name": "文"}]
    (given,), (found,) = said["inputs"], said["outputs"]
    sizes = {axis["id"]: axis["size"] for axis in given["axes"] if axis["type"] == "space"}
    assert sizes == {"y": {"min": 22, "step": 2}, "x": {"min": 22, "step": 2}}
    assert [step["id"] for step in given["preprocessing"]] == [
        "ensure_dtype", "fixed_zero_mean_unit_variance", "ensure_dtype",
    ]  # fmt: skip
    normalisation = saved[1].normalisation
    kwargs = {"axis": "channel", "mean": [*normalisation.mean], "std": [*normalisation.std]}
    assert given["preprocessing"][1]["kwargs"] == kwargs
    assert given["data"] == {"type": "uint8"}
    assert [(axis["size"]["offset"], axis["halo"]) for axis in found["axes"][1:3]] == [(0, 10), (0, 10)]
    assert found["axes"][3]["channel_names"] == ["background", "foreground"]
    assert said["weights"]["onnx"]["opset_version"] == 17
    assert said["config"]["unet_tf"] == json.loads(json.dumps(saved[1].to_json()))


def test_fiji_finds_what_its_engine_fails_without(package):
    said = fields(package)
    assert said["documentation"] == "README.md" and said["covers"] == ["cover.png"]  # text alone, no mapping
    assert said["config"]["bioimageio"]["nickname"] == "u-net-cells"
    assert b"*id" not in package.read("rdf.yaml")


def test_files_are_those_that_it_names_with_their_hashes(package):
    said = fields(package)
    named = [tensor["test_tensor"] for tensor in (*said["inputs"], *said["outputs"])] + [*said["weights"].values()]
    for one in named:
        assert hashlib.sha256(package.read(one["source"])).hexdigest() == one["sha256"]
    others = {"rdf.yaml", said["documentation"], *said["covers"]}
    assert {*package.namelist()} == {one["source"] for one in named} | others


def test_the_cover_is_the_picture_beside_its_mask(package, pairs):
    cover = cv2.imdecode(np.frombuffer(package.read("cover.png"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert cover.shape == (256, 512, 3)
    pictures = [displayable(pair.read().image) for pair in pairs]  # 96 px
    shown = [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_NEAREST) for picture in pictures]
    (number,) = (n for n, picture in enumerate(shown) if np.array_equal(picture, cover[:, :256]))
    mask = cv2.imread(str(pairs[number].mask), cv2.IMREAD_GRAYSCALE)
    drawn = cv2.resize(mask, (256, 256), interpolation=cv2.INTER_NEAREST) > 0
    np.testing.assert_array_equal(cover[:, 256:].any(-1), drawn)


def test_the_cover_is_stretched_by_what_was_measured():
    about = described(["a", "b"], "same", "float32", nodata=(-9999.0,), mean=500.0, std=100.0)
    image = np.random.default_rng(0).normal(500, 100, (64, 64, 1)).astype(np.float32)
    image[5:40, 7:30] = -9999
    label = np.zeros((64, 64), np.uint8)
    png = bioimageio._cover(Example("a", image, label), np.zeros((64, 64, 2), np.float32), about)
    cover = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    shown = cv2.resize(displayable(fill_nodata(image, (-9999.0,))), (256, 256), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(cover[:, :256], shown)


def test_the_readme_is_of_the_card_what_holds_for_the_package(package):
    text = package.read("README.md").decode()
    assert text.startswith("# Cells\n\nA U-Net.\n\n## Validation\n\nWell.\n\nThe weights of this package are held")
    assert "\n\n## Data\n\nMany.\n\n## How to call it\n\n- `image`, the input, holds raw `uint8` pixels" in text
    assert "few" not in text
    assert text.endswith(
        "\n\n## Authors and licence\n\nAda Lövelace, Analytical Society, London; 文. Licence: CC-BY-4.0.\n"
    )


def test_whose_picture_it_shows_is_said_and_noise_is_not(saved, pairs, tmp_path, caplog):
    model, description = saved
    written(tmp_path, description, model, validation=pairs)
    assert "bioimageio.zip shows a part of" in caplog.text and "publish it if you may" in caplog.text
    caplog.clear()
    package = written(tmp_path, description, model)
    assert not caplog.text
    cover = cv2.imdecode(np.frombuffer(package.read("cover.png"), np.uint8), cv2.IMREAD_COLOR)
    assert cover.shape == (256, 512, 3)


def test_a_valid_net_cuts_its_halo_off_itself(tmp_path):
    description = described(["a", "b", "c"], "valid", depth=2)
    said = fields(written(tmp_path, description, net(description)))
    sizes = [axis["size"] for axis in said["inputs"][0]["axes"] if axis["type"] == "space"]
    assert sizes == [{"min": 44, "step": 4}] * 2
    axes = [axis for axis in said["outputs"][0]["axes"] if axis["type"] == "space"]
    assert [(axis["size"]["offset"], "halo" in axis) for axis in axes] == [(-40, False)] * 2


@pytest.mark.parametrize(("nodata", "std"), [((-999.0,), 20.0), ((), 0.99)])
def test_what_the_format_has_no_step_for_is_in_both_weights(nodata, std, tmp_path):
    description = described(["a", "b"], "same", "float32", channels=2, nodata=nodata, std=std)
    package = written(tmp_path, description, net(description))
    steps = fields(package)["inputs"][0]["preprocessing"]
    assert steps == [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}]
    assert "Normalisation is in both weights" in package.read("README.md").decode()


def test_the_lowest_float64_which_float32_has_not_is_no_measurement_in_the_net_of_keras():
    description = described(["a", "b"], "same", "float64", nodata=(-1.7976931348623157e308, -999.0))
    found = bioimageio._with_probabilities(net(description), description, inside=True)
    gaps = (np.full((1, 32, 32, 1), value, np.float32) for value in (-np.inf, -999, 100))
    lowest, known, mean = (np.asarray(found(one)) for one in gaps)
    np.testing.assert_array_equal(lowest, mean)
    np.testing.assert_array_equal(known, mean)


def test_threshold_and_temperature_are_said(saved, tmp_path):
    model, description = saved
    description = described(["ground", "cell"], "same", calibration=Calibration(1.7, 0.3))
    package = written(tmp_path, description, model)
    assert fields(package)["description"].endswith("A pixel is of the second one where that is above 0.3.")
    text = package.read("README.md").decode()
    assert "Softmax of logits / 1.7 is in both weights" in text
    assert "A pixel is of cell where its probability is above 0.3" in text


def test_class_names_like_numbers_stay_text_and_many_are_counted(tmp_path):
    names = ["1e3", "no", "0x1f", "größe: a", "- b", *[f"class {n} {'x' * 30}" for n in range(40)]]
    description = described(names, "same")
    said = fields(written(tmp_path, description, net(description)))
    assert said["outputs"][0]["axes"][3]["channel_names"] == names
    assert len(said["description"]) <= 512 and " more." in said["description"]
    with zipfile.ZipFile(tmp_path / BIOIMAGEIO) as package:
        assert '"1e3"' in package.read("rdf.yaml").decode()


def test_a_pixel_type_without_a_name_in_the_format_is_float32(tmp_path):
    description = described(["a", "b"], "same", "float16")
    package = written(tmp_path, description, net(description))
    assert fields(package)["inputs"][0]["data"] == {"type": "float32"}
    assert np.load(io.BytesIO(package.read("test_image.npy"))).dtype == np.float32


@pytest.mark.parametrize("name", ["x" * 300, "細胞", "../../etc/passwd", "a\nb: c", ""])
def test_any_name_gives_a_legal_one(name, saved, tmp_path):
    model, description = saved
    said = fields(written(tmp_path, description, model, name))
    assert said["name"] == legal_name(name)
    assert 5 <= len(said["name"]) <= 64 and said["name"].isascii()
    assert [path.name for path in tmp_path.iterdir()] == [BIOIMAGEIO]


def test_words_have_at_most_512_characters():
    assert len(summary(described(["x" * 600, "b"], "same", calibration=Calibration(1.0, 0.2)))) <= 512


@pytest.mark.parametrize(
    ("authors", "license", "words"),
    [
        ([], "MIT", "--author 'Name, Affiliation'"),
        ([""], "MIT", "received ''"),
        ([" , Society"], "MIT", "An author is"),
        (["Ada\nLovelace"], "MIT", r"received 'Ada\\nLovelace'"),
        (["Ada\tLovelace"], "MIT", "An author is"),
        (["Ada/Lovelace"], "MIT", "An author is"),
        (["Ada\\Lovelace"], "MIT", "An author is"),
        (["\udce9"], "MIT", "An author is"),
        (["Ada"], "", "--license MIT"),
        (["Ada"], "mit", "Near: MIT"),
        (["Ada"], "CC-BY", "Near: CC-BY-4.0, CC-BY-3.0, "),
        (["Ada"], "GPL-3.0", "Near: GPL-3.0-only, GPL-3.0-or-later"),
        (["Ada"], "free to use", "received 'free to use'"),
    ],
)
def test_authors_and_licence_are_asked_for_before_any_work(authors, license, words, tmp_path):
    with pytest.raises(InputError, match=words):
        export(tmp_path / "no run", tmp_path / "out", bioimageio=True, authors=authors, license=license)
    assert not [*tmp_path.iterdir()]


def test_authors_without_a_package_are_refused(tmp_path):
    with pytest.raises(InputError, match="say --bioimageio too"):
        export(tmp_path / "no run", tmp_path / "out", authors=["Ada"])
    with pytest.raises(InputError, match="SPDX identifier, such as MIT or CC-BY-4.0; received 'as you like'"):
        export(tmp_path / "no run", tmp_path / "out", license="as you like")


def test_an_author_may_have_any_letters_and_an_affiliation_commas():
    found = credits_of(["Łukasz Ó Súilleabháin ,  Wrocław, Poland", "文"], "MIT")
    assert found.authors == (Author("Łukasz Ó Súilleabháin", "Wrocław, Poland"), Author("文"))
    assert credits_of("Ada, Society", "0BSD").authors == (Author("Ada", "Society"),)


@pytest.mark.parametrize("missing", ["bioimageio.spec", "onnxruntime", "yaml"])
def test_a_missing_package_says_its_install_line(missing, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[bioimageio\]'"):
        export(tmp_path / "no run", tmp_path / "out", bioimageio=True, authors=["Ada"], license="MIT")


def test_what_the_format_refuses_leaves_nothing(saved, tmp_path, monkeypatch):
    model, description = saved
    monkeypatch.setattr(bioimageio, "resource", lambda *given: {"type": "model", "format_version": "0.5.10"})
    with pytest.raises(RuntimeError, match=r"bioimageio\.spec refuses the package"):
        written(tmp_path, description, model)
    assert not [*tmp_path.iterdir()]


def test_a_temperature_below_1_allows_as_much_as_of_the_onnx_file(tmp_path, monkeypatch):
    description, right = described(["a", "b"], "same", calibration=Calibration(0.1)), bioimageio._run_onnx
    for by, said in ((5e-4, None), (1.5e-3, r"weights\.onnx differs from the net by 1\.5e-03 .*, and may by 1\.0e-03")):
        monkeypatch.setattr(bioimageio, "_run_onnx", lambda path, pixels, by=by: right(path, pixels) + by)
        with nullcontext() if said is None else pytest.raises(RuntimeError, match=said):
            written(tmp_path, description, net(description))


def test_weights_that_differ_leave_nothing(saved, tmp_path, monkeypatch):
    model, description = saved
    graph = bioimageio.onnx_graph
    monkeypatch.setattr(bioimageio, "onnx_graph", lambda net, how, **more: graph(net, Calibration(3.0), **more))
    with pytest.raises(RuntimeError, match=r"weights\.onnx differs from the net by"):
        written(tmp_path, description, model)
    assert not [*tmp_path.iterdir()]


def test_pixels_too_small_to_test_with_are_refused(tmp_path):
    description = described(["a", "b"], "same", "float32", mean=0.0, std=1e-7)
    with pytest.raises(InputError, match="Train on pictures in another unit"):
        written(tmp_path, description, net(description))
    assert not [*tmp_path.iterdir()]


def test_a_damaged_package_is_said(package, tmp_path):
    whole = Path(package.filename).read_bytes()
    assert faults(Path(package.filename)) == []
    for number, damaged in enumerate([b"", b"no zip", whole[:1000], whole[: len(whole) // 2]]):
        (file := tmp_path / f"{number}.zip").write_bytes(damaged)
        assert len(faults(file)) == 1 and faults(file)[0].startswith(f"{number}.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        for name in package.namelist():
            other.writestr(name, b"x" if name == "weights.onnx" else package.read(name))
    assert any("weights.onnx" in said for said in faults(tmp_path / "other.zip"))


@pytest.mark.usefixtures("no_saved_model")
def test_a_bundle_holds_it_with_its_hash(tmp_path):
    out = tmp_path / ("細胞 " * 20)
    export(SAVED, out, variants=[], bioimageio=True, authors=["Ada, Society"], license="MIT")
    bundle = Bundle(out)
    assert bundle.sha256[BIOIMAGEIO] == hashlib.sha256((out / BIOIMAGEIO).read_bytes()).hexdigest()
    assert bundle.faults() == []
    with zipfile.ZipFile(out / BIOIMAGEIO) as package:
        assert fields(package)["name"] == "U-Net"
        assert "## Validation" in package.read("README.md").decode()


def test_bioimageio_core_gives_what_keras_gives_with_both_weights(saved, tmp_path, caplog):
    python = Path(sys.prefix).with_name(f"{Path(sys.prefix).name}-bioimageio") / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is missing: make test sets it up")
    caplog.set_level(logging.ERROR)
    model, known = saved
    hot = Calibration(1.7, 0.3)
    known = Description(
        known.classes, known.masks, known.normalisation, known.geometry, known.tile, known.origin, calibration=hot
    )
    valid = described(["a", "b", "c"], "valid", "int16", channels=2, nodata=(-999.0,), calibration=Calibration(0.6))
    mean = described(["a", "b"], "same", channels=3, nets=2)
    members = [Member(f"net{seed}", net(mean, seed), (1.0,) * 3, (0.1,) * 3, 1.2) for seed in (1, 2)]
    nets = {"same": (model, known), "valid": (net(valid, 3), valid), "mean": (ensemble(members), mean)}
    expected = {}
    for name, (its_model, description) in nets.items():
        written(tmp_path, description, its_model)
        shutil.move(tmp_path / BIOIMAGEIO, tmp_path / f"{name}.zip")
        shapes = [(64, 48), (22, 100), (40, 64)] if name == "same" else [(24, 40)]
        for number, shape in enumerate(shapes):
            picture = noise(description, shape)
            if name == "valid":
                picture[3:9, 5:11, 0] = -999
            result = keras_net(its_model, description)(picture)
            given = f"{name}_{number}{'_blocks' * (number == 2)}"
            expected[given] = result
            if name == "valid":  # its halo is mirrored by whoever calls it
                halo, geometry = description.geometry.halo, description.geometry
                sides = [geometry.input_size(length) for length in shape]
                picture = read_window(picture, (-halo, -halo), sides)
                assert [side - geometry.shrink for side in sides] == [*shape]
            np.save(tmp_path / f"{given}.npy", picture[None])
    program = Path(__file__).parent / "programs" / "bioimageio_core.py"
    command = [python, "-W", "ignore", program, tmp_path, "same", "valid"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    for name in ("same", "valid"):
        assert (said[name]["status"], said[name]["errors"]) == ("passed", [])
        inferences = [one for one in said[name]["tests"] if "inference for inputs" in one]
        assert len(inferences) == 2 * 2 * 3  # weights, batch sizes, sizes of the picture
    for weights in ("keras_v3", "onnx"):
        for given, probabilities in expected.items():
            found = np.load(tmp_path / f"{given}.{weights}.result.npy")[0]
            np.testing.assert_allclose(found, probabilities, rtol=0, atol=2e-5, err_msg=f"{given} {weights}")
