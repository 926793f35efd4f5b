"""What becomes of the files of earlier settings where all is done again."""

import os
from pathlib import Path

import numpy as np
import pytest

from unet_tf import predict_files
from unet_tf.data.pictures import write_picture

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"


@pytest.fixture
def scans(tmp_path):
    """a.png and c.png."""
    for number, name in enumerate("ac"):
        image = np.random.default_rng(number).integers(0, 256, (40, 48), dtype=np.uint8)
        write_picture(tmp_path / "scans" / f"{name}.png", image)
    return tmp_path / "scans"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_earlier_settings_wrote_is_removed_and_what_others_wrote_stays(scans, tmp_path, caplog):
    out = tmp_path / "out"
    everything = {"probabilities": True, "overlay": True, "instances": True, "uncertainty": True}
    predict_files(RUN, scans, out, **everything, polygons="geojson,labelme")
    assert len(names(out)) == 2 * 8 + 2
    foreign = ["a.txt", "a_notes.csv", "b_objects.csv", "scans.geojson"]
    for name in foreign:
        (out / name).write_text("mine")
    assert predict_files(RUN, scans, out, "tif", overwrite=True).written == 2
    assert names(out) == sorted(["a.tif", "c.tif", "manifest.csv", "predict.json", *foreign])
    assert "files of earlier settings" not in caplog.text


def test_what_was_changed_since_or_is_of_other_pictures_stays_and_is_said(scans, tmp_path, caplog):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, instances=True)
    later = (out / "manifest.csv").stat().st_mtime_ns + 10**9
    os.utime(out / "a_objects.csv", ns=(later, later))
    predict_files(RUN, scans / "a.png", out, overwrite=True)
    others = ["c.png", "c_instances.tif", "c_objects.csv"]
    assert names(out) == sorted(["a.png", "a_objects.csv", *others, "manifest.csv", "predict.json"])
    words = f"{out} holds files of earlier settings that stay, since they are of other pictures or were changed: "
    assert f"{words}a_objects.csv, {', '.join(others)}. Remove them where they are not wanted." in caplog.text


def test_a_file_that_was_written_and_is_now_an_input_stays(scans, tmp_path):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, probabilities=True)
    assert len(predict_files(RUN, out / "a.npy", out, overwrite=True).failed) == 1  # of two channels
    assert (out / "a.npy").is_file()


@pytest.mark.parametrize("record", ["{", "[]", '{"polygons": 3}', '{"polygons": [[]], "suffixes": 1}'])
def test_a_record_that_is_damaged_is_no_proof(scans, tmp_path, record):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, instances=True)
    before = names(out)
    (out / "predict.json").write_text(record)
    assert predict_files(RUN, scans, out, overwrite=True).written == 2
    assert names(out) == before
