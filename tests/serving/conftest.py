"""A server of several small nets."""

import pytest
from served_nets import KINDS, PIXELS, start, write_net


@pytest.fixture(scope="session")
def net_bundles(tmp_path_factory):
    """Bundles of `KINDS` by name; "grey" has the versions 1 and 2. None writes to them."""
    folder = tmp_path_factory.mktemp("nets")
    return {
        name: write_net(folder / name, **own, versions=(1, 2) if name == "grey" else (1,))
        for name, own in KINDS.items()
    }


@pytest.fixture(scope="session")
def nets(net_bundles):
    """The server of all of them, in a process of its own, which all tests share."""
    found = start(net_bundles, labels=["grey:stable=1"], limits={"pixels": PIXELS})
    yield found
    found.process.terminate()
    assert found.process.wait() == 0
