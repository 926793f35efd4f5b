import pytest
from folders import put


@pytest.fixture
def data(tmp_path):
    """Ten pairs."""
    put(tmp_path, *(f"{role}/{i}.png" for role in ("images", "masks") for i in range(10)))
    return tmp_path
