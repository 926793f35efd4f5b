import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from unet_tf import Run, demonstration
from unet_tf.data.pictures import read_image
from unet_tf.errors import InputError
from unet_tf.utils.signals import Stopped


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


def stopping(name):
    if name == "train":
        raise Stopped


def test_a_demo_that_was_stopped_before_its_run_began_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "COUNTS", {"train": 1})
    out = tmp_path / "demo"
    with pytest.raises(Stopped):
        demonstration.demo(out, on_step=stopping)
    link = tmp_path / "link"
    link.symlink_to(out)  # to a larger disk
    for folder in (out, link):
        (out / "data" / "left").touch()
        with pytest.raises(InputError, match="is not empty. Choose another --out, or --overwrite an earlier demo"):
            demonstration.demo(folder)
        with pytest.raises(Stopped):
            demonstration.demo(folder, overwrite=True, on_step=stopping)
        assert (out / "data" / "train").is_dir() and not (out / "data" / "left").exists()
    assert link.is_symlink()
    (out / demonstration.MARK).unlink()  # a folder of somebody, with data in it
    with pytest.raises(InputError, match="is not empty"):
        demonstration.demo(out, overwrite=True)


def test_a_run_on_other_data_in_the_folder_of_a_stopped_demo_is_not_removed(run, tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "COUNTS", {"train": 1})
    out = tmp_path / "demo"
    with pytest.raises(Stopped):
        demonstration.demo(out, on_step=stopping)
    config = out / Run.CONFIG
    shutil.copy(run.path / Run.CONFIG, config)
    with pytest.raises(InputError, match="is not empty"):
        demonstration.demo(out, overwrite=True)
    assert config.exists()
    config.write_text(config.read_text().replace(str(run.data), str((out / "data").resolve())))
    mark = (out / demonstration.MARK).rename(tmp_path / "mark")  # a project of somebody, trained beside its data
    with pytest.raises(InputError, match="is not empty"):
        demonstration.demo(out, overwrite=True)
    mark.rename(out / demonstration.MARK)
    with pytest.raises(Stopped):
        demonstration.demo(out, overwrite=True, on_step=stopping)
    assert not config.exists()


@pytest.mark.parametrize(("devices", "tiles"), [(1, 2), (2, 2), (3, 3), (8, 8)])
def test_the_batch_of_a_demo_is_one_that_the_devices_can_share(tmp_path, monkeypatch, devices, tiles):
    def begun(data, out, config, **watchers):
        raise InputError(f"{config.batch_size} tiles")

    monkeypatch.setattr(demonstration, "COUNTS", {"train": 1})
    monkeypatch.setattr(demonstration, "choose_strategy", lambda: SimpleNamespace(num_replicas_in_sync=devices))
    monkeypatch.setattr(demonstration, "train", begun)
    with pytest.raises(InputError, match=f"^{tiles} tiles"):
        demonstration.demo(tmp_path / "demo")


def test_a_demo_is_of_one_host(tmp_path, monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(InputError, match="A demo is done by one host alone; TF_CONFIG names 2. Unset it"):
        demonstration.demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
