import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from folders import put

from unet_tf import check, evaluate
from unet_tf.data.folder import Pair, find_pictures, finding, list_pictures, read_pair, scan, title
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import RARE, write_picture
from unet_tf.data.weight_map import Weighting
from unet_tf.errors import InputError
from unet_tf.planning.page import write_overview


def pair_of(folder, image, mask):
    write_picture(folder / "images" / "a.png", image)
    write_picture(folder / "masks" / "a.png", mask)
    return Pair("a", folder / "images" / "a.png", folder / "masks" / "a.png")


def test_sizes_that_differ_are_refused(tmp_path):
    pair = pair_of(tmp_path, np.zeros((8, 6), np.uint8), np.zeros((6, 8), np.uint8))
    with pytest.raises(InputError, match=r"must have one size: .*masks.a\.png is 6x8, its image 8x6\. Export"):
        read_pair(pair, MaskFormat())


@pytest.mark.parametrize("kept_as", [np.uint16, np.float32, np.int32])
def test_instance_masks_keep_their_ids(kept_as, tmp_path):
    ids = np.array([[0, 3, 3, 0, 900]], np.uint16)
    pair = replace(pair_of(tmp_path, np.zeros((1, 5), np.uint8), ids), mask=tmp_path / "masks" / "a.tif")
    tifffile.imwrite(pair.mask, ids.astype(kept_as))
    decoded = read_pair(pair, MaskFormat("instance"))
    assert decoded.label.tolist() == [[0, 1, 1, 0, 1]]
    assert decoded.objects.tolist() == ids.tolist()
    weights = Weighting(w0=10).border(decoded.label, decoded.objects)
    assert weights[0, 3] > 0


def test_titles_tell_splits_apart(tmp_path):
    pairs = [Pair("001", tmp_path, tmp_path, split=split) for split in ("train", "val")]
    assert [title(pair) for pair in pairs] == ["train/001", "val/001"]
    assert title(Pair("p1/001", tmp_path, tmp_path)) == "p1/001"


def test_only_pictures_are_listed(tmp_path):
    put(tmp_path, "b.PNG", "a.tif", "notes.txt", ".hidden.png", "._a.tif", "Thumbs.db", ".DS_Store", "c.svs")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == ["a.tif", "b.PNG"]


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_originals_in_bigtiff_beside_pictures_are_named(tmp_path, monkeypatch, caplog, given):
    put(tmp_path / "scans", "a.png", "a.btf", "b.TF8", "b.tif", "c.tf2", "d.png")
    monkeypatch.chdir(tmp_path)
    assert [Path(path).name for path in find_pictures([given])] == ["a.png", "b.tif", "c.tf2", "d.png"]
    assert [record.getMessage() for record in caplog.records] == [
        "Not read, as of another kind, or beside a picture called alike: 1 .btf, 1 .tf8 (a.btf, b.TF8)."
    ]


@pytest.mark.parametrize("suffix", RARE)
def test_rare_suffixes_of_kinds_that_are_read_are_read_where_no_picture_is_called_alike(tmp_path, caplog, suffix):
    put(tmp_path, f"a{suffix}", "a.png", f"b{suffix.upper()}")
    assert [Path(path).name for path in find_pictures([tmp_path])] == ["a.png", f"b{suffix.upper()}"]
    assert caplog.messages == [
        f"Not read, as of another kind, or beside a picture called alike: 1 {suffix} (a{suffix})."
    ]


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_files_of_another_kind_are_named(tmp_path, monkeypatch, caplog, given):
    put(tmp_path / "scans", "a.png", "b.heic", "c.SVS", "d.svs", "notes.txt", ".e.svs", "Thumbs.db")
    (tmp_path / "scans" / "f.zarr").mkdir()
    (tmp_path / "scans" / "g.png").mkdir()
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING, "unet_tf"):
        assert find_pictures([given]) == [str(tmp_path / "scans" / "a.png")]
    assert caplog.messages == [
        "Not read, as of another kind: 1 .heic, 2 .svs, 1 .zarr (b.heic, c.SVS, d.svs, f.zarr). Save them as PNG or "
        "TIFF. A zarr array is predicted by itself, with --out NAME.zarr."
    ]


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_what_is_packed_is_named_and_how_it_is_read(tmp_path, monkeypatch, caplog, given):
    put(tmp_path / "scans", "a.png", "b.ppm.gz", "C.TIF.GZ", "d.pgm.Z", "e.zarr.zip", "f.nii.gz", "g.txt.gz", "h.zip")
    monkeypatch.chdir(tmp_path)
    assert [Path(path).name for path in find_pictures([given])] == ["a.png"]
    assert caplog.messages == [
        "Not read, as of another kind: 1 .nii.gz, 1 .pgm.z, 1 .ppm.gz, 1 .tif.gz, 1 .zarr.zip (C.TIF.GZ, b.ppm.gz, "
        "d.pgm.Z, e.zarr.zip, f.nii.gz). Save them as PNG or TIFF. Unpack those that end in .pgm.z, .ppm.gz, .tif.gz, "
        ".zarr.zip."
    ]


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_pictures_without_a_suffix_are_named_and_other_such_files_are_not(tmp_path, monkeypatch, caplog, given):
    put(tmp_path / "scans", "a.png", "README", "1.2.840")
    begin = {"IMG_1": b"\x89PNG\r\n\x1a\n", "IMG_2": b"\xff\xd8\xff\xe0", "t": b"II*\0", "d": bytes(128) + b"DICM"}
    for name, data in (begin | {"Makefile": b"BM = 1\nall:", "LICENSE": b"RIFF" + bytes(8)}).items():
        (tmp_path / "scans" / name).write_bytes(data)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "scans" / "pipe")  # which nobody writes into
    (tmp_path / "scans" / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [Path(path).name for path in find_pictures([given])] == ["a.png"]
    assert caplog.messages == [
        "Not read, as of another kind: 4 without a suffix (IMG_1, IMG_2, d, t). Give those without a suffix that of "
        "their kind, such as .png."
    ]


def test_a_folder_of_nothing_else_is_refused_with_their_names(tmp_path):
    put(tmp_path, "a.svs")
    with pytest.raises(InputError, match=r"There is no picture to predict in .* Not read, as .*: 1 \.svs \(a\.svs\)"):
        find_pictures([tmp_path])


def test_a_file_that_is_given_by_name_is_taken_whatever_it_is_called(tmp_path):
    put(tmp_path, "a.svs")
    assert find_pictures([tmp_path / "a.svs"]) == [str(tmp_path / "a.svs")]


def test_files_that_are_given_twice_come_once(tmp_path, monkeypatch):
    put(tmp_path, "scans/a.png", "scans/b.png")
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    monkeypatch.chdir(tmp_path)
    found = find_pictures(["scans", "scans/a.png", "link/../scans/a.png", "link", "link/*.png", tmp_path / "scans"])
    assert found == [str(tmp_path / "scans" / name) for name in ("a.png", "b.png")]


def test_two_names_of_one_file_are_two_pictures(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    assert find_pictures([tmp_path]) == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


@pytest.mark.parametrize("name", ["a.zarr", "A.ZARR", "array/zarr.json", "array/.zarray"])
def test_a_zarr_array_is_no_folder_of_pictures(tmp_path, name):
    put(tmp_path, f"{name}/x" if name.lower().endswith(".zarr") else name)
    with pytest.raises(InputError, match=r"is a zarr array, .*--out NAME\.zarr"):
        find_pictures([tmp_path / name.split("/")[0]])


@pytest.mark.parametrize(
    "pattern",
    ["*", "*.png", "[ab].png", "**", "**/*.png", "a/**", "a/**/?.png", "*/*", "a/*/*", "./a/../a/*", ".*/*", "**/.*"],
)
def test_what_inputs_would_find_is_what_they_find(tmp_path, pattern):
    put(tmp_path, "a.png", "c.png", "a.txt", "a/a.png", "a/b/a.png", "a/b/c.tif", "a/b/cc.png", "b/a.png")
    put(tmp_path, ".a.png", "a/.a.png", ".c/a.png", ".c/.a.png", "a/.c/a.png", "a/b/.c/b/a.png")
    files = [path for path in tmp_path.rglob("*.*") if path.is_file()]
    for one in (f"{tmp_path}/{pattern}", tmp_path / "a", tmp_path / "a.png"):
        found = [] if one == tmp_path / "a.png" else [Path(path).resolve() for path in find_pictures([one])]
        assert sorted(filter(finding([one]), files)) == sorted(found)


@pytest.mark.parametrize("pattern", ["*/*.png", "**/*.png", "**", "l[i]nk/*.png"])
def test_what_a_link_leads_to_is_found_by_patterns_that_go_through_it(tmp_path, pattern):
    put(tmp_path, "a.png", "b/c[1]/a.png", "d/a.png")
    folder = tmp_path / "b" / "c[1]"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(folder)
    is_found = finding([tmp_path / "a" / pattern])
    found = [path for path in (folder / "a.png", folder / "b.png", tmp_path / "d" / "a.png") if is_found(path)]
    assert found == [folder / "a.png", folder / "b.png"]


def test_folders_of_a_run_a_check_and_scores_are_passed_over(run, cells, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    write_overview(check(cells), tmp_path / "check")
    masks = str(cells / "test" / "masks")
    evaluate(masks, cells, split="test", out=tmp_path / "scores")
    assert any(path.suffix == ".png" for path in (tmp_path / "scores").rglob("*"))
    assert scan(tmp_path).folders == [] and scan(tmp_path / "run").folders


def test_folders_in_a_folder_are_named_where_they_hold_pictures(tmp_path, caplog):
    put(tmp_path / "scans", "a.png", "plate1/b.png", "plate2/c.tif", "notes/d.txt", "out/a.png", "out/predict.json")
    put(tmp_path / "scans", "masks/a.png", "@eaDir/a.png")
    words = f"Folders in {tmp_path / 'scans'} are not looked into: plate1, plate2. Give them too."
    assert find_pictures([tmp_path / "scans"]) == [str(tmp_path / "scans" / "a.png")]
    assert caplog.messages == [words]
    (tmp_path / "scans" / "a.png").unlink()
    with pytest.raises(InputError, match="There is no picture to predict in") as raised:
        find_pictures([tmp_path / "scans"])
    assert str(raised.value).endswith(f" Give picture files, or folders that hold some. {words}")
