"""The description of the server, held against it by schemathesis, in its own environment (.venv-serving)."""

import os
import re
import subprocess
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / ".venv-serving" / "bin" / "python"


def test_the_description_has_every_path_of_the_protocols(http):
    found = http.get("/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    assert {path: list(one) for path, one in found["paths"].items() if path.startswith("/v1")} == {
        f"/v1/models/{{model}}{place}{end}": ["post" if end == ":predict" else "get"]
        for place in ("", "/versions/{version}", "/labels/{label}")
        for end in ("", "/metadata", ":predict")
    }
    assert set(re.findall(r"#/components/schemas/(\w+)", str(found))) == set(found["components"]["schemas"])


@pytest.mark.skipif(not PYTHON.exists(), reason=".venv-serving is missing: `make test` makes it")
def test_schemathesis_finds_no_answer_that_is_not_described(served, tmp_path):
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    examples = os.environ.get("UNET_TF_SCHEMATHESIS", "2")
    command = [
        PYTHON, "-m", "schemathesis.cli", "run", f"{served.http}/openapi.json", "--checks", checks, "--seed", "1",
        "--max-examples", examples, "--phases", "examples,coverage,fuzzing", "--no-color",
    ]  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=clean, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert served.process.poll() is None
