import shutil
from collections import Counter

import numpy as np
import pytest
import tifffile

from unet_tf import export, train
from unet_tf.data import folder as data_folder
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.exporting import material
from unet_tf.exporting.material import calibration, gather, static_tile


@pytest.fixture
def decodings(monkeypatch):
    """How often each picture was decoded."""
    counts, read = Counter(), data_folder.Pair.read

    def reading(pair):
        counts[pair.image] += 1
        return read(pair)

    monkeypatch.setattr(data_folder.Pair, "read", reading)
    return counts


def one_folder(cells, to):
    """Training, validation and other images in one folder, under other names, beside copies that the run never saw."""
    for role in ("images", "masks"):
        (to / role).mkdir(parents=True)
        for split in ("train", "val", "test"):
            for file in (cells / split / role).iterdir():
                shutil.copy(file, to / role / f"{split[::-1]}_{file.name}")
    return to


@pytest.mark.usefixtures("no_saved_model")
def test_an_export_decodes_each_picture_once_and_compares_the_validation_files(run, cells, decodings, tmp_path):
    data = one_folder(cells, tmp_path / "data")
    report = export(run, tmp_path / "bundle", data=data, variants=["uint8"], max_iou_drop=1)
    assert report["pictures"].startswith("2 validation files")
    assert len(decodings) == 8
    assert {path.name: times for path, times in decodings.items() if times > 1} == {
        "lav_cells_000.png": 2,
        "lav_cells_001.png": 2,
    }


def test_files_are_known_by_their_content(run, cells, tmp_path):
    found = gather(run, one_folder(cells, tmp_path / "data"))
    assert [pair.name for pair in found.validation] == ["lav_cells_000", "lav_cells_001"]
    assert found.sides == [96, 96]
    again = gather(run, cells)
    assert [crop.shape for crop in found.crops] == [(96, 96, 1)] * 4
    np.testing.assert_array_equal(np.stack(found.crops), np.stack(again.crops))  # whatever the files are called


def test_a_folder_without_the_files_of_the_run_is_refused(run, cells, tmp_path):
    shutil.copytree(cells / "test", tmp_path / "train")
    with pytest.raises(InputError, match="holds none of the 4 train files of the run"):
        gather(run, tmp_path)


def test_no_more_is_kept_than_calibration_needs(run, cells, monkeypatch):
    monkeypatch.setattr(material, "FEWEST_WINDOWS", 2)
    monkeypatch.setattr(material, "CALIBRATION_PIXELS", 3 * 96 * 96)
    whole = gather(run, cells).crops
    assert len(whole) == 3
    monkeypatch.setattr(material, "CALIBRATION_PIXELS", 1)
    assert len(gather(run, cells).crops) == 2
    monkeypatch.setattr(material, "STATIC_TILE", 44)  # and a halo on both sides: the smallest tile is larger
    crops = gather(run, cells).crops
    assert [crop.shape for crop in crops] == [(84, 84, 1)] * 2
    assert crops[0].tobytes() != whole[0][:84, :84].tobytes()


def test_windows_are_the_same_each_time_and_a_tile_holds_a_picture(run, cells):
    crops = gather(run, cells).crops
    windows = calibration(run, crops, 84)
    assert windows.shape[1:] == (84, 84, 1)
    assert windows.dtype == np.uint8
    np.testing.assert_array_equal(windows, calibration(run, crops, 84))
    assert static_tile(run, [96, 96]) == 136  # 96 px and the halo on both sides
    assert static_tile(run, []) == 84


def test_pixels_without_a_measurement_calibrate_nothing(tmp_path):
    heights = np.random.default_rng(0).integers(0, 3000, (5, 40, 50)).astype(np.int16)
    label = (heights > 1500).astype(np.uint8)
    heights[:, 5:20, 7:30] = -9999
    for number in range(5):
        (tmp_path / "data" / "images").mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(tmp_path / "data" / "images" / f"{number}.tif", heights[number])
        write_picture(tmp_path / "data" / "masks" / f"{number}.png", 255 * label[number])
    sizes = {"base_filters": 2, "depth": 1, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32"}
    run = train(tmp_path / "data", tmp_path / "run", **sizes, epochs=1, steps_per_epoch=1)
    assert run.normalisation.nodata == (-9999.0,)
    crops = gather(run, tmp_path / "data").crops
    assert min(crop.min() for crop in crops) >= 0
    assert calibration(run, crops, 32).min() >= 0
