"""Shared data: generated cells and one small run trained on them."""

import functools
import gc
import json
import os
import random
import shutil
import signal
import sys
from contextlib import contextmanager, nullcontext
from multiprocessing import forkserver
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import numpy as np
import pytest
from filelock import FileLock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

hypothesis.settings.register_profile(  # the same examples always, however busy the machine is
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("same")

collect_ignore_glob = ["exporting/programs/*"]  # for other interpreters and compilers


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    """Keras draws the seeds of its layers from `random`: each fixture, and each test below, has the same net always."""
    random.seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call():
    random.seed(0)


@pytest.fixture(autouse=True)
def _handlers_as_before():
    """The command line sets handlers of signals, for a process of its own."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def call(monkeypatch, capfd):
    """Run the command line here, 200 columns wide: (exit code, stdout, stderr)."""
    from unet_tf.cli.commands import main

    monkeypatch.setenv("COLUMNS", "200")

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["unet-tf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code or 0, *capfd.readouterr()

    return run_here


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function that makes a folder for all processes of the tests: the first that asks makes it, the others wait."""
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "shared"

    def folder(name, make):
        root.mkdir(exist_ok=True)
        with FileLock(root / f"{name}.lock"):
            if not (root / f"{name}.done").exists():
                shutil.rmtree(root / name, ignore_errors=True)
                make(root / name)
                (root / f"{name}.done").touch()
        return root / name

    return folder


@pytest.fixture(scope="session")
def cells(once):
    """A data folder with train/ (4), val/ (2) and test/ (2), 96x96 px."""
    from unet_tf.synthetic.write import write_synthetic

    return once("cells", lambda out: write_synthetic(out, "cells", {"train": 4, "val": 2, "test": 2}, size=96, seed=1))


@pytest.fixture(scope="session")
def run(cells, once):
    """A run of three short epochs: depth 2, 4 base filters, tile 84 -> 44. All tests share it: none writes."""
    from unet_tf import Run, train

    sizes = {"base_filters": 4, "depth": 2, "padding": "valid", "tile": 84, "batch_size": 4, "precision": "float32"}
    course = {"epochs": 3, "steps_per_epoch": 12, "learning_rate": 0.01}
    return Run(once("tiny_run", lambda out: train(cells, out, **sizes, **course)))


@pytest.fixture(scope="session")
def folds(cells, once):
    """A cross-validation of three folds of six files, a step each, with its data beside it. None writes to it."""
    from unet_tf import crossval

    sizes = {"base_filters": 4, "depth": 1, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32"}

    def make(folder):
        for kind in ("images", "masks"):
            (folder / "data" / kind).mkdir(parents=True)
            for split in ("train", "val"):
                for file in (cells / split / kind).iterdir():
                    shutil.copy(file, folder / "data" / kind / f"{split}_{file.name}")
        crossval(folder / "data", folder / "runs", folds=3, **sizes, epochs=1, steps_per_epoch=20, learning_rate=0.01)

    return once("crossval", make) / "runs"


@pytest.fixture
def calibrated(tmp_path):
    """A function that makes a copy of the saved run with a temperature and a threshold, and gives its folder."""
    from unet_tf import Run

    def copy(temperature=1.0, threshold=0.5):
        folder = tmp_path / f"run_at_{temperature}_{threshold}"
        shutil.copytree(Path(__file__).parent / "saved" / "run_0_1", folder)
        stored = {"model": Run(folder).model_hash, "temperature": temperature, "threshold": threshold}
        (folder / Run.CALIBRATION).write_text(json.dumps(stored))
        return folder

    return copy


@pytest.fixture
def own_run(run, tmp_path):
    """A copy of the run, which a test may change."""
    from unet_tf import Run

    return Run(shutil.copytree(run.path, tmp_path / "own_run"))


@pytest.fixture
def own_data(own_run, cells, tmp_path):
    """A copy of the data, which `own_run` then takes for its own, with other masks, `second`, beside those."""
    data = shutil.copytree(cells, tmp_path / "own_data")
    for split in ("train", "val", "test"):
        shutil.copytree(data / split / "masks", data / split / "second")
    config = own_run.path / own_run.CONFIG
    config.write_text(config.read_text().replace(str(cells), str(data), 1))
    return data


@pytest.fixture(scope="session", autouse=True)
def converter_apart():
    """A context in which the TFLite converter has a process of its own, as elsewhere.

    In the tests it converts in theirs: to start another one takes longer than to convert a small net.
    """
    if "tensorflow" not in sys.modules:  # no test converts
        yield nullcontext
        return
    from converting import convert_here

    from unet_tf.exporting import tflite

    apart = tflite._follow

    @contextmanager
    def in_its_process():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tflite, "_follow", apart)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite, "_follow", convert_here)
        yield in_its_process


@pytest.fixture(scope="session", autouse=True)
def _measured_briefly():
    """A process measures bfloat16 once; exports time each net once, and calibrate by a few tiles, as nets are small."""
    if "tensorflow" not in sys.modules:  # no test trains or exports
        yield
        return
    from unet_tf.exporting import judging, material
    from unet_tf.training import compile as compiling

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "_bfloat16_gain", functools.cache(compiling._bfloat16_gain))
        patch.setattr(compiling, "ROUNDS", 1)  # of a measurement that no test is of
        patch.setattr(judging, "ROUNDS", 1)
        patch.setattr(material, "CALIBRATION_PIXELS", 100_000)
        yield


@pytest.fixture
def workers_forked():
    """Workers of Dask on this machine have TensorFlow already: they are forked from a process that has imported it."""
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    forkserver.set_forkserver_preload(["unet_tf.prediction.large", "unet_tf.prediction.files"])
    forkserver.ensure_running()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


@pytest.fixture(scope="session")
def realdata():
    """The folder of real image sets."""
    folder = os.environ.get("UNET_TF_DATA")
    if not folder:
        pytest.skip("UNET_TF_DATA is not set: it names the folder of real image sets (see CONTRIBUTING.md)")
    return Path(folder)


@pytest.fixture(scope="session")
def bundle(run, once, converter_apart):
    """The folder of an exported run, with every net that there is. It belongs to all tests: none writes to it."""
    from unet_tf import export

    def make(out):
        with converter_apart():
            export(run, out, bfloat16=True, onnx=True, max_iou_drop=0.1)

    return once("tiny_bundle", make)


@pytest.fixture(scope="session")
def tflite_files(once):
    """A folder of TFLite files of an untrained net, tile 32, with a temperature and a threshold. None writes to it."""
    import keras

    from unet_tf.data.masks import MaskFormat
    from unet_tf.data.normalisation import Normalisation
    from unet_tf.edge.description import Description
    from unet_tf.exporting.bundle import TFLITE
    from unet_tf.exporting.tflite import write_tflite
    from unet_tf.geometry import Geometry
    from unet_tf.model.calibration import Calibration
    from unet_tf.model.unet import unet

    known, geometry = Normalisation((120.0,), (70.0,), "uint8"), Geometry(1, "same")
    about = Description(("a", "b"), MaskFormat("index", 2), known, geometry, 32, calibration=Calibration(1.5, 0.45))
    windows = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 1)).astype(np.uint8)

    def make(folder):
        folder.mkdir()
        keras.utils.set_random_seed(0)
        net = unet((None, None, 1), 2, base_filters=4, depth=1, padding="same")
        write_tflite(net, about, tuple(TFLITE), windows, folder)

    return once("tflite_files", make)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, started once for a module: while it runs, nothing else may use asyncio."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'unet-tf[test]'"
    )
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed: apt install chromium (see CONTRIBUTING.md)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found)
        yield started
        started.close()


@pytest.fixture
def open_page(browser):
    """A function that opens an address; whatever its pages log as an error or ask other hosts for fails the test."""
    contexts, said = [], []

    def opened(url, **options):
        own = ("{0.scheme}://{0.netloc}/".format(urlsplit(url)), "blob:", "data:")
        context = browser.new_context(**options)
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        context.on("request", lambda one: None if one.url.startswith(own) else said.append(one.url))
        page.goto(url)
        page.said = said
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


DEAR = (
    "test_notebooks", "test_checkpoint", "test_train", "test_distributed", "test_crossval", "test_export",
    "test_commands", "test_demonstration", "test_jax", "test_runtimes", "test_bioimageio", "test_web", "test_realdata",
    "test_docs", "test_http_app", "test_openapi", "test_add_version", "test_predict", "test_client",
    "test_any_channels", "test_large", "test_folds", "test_verify", "test_one_reader", "test_hub", "test_server",
    "test_serve", "test_programs", "test_start", "test_calibrate", "test_writing", "test_tasks", "test_muon",
    "test_large_objects", "test_page",
)  # fmt: skip
"""Files of tests that take longest: they come first, so that no worker begins one when the other has nothing to do."""


def pytest_collection_finish():
    """Let no later collection of garbage go through all that was imported: it takes half a second each time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Put the dear files first; the Makefile tells xdist to keep that order."""
    items.sort(key=lambda item: DEAR.index(item.path.stem) if item.path.stem in DEAR else len(DEAR))
