"""Shared data: generated cells and one small run trained on them."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

collect_ignore_glob = ["exporting/programs/*"]  # for other interpreters and compilers


@pytest.fixture(autouse=True)
def _handlers_as_before():
    """The command line sets handlers of signals, for a process of its own."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    """A data folder with train/ (4), val/ (2) and test/ (2), 96x96 px."""
    from unet_tf.synthetic.write import write_cells

    return write_cells(tmp_path_factory.mktemp("cells"), {"train": 4, "val": 2, "test": 2}, size=96, seed=1)


@pytest.fixture(scope="session")
def run(cells, tmp_path_factory):
    """A run of three short epochs: depth 2, 4 base filters, tile 84 -> 44. All tests share it: none writes."""
    from unet_tf import train

    out = tmp_path_factory.mktemp("runs") / "tiny"
    sizes = {"base_filters": 4, "depth": 2, "padding": "valid", "tile": 84, "batch_size": 4, "precision": "float32"}
    return train(cells, out, **sizes, epochs=3, steps_per_epoch=12, learning_rate=0.01)


@pytest.fixture(scope="session")
def folds(cells, tmp_path_factory):
    """A cross-validation of three folds of six files, a step each, with its data beside it. None writes to it."""
    from unet_tf import crossval

    folder = tmp_path_factory.mktemp("crossval")
    for kind in ("images", "masks"):
        for split in ("train", "val"):
            for file in (cells / split / kind).iterdir():
                (folder / "data" / kind).mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / "data" / kind / f"{split}_{file.name}")
    sizes = {"base_filters": 4, "depth": 2, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32"}
    crossval(folder / "data", folder / "runs", folds=3, **sizes, epochs=1, steps_per_epoch=20, learning_rate=0.01)
    return folder / "runs"


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


@pytest.fixture(scope="session")
def realdata():
    """The folder of real image sets."""
    folder = os.environ.get("UNET_TF_DATA")
    if not folder:
        pytest.skip("UNET_TF_DATA is not set: it names the folder of real image sets (see CONTRIBUTING.md)")
    return Path(folder)


@pytest.fixture(scope="session")
def bundle(run, tmp_path_factory):
    """The folder of an exported run, with every net that there is. It belongs to all tests: none writes to it."""
    from unet_tf import export

    out = tmp_path_factory.mktemp("bundles") / "tiny"
    export(run, out, bfloat16=True, max_iou_drop=0.1)
    return out


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


DEAR = (
    "test_notebooks", "test_checkpoint", "test_train", "test_distributed", "test_crossval", "test_export",
    "test_commands", "test_demonstration", "test_jax", "test_runtimes", "test_bioimageio",
)  # fmt: skip
"""Files of tests that take longest: they come first, so that no worker begins one when the other has nothing to do."""


def pytest_collection_modifyitems(items):
    """Put the dear files first; the Makefile tells xdist to keep that order."""
    items.sort(key=lambda item: DEAR.index(item.path.stem) if item.path.stem in DEAR else len(DEAR))
