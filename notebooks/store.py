"""Run the notebooks of this folder from top to bottom and store them with what they show: `make notebooks`.

Usage: python notebooks/store.py [01_segmentation_and_masks.ipynb ...]

What a machine says of itself is not stored: no stderr, no times of execution, no version of the interpreter. Pictures
are stored in 256 colours.
"""

import base64
import io
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
PNG, HTML, TEXT = "image/png", "text/html", "text/plain"


def run(path: Path) -> nbformat.NotebookNode:
    """A notebook, run in an empty folder."""
    notebook = nbformat.read(path, as_version=4)
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    return notebook


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same, without what differs from machine to machine, and with small pictures."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", {}
        if cell.cell_type == "code":
            cell.outputs = _joined(one for one in cell.outputs if one.get("name") != "stderr" and not _bare(one))
            for output in cell.outputs:
                if PNG in output.get("data", {}):
                    output.data[PNG], output.metadata = _small(output.data[PNG]), {}
                if HTML in output.get("data", {}):
                    output.data.pop(TEXT, None)  # the same again, for terminals
    return notebook


def _joined(outputs: Iterable[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs, with what was printed in one go as one: the kernel cuts it by the clock."""
    found: list[nbformat.NotebookNode] = []
    for one in outputs:
        if found and one.output_type == found[-1].output_type == "stream":
            found[-1].text += one.text
        else:
            found.append(one)
    return found


def _bare(output: nbformat.NotebookNode) -> bool:
    """Whether an output is the name of axes alone, which stands beside their picture."""
    words = "".join(output.get("data", {}).get(TEXT, ""))
    return output.output_type == "execute_result" and set(output.data) == {TEXT} and "Axes" in words


def _small(png: str) -> str:
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    """Run and store the notebooks that are named, or all."""
    for path in [FOLDER / name for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(tidy(run(path)), path)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
