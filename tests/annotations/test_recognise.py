import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kinds_of_annotations import KINDS

from unet_tf import InputError, import_annotations
from unet_tf.annotations import recognise
from unet_tf.annotations.recognise import MARKS, read_source

WORDS = (
    b"NaN", b"-1", b"0", b"null", b"1e999", b"1e300", b"[]", b"{}", b'""', b"true", b"../../x", b"9" * 20, b"\xff\xfe",
    b"\0", b"[" * 2000, b"&x;", b'"', b"<", b",", b"\n",
)  # fmt: skip
MUTANTS = int(os.environ.get("UNET_TF_FUZZ", "340"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_tells_the_program_whatever_the_name(kind, tmp_path):
    file = KINDS[kind](tmp_path)
    program = kind.split()[0]
    assert read_source(tmp_path).program == read_source(tmp_path, program).program == program
    if program not in ("voc", "supervisely"):  # a folder; names a picture by its own
        other = file.rename(file.with_name(f"b{file.suffix}"))
        assert read_source(other).program == program


def test_every_program_has_a_kind():
    assert {kind.split()[0] for kind in KINDS} == MARKS.keys()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"a": 1, "b": 2}, "labels.json: JSON, an object with a, b"),
        ([{"x": 1}], "labels.json: JSON, a list of 1, the first an object with x"),
        ([], "labels.json: JSON, a list of 0"),
        (7, "labels.json: JSON, 7"),
        ({}, "labels.json: JSON, an object with nothing"),
    ],
)
def test_json_of_an_unknown_kind_says_what_was_looked_for_and_what_was_found(content, found, tmp_path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(content))
    for source in (file, tmp_path):
        with pytest.raises(InputError) as caught:
            read_source(source)
        assert caught.value.file == source and found in str(caught.value)
        assert all(mark in str(caught.value) for mark in MARKS.values())


def test_nothing_at_all(tmp_path):
    with pytest.raises(InputError, match=r"Found: no file that ends in \.json"):
        read_source(tmp_path)
    (tmp_path / "a.json").touch()
    with pytest.raises(InputError, match=r"a.json must be whole annotations"):
        read_source(tmp_path)


def test_a_wanted_program_is_looked_for_alone(tmp_path):
    KINDS["labelme"](tmp_path)
    with pytest.raises(InputError, match=r"Looked for: COCO JSON .*Found: a.json: of labelme"):
        read_source(tmp_path, "coco")
    with pytest.raises(InputError, match="must be of one of labelme, coco"):
        read_source(tmp_path, "word")
    KINDS["coco"](tmp_path)
    with pytest.raises(InputError, match=r"one program; .* holds labelme in .*a.json; coco in .*instances.json"):
        read_source(tmp_path)
    found = read_source(tmp_path, "coco")
    assert found.program == "coco" and found.notes == ["Not understood, and not used: 1 file, a.json (of labelme)."]


def test_files_that_are_not_understood_are_named(tmp_path):
    KINDS["labelme"](tmp_path)
    (tmp_path / "notes.json").write_text('{"todo": []}')
    (tmp_path / "readme.txt").write_text("hello")
    assert read_source(tmp_path).notes == [
        "Not understood, and not used: 1 file, notes.json (JSON, an object with todo)."
    ]
    shutil.rmtree(tmp_path)
    KINDS["yolo"](tmp_path)
    for name in ("README.dataset.txt", "README.roboflow.txt"):
        (tmp_path / name).write_text("hello")
    assert read_source(tmp_path).notes == []
    (tmp_path / "labels/b.txt").write_text("cell 1 2 3")
    assert "b.txt" in read_source(tmp_path).notes[0]


def test_notes_of_gis_beside_rasters_and_vectors_are_no_annotations(tmp_path):
    KINDS["labelme"](tmp_path)
    for name in ("a.tif.xml", "a.TIF.XML", "a.shp.xml", "a.jp2.aux.xml", "b.vrt.xml"):
        (tmp_path / name).write_text("" if name[2:] == "tif.xml" else "no XML" if "vrt" in name else "<metadata/>")
    found = read_source(tmp_path)
    assert (found.notes, found.unknown) == ([], [])
    (tmp_path / "a.xml").write_text("<metadata/>")
    assert "a.xml (XML of <metadata>)" in read_source(tmp_path).notes[0]


def test_annotations_that_are_called_like_notes_of_gis_are_read(tmp_path):
    KINDS["cvat"](tmp_path)
    (file,) = tmp_path.rglob("*.xml")
    file.rename(tmp_path / "a.png.xml")
    (found,) = {one.file for one in read_source(tmp_path).pictures}
    assert found == tmp_path / "a.png.xml"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
@pytest.mark.parametrize("kind", ["labelme", "yolo"])
def test_links_to_what_is_no_annotation_in_a_folder_are_not_said(kind, tmp_path):
    source, other = tmp_path / "source", tmp_path / "other"
    KINDS[kind](source)
    for name in (".hidden/a.json", ".a.json", "made/import.json", "made/a.json", "a.tif.aux.xml", "readme.txt",
                 "predicted/predict.json", "predicted/manifest.csv"):  # fmt: skip
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("{}")
    for name in ("all", "made"):
        (source / name).symlink_to(other / name.replace("all", ""), target_is_directory=True)
    shutil.copy(other / "a.tif.aux.xml", source)
    found = read_source(source)
    assert (found.links, found.notes) == ([], [])
    (other / "a.txt").write_text("0 0 0 .5 0 .5 1")
    assert read_source(source).links == ([source / "all"] if kind == "yolo" else [])
    (other / "b.json").write_text("{}")
    assert read_source(source).links == [source / "all"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_link_to_what_may_not_be_read_is_said_and_stops_nothing(tmp_path, monkeypatch):
    KINDS["labelme"](tmp_path / "source")
    (tmp_path / "other/lost+found").mkdir(parents=True)
    (tmp_path / "source/link").symlink_to(tmp_path / "other", target_is_directory=True)
    listed = Path.iterdir

    def refused(folder):
        if folder.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    found = read_source(tmp_path / "source")
    assert found.links == [tmp_path / "source/link"] and found.pictures


def test_a_long_look_behind_a_link_can_be_stopped(tmp_path, monkeypatch):
    KINDS["labelme"](tmp_path / "source")
    for number in range(5):
        (tmp_path / f"other/{number}").mkdir(parents=True)
    (tmp_path / "source/link").symlink_to(tmp_path / "other", target_is_directory=True)
    looks = Counter()
    monkeypatch.setattr(recognise, "look", lambda: looks.update(["look"]))
    read_source(tmp_path / "source")
    assert looks["look"] == 1 + 1 + 6  # at the folder, the file, and each folder behind the link


@pytest.mark.parametrize(("package", "kind"), [("roifile", "imagej"), ("defusedxml", "cvat"), ("yaml", "yolo")])
def test_a_missing_package_is_named_with_its_install_line(package, kind, tmp_path, monkeypatch):
    KINDS[kind](tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[annotations\]'"):
        read_source(tmp_path)


def mutated(data, rng):
    """A damaged version of a file: bytes flipped, cut, doubled, words in the place of numbers and others."""
    data = bytearray(data)
    at = int(rng.integers(len(data)))
    length = int(rng.integers(1, 30))
    match int(rng.integers(6)):
        case 0:
            for place in rng.integers(len(data), size=int(rng.integers(1, 6))):
                data[place] ^= 1 << int(rng.integers(8))
        case 1:
            del data[at:]
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length]
        case 4:
            data[at : at + int(rng.integers(4))] = WORDS[int(rng.integers(len(WORDS)))]
        case 5:  # a number
            digits = [place for place, byte in enumerate(data) if chr(byte).isdigit()] or [at]
            at = int(rng.choice(digits))
            data[at : at + int(rng.integers(1, 3))] = WORDS[int(rng.integers(len(WORDS)))]
    return bytes(data)


def tree(folder):
    return {path: path.stat().st_size for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_imported_or_refused_by_name_and_nothing_is_half_written(kind, tmp_path):
    file = KINDS[kind](tmp_path / "deep/source")
    data, outcomes = file.read_bytes(), Counter()
    rng = np.random.default_rng(0)
    for _ in range(-(-MUTANTS // len(KINDS))):
        file.write_bytes(mutated(data, rng))
        before = tree(tmp_path)
        try:
            import_annotations(tmp_path / "deep/source", tmp_path / "deep/data", instances=bool(rng.integers(2)))
            outcomes["imported"] += 1
            made = {path.relative_to(tmp_path / "deep/data").parts[0] for path in (tmp_path / "deep/data").rglob("*")}
            assert {"images", "masks", "import.json"} <= made
            shutil.rmtree(tmp_path / "deep/data")
        except InputError as error:
            outcomes["refused"] += 1
            assert error.file is not None and Path(error.file).is_relative_to(tmp_path / "deep/source"), error
            assert str(error.file) in str(error)
        assert tree(tmp_path) == before
    assert outcomes["refused"]


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    import zipfile

    from unet_tf.annotations import read_imagej

    monkeypatch.setattr(read_imagej, "LARGEST", 100_000)
    file = KINDS["imagej"](tmp_path)
    for size, count in ((200_000, 1), (90_000, 300)):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(count):
                archive.writestr(f"{number}.roi", b"Iout" + b"\0" * size)
        with pytest.raises(InputError, match=r"it is no set of regions|is damaged"):
            read_source(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", b"Iout" + b"\0" * 200_000)
    with pytest.raises(InputError, match="must not hold more than 100000 bytes"):
        read_source(file)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://example.org/a.dtd">',
    ],
)
def test_xml_with_entities_is_refused(head, tmp_path):
    file = KINDS["cvat"](tmp_path)
    file.write_text(file.read_text().replace("\n", f"\n{head}\n", 1))
    with pytest.raises(InputError, match="XML with a document type or entities is not read") as caught:
        read_source(tmp_path)
    assert caught.value.file == file


def test_what_predict_and_import_lay_beside_annotations_is_none_and_is_not_named(tmp_path):
    ours = {
        "predict.json": '{"model": "x", "polygons": ["labelme"]}', "manifest.csv": "picture,status\na.png,done\n",
        "manifest-1-of-2.csv": "picture,status\n", "a_objects.csv": "object,class\n1,cell\n", "import.json": "{}",
    }  # fmt: skip
    for name, text in ours.items():
        (tmp_path / name).write_text(text)
    words = (
        r"Found: a_objects\.csv, import\.json, manifest-1-of-2\.csv and 2 more, of unet-tf itself \(predict --polygons"
    )
    with pytest.raises(InputError, match=words):
        read_source(tmp_path)
    KINDS["labelme"](tmp_path)
    for program in (None, "labelme"):
        found = read_source(tmp_path, program)
        assert (found.program, len(found.pictures), found.notes) == ("labelme", 1, [])
    (tmp_path / "predict.json").unlink()  # then such tables are of somebody else
    assert "Not understood, and not used: 3 files" in read_source(tmp_path).notes[0]


def test_a_picture_may_be_called_predict(tmp_path):
    file = KINDS["labelme"](tmp_path)
    file.rename(tmp_path / "predict.json")
    assert len(read_source(tmp_path).pictures) == 1
