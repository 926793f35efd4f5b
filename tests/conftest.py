"""Shared data: generated cells and one small run trained on them."""

import os
import shutil
import signal
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


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


DEAR = (
    "test_notebooks", "test_checkpoint", "test_train", "test_distributed", "test_crossval", "test_export",
    "test_commands", "test_demonstration", "test_jax", "test_runtimes",
)  # fmt: skip
"""Files of tests that take longest: they come first, so that no worker begins one when the other has nothing to do."""


def pytest_collection_modifyitems(items):
    """Put the dear files first; the Makefile tells xdist to keep that order."""
    items.sort(key=lambda item: DEAR.index(item.path.stem) if item.path.stem in DEAR else len(DEAR))
