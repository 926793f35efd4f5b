"""The house: imports point one way, the package is quiet and light, and its papers agree with each other."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import unet_tf

ROOT = Path(__file__).parents[1]
# Each module may import those before it; cli alone sees everything.
ORDER = [
    "errors", "quiet", "labels", "files", "geometry", "tiling", "model", "replicas", "losses", "metrics", "fused",
    "data.palette", "data.masks", "data.tiff", "data.pictures", "data.volumes", "data.folder", "data.splits",
    "data.recognition", "data.weight_map", "data.facts", "data.augment", "data.synthetic", "data.samples",
    "data.pipeline", "bundle", "edge", "inference", "distribution", "workers", "config", "planning", "preparation",
    "drawing", "pages", "examination", "doctor", "overview", "run", "prediction", "engines", "objects", "outputs",
    "collection", "large", "reporting", "evaluation", "compilation", "checkpoint", "callbacks", "training",
    "crossvalidation", "signatures", "warmup", "conversion", "comparison", "latency", "cards", "exporting",
    "verification", "demonstration", "console", "options", "cli", "__main__",
]  # fmt: skip


def module_name(path):
    return ".".join(path.relative_to(ROOT / "unet_tf").with_suffix("").parts)


def test_imports_point_one_way():
    paths = {module_name(p): p for p in (ROOT / "unet_tf").rglob("*.py") if p.stem != "__init__"}
    assert sorted(paths) == sorted(ORDER)
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if name != "cli" and isinstance(node, ast.ImportFrom) and node.module == "unet_tf":
                assert [alias.name for alias in node.names] == ["__version__"], f"{name} imports the whole package"
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("unet_tf."):
                imported = node.module.removeprefix("unet_tf.")
                assert ORDER.index(imported) < ORDER.index(name), f"{name} imports {imported}"


def test_the_core_knows_keras_alone():
    for name in ("geometry", "model", "losses", "metrics"):
        assert "tensorflow" not in (ROOT / "unet_tf" / f"{name}.py").read_text().lower().replace("unet_tf", ""), name


def test_importing_is_quiet_and_loads_nothing_heavy():
    heavy = ("tensorflow", "keras", "matplotlib", "zarr", "distributed")
    code = f"import sys, unet_tf, unet_tf.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_readers_of_files_need_no_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
        "import unet_tf.geometry, unet_tf.data.folder, unet_tf.data.weight_map, unet_tf.data.augment, unet_tf.doctor"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", unet_tf.__all__)
def test_every_public_name_exists_and_is_documented(name):
    thing = getattr(unet_tf, name)
    sections = ("Args:", "Attributes:", "Returns:", "Raises:")
    assert name in ("InputError", "__version__") or any(section in thing.__doc__ for section in sections)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="no attribute 'unett'; it has .*unet"):
        _ = unet_tf.unett


def test_pinned_versions_satisfy_what_setup_asks_for():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split() + setup["options.extras_require"]["test"].split()
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_type_checkers_see_what_the_lazy_names_stand_for():
    tree = ast.parse((ROOT / "unet_tf" / "__init__.py").read_text())
    seen = {
        alias.name: node.module.removeprefix("unet_tf.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("unet_tf.")
        for alias in node.names
    }
    assert seen == unet_tf._HOME


def test_the_changelog_speaks_of_this_version():
    assert f"## {unet_tf.__version__}" in (ROOT / "CHANGELOG.md").read_text()
