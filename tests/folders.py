"""Folders of files as data sets have them, for tests that look at names alone.

Import it as `from folders import put`: pytest puts this folder on the path.
"""


def put(folder, *names):
    """Files that are there."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(found):
    """The names of the pairs of each split, of a folder that has no problem."""
    assert found.problems == []
    return {split: [pair.name for pair in pairs] for split, pairs in found.splits.items()}
