from dataclasses import replace

from unet_tf import demonstration
from unet_tf.data.pictures import read_image


def test_the_demo_goes_the_whole_way(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "COUNTS", {"train": 2, "val": 1, "test": 1})
    monkeypatch.setattr(demonstration, "LARGE_SIZE", (300, 420))
    config = replace(demonstration.CONFIG, base_filters=2, depth=2, tile=148, epochs=1, steps_per_epoch=2)
    steps, parts = [], []
    report = demonstration.demo(
        tmp_path / "demo", config=config, on_step=steps.append, on_part=lambda *part: parts.append(part)
    )
    assert report == tmp_path / "demo" / "report.html"
    page = report.read_text()
    for section in ("scores", "predictions", "large", "training", "tiles", "data", "export", "plan", "again"):
        assert f'<h2 id="{section}">' in page, section
    assert steps[:4] == [
        "generate touching cells", "train", "predict an image of 300x420 px", "export: SavedModel"
    ]  # fmt: skip
    assert steps[-1] == "export: timing"
    assert parts[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert parts[-1] == (1, 1)  # the validation picture of the export
    assert read_image(tmp_path / "demo" / "large_mask.png").shape == (300, 420, 1)
    assert (tmp_path / "demo" / "bundle" / "bundle.json").is_file()
