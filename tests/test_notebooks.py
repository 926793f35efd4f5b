"""The notebooks: stored as they are read on a code host, and run from top to bottom."""

import base64
import importlib.util
import io
import itertools
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from forked import Forked
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PLACES = re.compile(r"(?<![\w.])/(?:tmp|home|root|Users|usr|opt|var|private|work|content)/|\b[A-Z]:\\")
"""Absolute paths of machines."""
WARNINGS = re.compile(r"warning", re.IGNORECASE)
OF_OTHERS = re.compile(
    r"^(?:WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} |INFO: Created TensorFlow Lite|"
    r".* - distributed\.)"
)
"""On stderr: what TensorFlow writes before anybody can tell it not to, and Dask's workers on a busy machine."""
PNG, HTML, TEXT = "image/png", "text/html", "text/plain"
FEWER = {
    "03": {"epochs=8": "epochs=3", "steps_per_epoch=20": "steps_per_epoch=10"},
    "04": {'steps_per_epoch": 16': 'steps_per_epoch": 6', 'steps_per_epoch": 12': 'steps_per_epoch": 4',
           "epochs=6": "epochs=3", "()) == 6": "()) == 3", "steps_per_epoch=12": "steps_per_epoch=4"},
    "05": {'"epochs": 6': '"epochs": 4'},
    "06": {"epochs=6, steps_per_epoch=22": "epochs=3, steps_per_epoch=8"},
}  # fmt: skip
"""A shorter training here. What cells of 03 and 05 claim of their nets must hold with room at these."""
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code(notebook) for output in cell.outputs]


def words(output):
    """What a reader sees of an output as text; pictures inside of HTML are left out."""
    data = output.get("data", {})
    shown = output.get("text", "") + data.get(HTML, data.get(TEXT, ""))
    return re.sub(r"data:image/\w+;base64,[\w+/=]+", "", shown)


@pytest.fixture(scope="module")
def store():
    """The script that stores the notebooks."""
    spec = importlib.util.spec_from_file_location("store", FOLDER / "store.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_seven_and_each_names_the_next():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"0{n}" for n in range(1, 8)]
    for path, after in itertools.pairwise(NOTEBOOKS):
        assert f"({after.name})" in nbformat.read(path, as_version=4).cells[-1].source
    texts = "".join(cell.source for path in NOTEBOOKS for cell in nbformat.read(path, as_version=4).cells)
    assert set(re.findall(r"\((\w+\.ipynb)\)", texts)) <= {path.name for path in NOTEBOOKS}


@each
def test_a_notebook_begins_with_its_badge_and_its_installation(path):
    first, install = nbformat.read(path, as_version=4).cells[:2]
    assert first.source.startswith(f"# {int(path.stem[:2])}. ")
    assert "(https://colab.research.google.com/#upload=true)" in first.source
    on_colab = 'import sys\n\nif "google.colab" in sys.modules:\n    %pip install --quiet "./unet_tf.zip'
    assert install.source.startswith(on_colab)


@each
def test_a_notebook_is_stored_with_what_it_shows(path, store):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 400_000
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    pictures = [output.data[PNG] for output in outputs(notebook) if PNG in output.get("data", {})]
    assert pictures
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width <= 1300
    assert {output.output_type for output in outputs(notebook)} <= {"stream", "display_data", "execute_result"}
    for output in outputs(notebook):
        output.get("data", {}).pop(PNG, None)
    stored = nbformat.writes(notebook)
    assert nbformat.writes(store.tidy(notebook)) == stored  # nothing is left to be tidied


@each
def test_what_is_stored_names_no_machine_and_warns_of_nothing(path):
    for output in outputs(nbformat.read(path, as_version=4)):
        assert PLACES.search(words(output)) is None
        assert WARNINGS.search(words(output)) is None


def test_what_a_machine_says_of_itself_is_not_stored(store):
    new = nbformat.v4
    said = [("stdout", "a\n"), ("stderr", "x"), ("stdout", "b")]
    shown = [new.new_output("stream", name=name, text=text) for name, text in said]
    shown.append(new.new_output("execute_result", {TEXT: "array([<Axes: >], dtype=object)"}, execution_count=1))
    cell = new.new_code_cell("1", outputs=shown, execution_count=1, metadata={"execution": {"start": "now"}})
    language = {"name": "python", "version": "3.1"}
    notebook = store.tidy(new.new_notebook(cells=[cell], metadata={"language_info": language}))
    assert [output.text for output in outputs(notebook)] == ["a\nb"]
    assert notebook.metadata["language_info"] == {"name": "python"}
    assert (notebook.cells[0].id, notebook.cells[0].metadata) == ("cell-00", {})


def kernel(command, env, cwd, **options):
    """A process of the kernel, which has TensorFlow already; and matplotlib, whose backend was chosen meanwhile.

    It converts to TFLite in itself, as the tests do.
    """
    code = (
        "import matplotlib; from ipykernel import kernelapp; from multiprocessing import forkserver\n"
        "forkserver.set_forkserver_preload(['unet_tf.prediction.large'])\n"  # of Dask's workers
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "from converting import convert_here; from unet_tf.exporting import tflite; tflite._follow = convert_here\n"
        "matplotlib.rcParams['backend'] = 'module://matplotlib_inline.backend_inline'\n"
        "kernelapp.launch_new_instance()"
    )
    return Forked(code, *command[command.index("-f") :], env=env, folder=cwd)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@each
def test_a_notebook_runs_from_top_to_bottom_without_warnings(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # which take longer than all steps
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD", "forkserver")
    monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", kernel)
    notebook = nbformat.read(path, as_version=4)
    stored = [[PNG in output.get("data", {}) for output in cell.outputs] for cell in code(notebook)]
    for cell in code(notebook):
        cell.outputs = []
    for old, new in FEWER.get(path.stem[:2], {}).items():
        assert any(old in cell.source for cell in code(notebook))
        for cell in code(notebook):
            cell.source = cell.source.replace(old, new)
    with TemporaryDirectory() as sockets:  # files of short names: a port that is free now may be taken later
        own = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}, config=own).execute()
    for cell, before in zip(code(notebook), stored, strict=True):
        assert sum(PNG in output.get("data", {}) for output in cell.outputs) == sum(before)
    for output in outputs(notebook):
        lines = words(output).splitlines()
        assert [line for line in lines if WARNINGS.search(line) and not OF_OTHERS.match(line)] == []
        if output.get("name") != "stderr":
            assert PLACES.search(words(output)) is None
    assert list(tmp_path.iterdir()) == []  # it writes nothing beside itself
