import json
import shutil
from pathlib import Path

import pytest

from unet_tf import Run
from unet_tf.data.channels import ALL, Channels
from unet_tf.errors import InputError
from unet_tf.planning.ancestors import Ancestors, ancestors, ancestors_from, learnt

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"


def made(path, train=(), start="", note=None):
    """The saved run, as if it had learnt from these images, and had started from there."""
    shutil.copytree(SAVED, path)
    config = (path / Run.CONFIG).read_text()
    (path / Run.CONFIG).write_text(
        config.replace("[train]\n", f'[train]\nstart_from = "{start}"\n') if start else config
    )
    rows = [f"train,{name},{name},x\n" for name in train] + ["val,held,held,x\n"]
    (path / Run.FILES).write_text("split,name,sha256,label_sha256\n" + "".join(rows))
    if note is not None:
        (path / Run.ANCESTORS).write_text(note)
    return path


def test_a_net_that_starts_anew_has_none(tmp_path):
    assert ancestors_from(None, ALL) == ancestors(Run(made(tmp_path / "run"))) == Ancestors()


def test_all_nets_before_are_known_by_what_the_last_has_noted(tmp_path):
    note = json.dumps({"files": ["a", "b"], "unknown": ["bundles/old"]})
    run = made(tmp_path / "run", ["b", "c"], "runs/gone", note)
    assert ancestors(Run(run)) == Ancestors(frozenset("ab"), ("bundles/old",))
    assert learnt(Run(run)) == {"a", "b", "c"}
    assert ancestors_from(str(run), ALL) == Ancestors(frozenset("abc"), ("bundles/old",))


def test_files_in_the_folder_of_a_run_are_of_this_run(tmp_path):
    run = made(tmp_path / "run", ["a"])
    (run / "bundle").mkdir()
    for start in (run / "best.keras", run / "bundle"):
        assert ancestors_from(str(start), ALL) == Ancestors(frozenset("a"))


def test_what_knows_no_files_is_unknown(tmp_path):
    lost = made(tmp_path / "lost", ["a"])
    (lost / Run.FILES).unlink()
    earlier = made(tmp_path / "earlier", ["a"], "runs/first")  # of a version that noted nothing
    for start in ("bundles/cells", "net.keras", str(lost)):
        assert ancestors_from(start, ALL) == Ancestors(unknown=(start,))
    assert ancestors_from(str(earlier), ALL) == Ancestors(frozenset("a"), ("runs/first",))


def test_where_a_run_took_other_channels_of_pictures_that_are_gone_what_it_learnt_from_is_unknown(tmp_path, caplog):
    run = made(tmp_path / "run", ["a"])  # of the folder cells, which is not here
    for other in (Channels(("1",)), Channels(context=1), Channels(suffixes=("_r", "_g"))):
        assert ancestors_from(str(run), other) == Ancestors(frozenset("a"), (str(run),))
    assert caplog.text.count("cannot be read again: There is no folder cells") == 2  # files of suffixes are others
    later = made(tmp_path / "later", ["b"], str(run), json.dumps({"files": ["a"], "unknown": []}))
    assert ancestors_from(str(later), Channels(("1",))) == Ancestors(frozenset("ab"), (str(run), str(later)))
    (run / Run.FILES).write_text("damaged")
    assert ancestors_from(str(later), Channels(("1",))) == Ancestors(frozenset("ab"), (str(run), str(later)))


def test_runs_whose_names_were_used_again_are_looked_at_once(tmp_path):
    first = made(tmp_path / "first", ["a"], str(tmp_path / "second"))
    second = made(tmp_path / "second", ["b"], str(first))
    assert ancestors_from(str(second), Channels(("1",))).files == {"a", "b"}


@pytest.mark.parametrize("note", ["", "[]", '{"files": ["a"]}', '{"files": "a", "unknown": []}', '{"files": [1], "un'])
def test_a_damaged_note_is_named(tmp_path, note):
    with pytest.raises(InputError, match=r"ancestors\.json is damaged .* Restore it, or train again"):
        ancestors(Run(made(tmp_path / "run", start="runs/first", note=note)))
