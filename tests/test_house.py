"""The house: imports point one way, the package is quiet and light, and its papers agree with each other."""

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import unet_tf

ROOT = Path(__file__).parents[1]
# Imports point from right to left. A name without a file of its own is a folder.
ORDER = (
    "errors version labels geometry tiling utils pages model data synthetic annotations edge config plan run planning "
    "prediction evaluation figures training exporting serving demonstration cli"
).split()
PACKAGE = ROOT / "unet_tf"


def imports(path):
    """Dotted names of the modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "unet_tf":
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "unet_tf")


def modules():
    """Dotted name -> file of each module but the face of the package."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" and path != PACKAGE / "__main__.py"
    }


def test_rooms_import_one_way():
    assert {name.split(".")[1] for name in modules()} == set(ORDER)
    for name, path in modules().items():
        for imported in imports(path):
            if imported == "unet_tf":
                assert name.startswith("unet_tf.cli."), f"{name} imports the whole package"
                continue
            room, other = name.split(".")[1], imported.split(".")[1]
            assert ORDER.index(other) <= ORDER.index(room), f"{name} imports {imported}"


def test_no_files_import_each_other_in_a_circle():
    left = {name: set(imports(path)) & modules().keys() for name, path in modules().items()}
    while free := {name for name, needed in left.items() if not needed}:
        left = {name: needed - free for name, needed in left.items() if name not in free}
    assert not left


def test_folders_bear_no_name_of_a_public_function_and_their_init_is_empty():
    folders = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert not {path.name for path in folders} & set(unet_tf.__all__)
    written = {path.name: (path / "__init__.py").read_text() for path in folders}
    # who asks a server imports its client alone, by the name of the room, without the rest of the package
    assert written.pop("serving") == "from unet_tf.serving.client import Client as Client\n"
    assert set(written.values()) == {""}


def test_a_test_file_bears_the_name_of_its_module():
    named = {name.removeprefix("unet_tf.").replace(".", "/") for name in modules()}
    of_rooms = {p.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("test_*.py") if p.parent.name != "tests"}
    assert {str(p.with_name(p.name.removeprefix("test_")).with_suffix("")) for p in of_rooms} - named == {
        "exporting/runtimes",  # programs in C and C++, OpenVINO, LiteRT alone: a bundle, and none of our modules
        "serving/programs",  # clients and a server that others wrote
    }


def test_the_core_knows_keras_alone():
    for name in ("geometry", "model/unet", "model/losses", "evaluation/metrics"):
        assert "tensorflow" not in (PACKAGE / f"{name}.py").read_text().lower().replace("unet_tf", ""), name


def test_importing_is_quiet_and_loads_nothing_heavy():
    heavy = ("tensorflow", "keras", "matplotlib", "jinja2", "zarr", "distributed", "rasterio", "pyogrio", "shapely")
    code = f"import sys, unet_tf, unet_tf.cli.commands; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_keras_loads_the_files_of_a_run_where_it_was_there_first(run):
    code = (
        "import sys, keras, unet_tf; net = keras.models.load_model(sys.argv[1]); "
        "print(*(type(part).__name__ for part in (net.optimizer, net.loss)), 'unet_tf.planning' in sys.modules)"
    )
    command = [sys.executable, "-W", "error", "-c", code, run.path / "best.keras"]
    quick = os.environ | {"KERAS_BACKEND": "numpy", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=quick)
    assert (done.stdout, done.stderr) == ("Muon CrossentropyDice False\n", "")


def test_the_readers_of_files_need_no_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
        "import unet_tf.geometry, unet_tf.data.folder, unet_tf.data.weight_map, "
        "unet_tf.data.augment, unet_tf.planning.doctor"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", unet_tf.__all__)
def test_every_public_name_exists_and_is_documented(name):
    thing = getattr(unet_tf, name)
    sections = ("Args:", "Attributes:", "Returns:", "Raises:")
    assert name in ("InputError", "__version__") or any(section in thing.__doc__ for section in sections)


def test_pinned_versions_satisfy_what_setup_asks_for():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split() + setup["options.extras_require"]["test"].split()
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_the_changelog_speaks_of_this_version():
    assert f"## {unet_tf.__version__}" in (ROOT / "CHANGELOG.md").read_text()
