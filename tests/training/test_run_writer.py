"""A run folder as training writes it."""

import errno
import fcntl
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from unet_tf import Run, train
from unet_tf.data.folder import Pair
from unet_tf.errors import InputError
from unet_tf.run import read_table
from unet_tf.training.checkpoint import State
from unet_tf.training.run_writer import WRITTEN, LogFile, RunWriter


def test_the_log_holds_what_was_said_before_it_was_opened_and_keeps_no_line_after(tmp_path):
    logger = logging.getLogger("unet_tf")
    with LogFile() as kept:
        logger.info("before")
        logger.debug("too fine")
        assert len(kept.lines) == 1
        kept.open(tmp_path / "log.txt")
        logger.warning("after")
        assert kept.lines == []
    logger.warning("later")
    assert [line.split(" ", 2)[2] for line in (tmp_path / "log.txt").read_text().splitlines()] == [
        "INFO before", "WARNING after"
    ]  # fmt: skip


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path):
    with LogFile() as kept:
        kept.open(tmp_path / "no" / "log.txt")
        logging.getLogger("unet_tf").warning("unheard")
        assert kept.lines == []


def test_a_level_that_somebody_chose_is_that_of_all_but_the_log(tmp_path):
    logger, others, heard = logging.getLogger("unet_tf"), logging.Handler(), []
    others.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger().addHandler(others)
    logger.setLevel(logging.ERROR)
    try:
        with LogFile() as kept:
            kept.open(tmp_path / "log.txt")
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                logger.log(level, "while it runs")
        logger.warning("afterwards")
        assert (logger.level, logger.filters) == (logging.ERROR, [])
    finally:
        logger.setLevel(logging.NOTSET)
        logging.getLogger().removeHandler(others)
    assert heard == ["while it runs"]
    said = [line.split()[2] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert said == ["INFO", "WARNING", "ERROR"]


def test_history_of_epochs_with_other_columns_is_written(tmp_path):
    """A run begun on several devices goes on with one."""
    rows = [{"epoch": 0, "val_mean_iou": 0.5}, {"epoch": 1, "val_mean_iou": 0.4, "classes_predicted": 2}]
    RunWriter(tmp_path).save_derived(State(rows))
    assert (tmp_path / Run.HISTORY).read_text().splitlines() == [
        "epoch,val_mean_iou,classes_predicted", "0,0.5,", "1,0.4,2"
    ]  # fmt: skip


def test_columns_that_callbacks_add_may_have_any_name(tmp_path):
    rows = [{"epoch": epoch, "val_mean_iou": 0.5 - epoch, "größe": 1.5, "caf\udce9": 2} for epoch in range(2)]
    RunWriter(tmp_path).save_derived(State(rows))
    assert (tmp_path / Run.HISTORY).read_bytes().startswith("epoch,val_mean_iou,größe,caf".encode() + b"\xe9\r\n")
    stored = read_table(tmp_path / Run.HISTORY, ())
    assert stored == [{name: str(value) for name, value in row.items()} for row in rows]


def test_one_at_a_time_trains_in_a_folder(cells, tmp_path):
    with RunWriter(tmp_path).locked(), pytest.raises(InputError, match="One process at a time must .*another does in"):
        train(cells, tmp_path, base_filters=2, depth=1, padding="same", epochs=1, precision="float32")
    assert {p.name for p in tmp_path.iterdir()} == {Run.LOCK}


@pytest.mark.parametrize("said", ["ENOLCK", "ENOTSUP", "EINVAL", "ENOSYS"])
def test_a_drive_without_locks_keeps_nobody_from_training(said, tmp_path, monkeypatch):
    def flock(*arguments):
        raise OSError(getattr(errno, said), "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / Run.LOCK).write_text("1\nanother_host\n")  # as earlier versions left it where they were killed
    with RunWriter(tmp_path).locked():
        assert {path.name for path in tmp_path.iterdir()} == {Run.LOCK}


def test_files_that_no_run_wrote_are_not_replaced(tmp_path):
    writer = RunWriter(tmp_path)
    for name in (".git", "log.txt", "images"):
        (tmp_path / name).touch()
        writer.check_free()
    for name in ("data.json", "panels"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"must not replace files of others; .* holds data\.json, panels\. Choose"):
        writer.check_free()
    (tmp_path / Run.LOCK).touch()  # a run that was killed before it had begun
    writer.check_free()


def test_a_run_writes_nothing_that_is_not_looked_for_before_it_begins(run):
    known = {*WRITTEN, Run.CONFIG, Run.HISTORY, Run.BEST, Run.LAST, Run.REPORT, Run.LOG, Run.LOCK}
    assert {path.name for path in run.path.iterdir()} <= known


def test_what_a_killed_process_left_under_a_temporary_name_goes(tmp_path):
    (tmp_path / ".last.12345678.keras").write_bytes(b"half")
    with RunWriter(tmp_path).locked():
        assert not list(tmp_path.glob(".*.keras"))


def test_names_that_are_no_utf8_are_kept_in_their_bytes_and_shown_as_escapes(tmp_path):
    shutil.copy(Path(__file__).parents[1] / "saved" / "run_0_1" / "config.toml", tmp_path)
    facts = [SimpleNamespace(sha256="1", label_sha256="2")]
    samples = SimpleNamespace(pairs=[Pair("caf\udce9", tmp_path, tmp_path)], fingerprints=facts)
    writer = RunWriter(tmp_path)
    writer._save_pairs({"train": samples, "val": samples})
    assert b"train,caf\xe9,1,2\r\n" in (tmp_path / "files.csv").read_bytes()
    assert Run(tmp_path).names("val") == {"caf\udce9"}
    writer.check_pairs({"train": samples, "val": samples})
    with LogFile() as kept:
        kept.open(tmp_path / "log.txt")
        # straight to the handler: pytest keeps what loggers say, and xdist cannot send such a name
        kept.emit(logging.makeLogRecord({"levelno": logging.INFO, "levelname": "INFO", "msg": "on caf\udce9"}))
    assert (tmp_path / "log.txt").read_text().endswith("INFO on caf\\udce9\n")


def test_files_that_are_in_other_splits_than_when_a_run_began_are_told_as_such(tmp_path):
    shutil.copy(Path(__file__).parents[1] / "saved" / "run_0_1" / "config.toml", tmp_path)

    def samples(*names):
        """Samples by names; the last part says the pixels."""
        facts = [SimpleNamespace(sha256=name[-1], label_sha256="0") for name in names]
        return SimpleNamespace(pairs=[Pair(name, tmp_path, tmp_path) for name in names], fingerprints=facts)

    writer, why = RunWriter(tmp_path), "The files are the same, in other splits or under other names: folders that a"
    writer._save_pairs({"train": samples("a_train/1", "a_val/2", "a_test/3"), "val": samples("a_train/4")})
    for trained, held, same in (
        (("1", "4"), ("2",), True),  # 3 is for tests
        (("a_train/1", "a_val/2", "a_train/4"), ("a_test/3",), True),
        (("1", "4"), ("5",), False),
        (("a_train/1", "a_val/2"), ("a_train/4",), False),  # one is gone
    ):
        with pytest.raises(InputError, match="goes on with the data that it began with") as caught:
            writer.check_pairs({"train": samples(*trained), "val": samples(*held)})
        assert (why in str(caught.value)) == same
