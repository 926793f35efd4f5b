"""What exports of tests leave out, where the test is of something else."""

import pytest


@pytest.fixture
def no_saved_model(monkeypatch):
    """Exports write no SavedModel: to trace it, and to load it for comparing, takes seconds."""
    from unet_tf.exporting import shelves

    monkeypatch.setattr(shelves, "saved_model", lambda work: work.folder.mkdir())
