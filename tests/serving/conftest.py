"""A server in a process of its own: two versions of a small net with labels, and a model with several inputs."""

from pathlib import Path

import httpx
import pytest
from servers import Served, start, write_bundle, write_maths

collect_ignore = ["kserve_model.py", "others.py"]  # programs for an environment of their own


@pytest.fixture(scope="session")
def net_bundle(tmp_path_factory):
    """A bundle with the versions 1 and 2; none writes to it."""
    return write_bundle(tmp_path_factory.mktemp("serving") / "unet", (1, 2))


@pytest.fixture(scope="session")
def served(net_bundle, tmp_path_factory):
    """The server that all tests of a process share."""
    folder = tmp_path_factory.mktemp("served")
    maths = write_maths(folder / "maths", net_bundle)
    process, http, grpc = start(
        folder / "log",
        [f"unet={net_bundle}", f"maths={maths}"],
        labels=["unet:stable=1", "unet:canary=2"],
        limits={"body": 4 << 20, "pixels": 1 << 22, "reading": 2.0},
    )
    yield Served(http, grpc, process, net_bundle, folder / "log")
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture(scope="session")
def http(served):
    """A client of HTTP."""
    with httpx.Client(base_url=served.http, timeout=60) as client:
        yield client


CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium. Of a module, as its event loop is in the way of others in the same thread."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
