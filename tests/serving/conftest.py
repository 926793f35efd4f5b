"""Servers in processes of their own: of two versions and a model with several inputs; of several small nets."""

import shutil

import httpx
import pytest
from served_nets import KINDS, PIXELS, write_net
from served_nets import start as start_nets
from servers import Served, start, write_bundle, write_maths, write_small

collect_ignore = ["kserve_model.py", "others.py"]  # programs for an environment of their own


@pytest.fixture(scope="session")
def net_bundle(once):
    """A bundle with the versions 1 and 2; none writes to it."""
    return once("served_bundle", lambda out: write_bundle(out, (1, 2)))


@pytest.fixture(scope="session")
def one_version(net_bundle, once):
    """The same bundle with version 1 alone; none writes to it."""
    return once(
        "served_bundle_of_one", lambda out: shutil.copytree(net_bundle, out, ignore=shutil.ignore_patterns("2"))
    )


@pytest.fixture(scope="session")
def small_bundle(once):
    """A bundle with the versions 1 and 2, each of which gives its number at every pixel; none writes to it."""
    return once("served_small", write_small)


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


@pytest.fixture(scope="session")
def net_bundles(once):
    """Bundles of `KINDS` by name; "grey" has the versions 1 and 2. None writes to them."""

    def make(folder):
        for name, own in KINDS.items():
            write_net(folder / name, **own, versions=(1, 2) if name == "grey" else (1,))

    folder = once("served_nets", make)
    return {name: folder / name for name in KINDS}


@pytest.fixture(scope="session")
def nets(net_bundles, tmp_path_factory):
    """The server of all of them, in a process of its own, which all tests share."""
    log = tmp_path_factory.mktemp("nets") / "log"
    found = start_nets(log, net_bundles, labels=["grey:stable=1"], limits={"pixels": PIXELS})
    yield found
    found.process.terminate()
    assert found.process.wait() == 0
