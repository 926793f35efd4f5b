"""What is said of the files of earlier settings where all is done again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from unet_tf import predict, predict_files, read_image
from unet_tf.data.pictures import read_mask, write_picture
from unet_tf.errors import InputError
from unet_tf.prediction import record
from unet_tf.prediction.calls import Call

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


def test_what_earlier_settings_alone_wrote_stays_and_is_named_and_what_others_wrote_is_not(scans, tmp_path, caplog):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, probabilities=True, instances=True, polygons="geojson")
    before = names(out)
    assert len(before) == 2 * 5 + 2
    for name in ("a.txt", "b_objects.csv"):
        (out / name).write_text("mine")
    assert predict_files(RUN, scans, out, "tif", instances=True, overwrite=True).written == 2
    assert names(out) == sorted([*before, "a.tif", "a.txt", "b_objects.csv", "c.tif"])
    named = "a.geojson, a.npy, a.png, c.geojson, c.npy, c.png"
    words = f"{out} holds files that earlier settings wrote and these do not: {named}. They are of the former masks: "
    assert caplog.text.count("earlier settings") == caplog.text.count(words) == 1


def test_files_of_other_pictures_are_named_and_none_of_those_that_are_written_anew(scans, tmp_path, caplog):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, instances=True)
    predict_files(RUN, scans / "a.png", out, instances=True, overwrite=True)
    words = "which stay and are no longer in its record: c.png, c_instances.tif, c_objects.csv. Give these pictures"
    assert words in caplog.text and "earlier settings" not in caplog.text
    caplog.clear()
    predict_files(RUN, scans / "a.png", out, instances=True, overwrite=True)
    assert caplog.text == ""


def test_a_file_that_was_written_and_is_now_an_input_stays(scans, tmp_path):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, probabilities=True)
    assert len(predict_files(RUN, out / "a.npy", out, overwrite=True).failed) == 1  # of two channels
    assert (out / "a.npy").is_file()


@pytest.mark.parametrize("record", ["{", "[]", '{"polygons": 3}', '{"polygons": [[]], "suffixes": 1}'])
def test_a_record_that_is_damaged_is_said(scans, tmp_path, caplog, record):
    out = tmp_path / "out"
    predict_files(RUN, scans, out, instances=True)
    before = names(out)
    (out / "predict.json").write_text(record)
    assert predict_files(RUN, scans, out, overwrite=True).written == 2
    assert names(out) == before
    assert f"The record in {out} is damaged, and does not say which files earlier settings wrote." in caplog.text


def test_a_line_that_a_killed_process_began_swallows_no_other(scans, tmp_path):
    out = tmp_path / "out"
    scans = scans.rename(tmp_path / 'a "quoted", name')
    predict_files(RUN, scans / "a.png", out)
    manifest = out / "manifest.csv"
    whole = manifest.read_bytes()
    assert predict_files(RUN, scans, out).written == 1
    line = manifest.read_bytes().removeprefix(whole)
    for end in range(1, len(line), 17):
        manifest.write_bytes(whole + line[:end])
        assert predict_files(RUN, scans, out).skipped >= 1
        assert predict_files(RUN, scans, out).skipped == 2


def test_a_failure_that_another_job_noted_before_does_not_undo_what_is_done(scans, tmp_path):
    out = tmp_path / "out"
    picture = (scans / "a.png").read_bytes()
    (scans / "a.png").write_bytes(b"no picture")
    assert len(predict_files(RUN, scans, out).failed) == 1  # in manifest.csv, which is read after the next one
    (scans / "a.png").write_bytes(picture)
    assert predict_files(RUN, scans, out, shard="1/2").written == 1
    assert predict_files(RUN, scans, out).skipped == 2


def test_a_picture_that_is_put_back_with_its_former_time_is_predicted_again(scans, tmp_path):
    """As `cp -p` puts it back, while several jobs have noted what lay there."""
    out, file = tmp_path / "out", scans / "a.png"
    content, time = file.read_bytes(), file.stat().st_mtime_ns
    for shard in ("1/2", "2/2"):
        predict_files(RUN, scans, out, shard=shard)
    first = (out / "a.png").read_bytes()
    file.write_bytes((scans / "c.png").read_bytes())
    os.utime(file, ns=(time, time + 10**9))
    for manifest in out.glob("manifest*"):
        os.utime(manifest, ns=(time, time))
    assert predict_files(RUN, scans, out).written == 1
    file.write_bytes(content)
    os.utime(file, ns=(time, time))
    assert predict_files(RUN, scans, out).written == 1
    assert (out / "a.png").read_bytes() == first


def test_a_call_that_goes_on_looks_once_for_each_mask(scans, tmp_path, monkeypatch):
    out, asked, is_done = tmp_path / "out", [], Call.is_done
    predict_files(RUN, scans, out)

    def counting(call, picture):
        asked.append(picture.name)
        return is_done(call, picture)

    monkeypatch.setattr(Call, "is_done", counting)
    assert predict_files(RUN, scans, out).skipped == 2
    assert sorted(asked) == ["a.png", "c.png"]
    (out / "c.png").unlink()
    outcome = predict_files(RUN, scans, out)
    assert (outcome.skipped, outcome.written) == (1, 1)


def test_a_setting_of_a_later_version_is_named(scans, tmp_path):
    out = tmp_path / "out"
    predict_files(RUN, scans, out)
    file = out / "predict.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"later": 3}))
    with pytest.raises(InputError, match=r"with other settings: later 3 there, None here\. "):
        predict_files(RUN, scans, out)


def common(scans, tmp_path):
    """Two folders of pictures, and both have a c.png."""
    write_picture(tmp_path / "other" / "c.png", 255 - read_image(scans / "c.png"))
    return tmp_path / "other", rf"{scans / 'c.png'} and {tmp_path / 'other' / 'c.png'} would both write"


def test_of_two_calls_at_once_whose_masks_would_have_one_name_the_second_is_refused(scans, tmp_path):
    other, words = common(scans, tmp_path)
    out, refused = tmp_path / "out", []

    def second(done, total):
        if done == 1:  # the first call has not come to c.png
            with pytest.raises(InputError, match=words):
                predict_files(RUN, other, out)
            refused.append(done)

    assert predict_files(RUN, scans, out, on_file=second).written == 2
    assert refused == [1]
    np.testing.assert_array_equal(read_mask(out / "c.png"), 255 * predict(RUN, read_image(scans / "c.png")))
    assert predict_files(RUN, scans, out).skipped == 2
    statuses = [line.split(",")[1] for line in (out / "manifest.csv").read_text().splitlines()[1:]]
    assert statuses == ["begun", "begun", "done", "begun", "failed", "done"]


def test_a_call_that_another_overtakes_while_it_begins_is_refused(scans, tmp_path, monkeypatch):
    other, words = common(scans, tmp_path)
    begin = record._begin

    def overtaken(*arguments):
        done = begin(*arguments)
        with monkeypatch.context() as patched:
            patched.setattr(record, "_begin", begin)
            assert predict_files(RUN, scans, tmp_path / "out").written == 2
        return done

    monkeypatch.setattr(record, "_begin", overtaken)
    with pytest.raises(InputError, match=words):
        predict_files(RUN, other, tmp_path / "out")
    np.testing.assert_array_equal(read_mask(tmp_path / "out/c.png"), 255 * predict(RUN, read_image(scans / "c.png")))


def test_what_a_killed_call_began_and_is_gone_stands_in_nobody_s_way(scans, tmp_path):
    other, words = common(scans, tmp_path)
    out, manifest = tmp_path / "out", tmp_path / "out" / "manifest.csv"
    predict_files(RUN, scans / "a.png", out)
    manifest.write_text(manifest.read_text() + f"{scans / 'c.png'},begun,0,,\n")
    with pytest.raises(InputError, match=words):
        predict_files(RUN, other, out)
    scans.rename(tmp_path / "moved")
    assert predict_files(RUN, other, out).written == 1


def test_what_a_call_began_that_was_stopped_stands_in_nobody_s_way(scans, tmp_path):
    other, _ = common(scans, tmp_path)
    out = tmp_path / "out"

    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(RUN, scans, out, on_file=stop)  # after a.png
    assert predict_files(RUN, other, out).written == 1
    np.testing.assert_array_equal(read_mask(out / "c.png"), 255 * predict(RUN, read_image(other / "c.png")))


def test_what_another_call_has_done_stays_done_where_one_is_stopped(scans, tmp_path):
    out = tmp_path / "out"

    def stop(done, total):
        if done:  # a.png; meanwhile the same call does both
            assert predict_files(RUN, scans, out).written == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(RUN, scans, out, on_file=stop)
    assert predict_files(RUN, scans, out).skipped == 2


def test_a_picture_that_is_begun_again_has_one_line_of_it(scans, tmp_path):
    out = tmp_path / "out"
    predict_files(RUN, scans / "c.png", out)
    (out / "manifest.csv").write_text("picture,status,pixels,reason,state\n" + f"{scans / 'a.png'},begun,0,,\n")
    assert predict_files(RUN, scans / "a.png", out).written == 1
    assert (out / "manifest.csv").read_text().count(",begun,") == 1
