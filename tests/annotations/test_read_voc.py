import shutil
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
from kinds_of_annotations import truth, voc, write_image
from PIL import Image

from unet_tf import InputError, import_annotations
from unet_tf.annotations.read_voc import NAMES, read_voc
from unet_tf.data.pictures import read_mask, write_picture
from unet_tf.data.structure import Damage


def test_without_a_list_of_colours_indices_are_the_challenge_s(tmp_path):
    voc(tmp_path)
    (tmp_path / "labelmap.txt").unlink()
    mask = truth() * 15
    mask[0] = 255
    for name in ("SegmentationClass", "SegmentationObject"):
        write_picture(tmp_path / name / "a.png", mask, np.zeros((256, 3), np.uint8))
    (found,) = read_voc(tmp_path, Counter())
    assert {shape.name for shape in found.shapes} == {"void", "class15", "class30"}  # there are no 31
    write_picture(tmp_path / "SegmentationClass/a.png", np.minimum(mask, 20), np.zeros((256, 3), np.uint8))
    assert {shape.name for shape in read_voc(tmp_path, Counter())[0].shapes} == {"person", "tvmonitor"}


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_what_labelme_exports_so_is_read(tmp_path, name):
    """Newer versions write indices into SegmentationClass, older ones arrays, and pictures of either beside it."""
    write_image(tmp_path / "source", "JPEGImages/a.jpg")
    mask = truth().astype(np.int32)
    mask[0] = -1
    for folder, data in (("Class", mask), ("ClassNpy", mask), ("Object", np.maximum(mask, 0)), ("ObjectNpy", mask)):
        path = tmp_path / "source" / f"Segmentation{folder}" / ("a.npy" if folder.endswith("Npy") else name)
        path.parent.mkdir()
        np.save(path, data) if path.suffix == ".npy" else write_picture(path, data.astype(np.uint8))
    for folder in ("ClassPNG", "ClassVisualization", "ObjectPNG", "ObjectVisualization"):
        write_image(tmp_path / "source", f"Segmentation{folder}/a.png")
    (tmp_path / "source/class_names.txt").write_text("_background_\ncell\nvessel")
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    assert (done.pictures, done.classes, done.void) == (1, ("background", "cell", "vessel"), True)
    expected = np.where(mask == -1, 255, mask)
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) == expected).all()
    (tmp_path / "source/class_names.txt").write_text("__ignore__\n_background_\nx\n")
    assert {shape.name for shape in read_voc(tmp_path / "source", Counter())[0].shapes} == {"void", "x", "class2"}


@pytest.mark.parametrize("ignored", ["", "__ignore__\n"])
def test_a_list_of_classes_without_the_background_is_no_table_of_indices(tmp_path, ignored):
    voc(tmp_path)
    (tmp_path / "labelmap.txt").unlink()
    write_picture(tmp_path / "SegmentationClass/a.png", np.minimum(truth() * 15, 20), np.zeros((256, 3), np.uint8))
    (tmp_path / "class_names.txt").write_text(ignored + "\n".join(NAMES[1:]))
    assert {shape.name for shape in read_voc(tmp_path, Counter())[0].shapes} == {"person", "tvmonitor"}
    (tmp_path / "class_names.txt").write_text(ignored + "Background\ncell")
    assert {shape.name for shape in read_voc(tmp_path, Counter())[0].shapes} == {"class15", "class20"}
    (tmp_path / "class_names.txt").write_text(ignored + "nucleus\ncytoplasm")
    with pytest.raises(InputError, match=r"that of 0, the background; received 'nucleus'. Put _background_ there"):
        read_voc(tmp_path, Counter())


def test_masks_in_jpeg_are_refused_with_what_can_be_done(tmp_path):
    voc(tmp_path)
    Image.fromarray(truth()).save(tmp_path / "SegmentationClass/a.jpg")
    (tmp_path / "SegmentationClass/a.png").unlink()
    with pytest.raises(InputError, match=r"a\.jpg is in JPEG or alike. Export it as PNG"):
        read_voc(tmp_path, Counter())


def test_objects_of_two_classes_keep_every_pixel_s_class(tmp_path):
    voc(tmp_path)
    objects = np.zeros((20, 24), np.uint8)
    objects[truth() > 0] = 1
    write_picture(tmp_path / "SegmentationObject/a.png", objects, np.zeros((256, 3), np.uint8))
    import_annotations(tmp_path, tmp_path.with_name("classes"))
    assert (read_mask(tmp_path.with_name("classes") / "masks/a.png", ids=True) == truth()).all()
    (found,) = read_voc(tmp_path, Counter())
    assert {(shape.name, shape.group) for shape in found.shapes} == {("cell", 1), ("vessel", 1)}


def test_colours_without_a_table_are_looked_up(tmp_path):
    voc(tmp_path)
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)[truth()]
    write_picture(tmp_path / "SegmentationClass/a.png", colours)
    assert {shape.name for shape in read_voc(tmp_path, Counter())[0].shapes} == {"cell", "vessel"}
    colours[0, 0] = 9
    write_picture(tmp_path / "SegmentationClass/a.png", colours)
    with pytest.raises(Damage, match="colour #090909"):
        read_voc(tmp_path, Counter())
    (tmp_path / "labelmap.txt").unlink()
    with pytest.raises(Damage, match="has colours and no table"):
        read_voc(tmp_path, Counter())


def test_two_masks_of_two_sizes_are_damaged(tmp_path):
    voc(tmp_path)
    Image.fromarray(truth()[:9], "L").save(tmp_path / "SegmentationObject/a.png")
    with pytest.raises(Damage, match="must have one size"):
        read_voc(tmp_path, Counter())


def test_pictures_without_a_mask_are_left_out(tmp_path):
    voc(tmp_path / "source")
    write_image(tmp_path / "source", "JPEGImages/b.png")
    done = import_annotations(tmp_path / "source", tmp_path / "data")
    assert done.pictures == 1 and "nothing is annotated: 1, left out" in done.notes[0]


def test_names_with_dots_are_those_of_one_picture_each(tmp_path):
    voc(tmp_path)
    for name in ("SegmentationClass", "SegmentationObject"):
        (file,) = (tmp_path / name).glob("a.*")
        file.rename(file.with_name("a.2.png"))
        shutil.copy(file.with_name("a.2.png"), file)
        shutil.copy(file, file.with_name("a.1.png"))
    write_picture(tmp_path / "SegmentationObject" / "a.1.png", np.zeros((3, 3), np.uint8))  # of another size
    with pytest.raises(
        Damage, match=r"SegmentationClass/a\.1\.png and .*SegmentationObject/a\.1\.png must have one size"
    ):
        read_voc(tmp_path, Counter())
    (tmp_path / "SegmentationClass" / "a.1.png").unlink()
    assert [found.apart for found in read_voc(tmp_path, Counter())] == [True, True]


def test_objects_are_not_made_of_classes(tmp_path):
    source = tmp_path / "source"
    voc(source)
    for name in ("SegmentationClass", "JPEGImages"):
        (file,) = (source / name).glob("a.*")
        (source / name / f"b{file.suffix}").write_bytes(file.read_bytes())
    assert import_annotations(source, tmp_path / "classes").pictures == 2
    with pytest.raises(InputError, match=r"tell objects apart; .*b\.png does not: .* need one in SegmentationObject"):
        import_annotations(source, tmp_path / "objects", instances=True)
    assert not (tmp_path / "objects").exists()


def test_pixels_of_a_class_that_are_of_no_object_are_void_in_masks_of_objects(tmp_path):
    source = tmp_path / "source"
    voc(source)
    objects = truth()
    cells = np.argwhere(objects == 1)[:3]
    objects[tuple(cells.T)] = 0
    write_picture(source / "SegmentationObject/a.png", objects, np.zeros((256, 3), np.uint8))
    import_annotations(source, tmp_path / "classes")
    assert (read_mask(tmp_path / "classes/masks/a.png", ids=True) == truth()).all()
    done = import_annotations(source, tmp_path / "objects", instances=True)
    assert "Pixels of a class and of no object, which are void in masks of objects: 3 in 1 picture." in done.notes
    assert not any("crowds" in note for note in done.notes)
    assert done.settings == {"masks": "instance", "void": ("65535",)}
    expected = truth().astype(int)
    expected[tuple(cells.T)] = 65535
    assert (read_mask(tmp_path / "objects/masks/a.png", ids=True) == expected).all()
    # of which none is missing
    done = import_annotations(source, tmp_path / "vessels", instances=True, classes="background=cell,vessel")
    assert not done.void and not any("of no object" in note for note in done.notes)
    assert (read_mask(tmp_path / "vessels/masks/a.png", ids=True) > 0).tolist() == (truth() == 2).tolist()


@pytest.mark.parametrize("listed", [False, True])
def test_indices_that_a_table_of_each_file_numbers_are_told(tmp_path, listed, caplog):
    voc(tmp_path)
    (tmp_path / "labelmap.txt").unlink()
    if listed:
        (tmp_path / "class_names.txt").write_text("_background_\ncell\nvessel")
    table = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    folder = tmp_path / "SegmentationClass"
    write_picture(folder / "a.png", truth(), table)
    write_picture(folder / "b.png", np.uint8([2, 1, 0])[truth()], table + 5)
    names = ("background", "cell", "vessel") if listed else NAMES
    with nullcontext() if listed else pytest.raises(Damage, match="black, the background of the challenge, is index 0"):
        read_voc(tmp_path, Counter())
    assert "their colours another: by the colour tables 0 is" in caplog.text and "labelmap.txt" in caplog.text
    caplog.clear()
    write_picture(folder / "b.png", truth(), np.append(table, [(9, 9, 9)], 0))
    assert not caplog.records and {shape.name for one in read_voc(tmp_path, Counter()) for shape in one.shapes} <= {
        *names
    }


def test_indices_of_one_bit_that_show_the_void_of_other_files_are_told(tmp_path, caplog):
    voc(tmp_path)
    (tmp_path / "labelmap.txt").unlink()
    folder = tmp_path / "SegmentationClass"
    write_picture(folder / "a.png", np.where(truth() == 2, 255, truth()).astype(np.uint8))
    Image.fromarray(np.where(truth() == 2, 255, 0).astype(np.uint8)).convert("1").save(folder / "b.png")
    read_voc(tmp_path, Counter())
    assert "their greys another: by its few bits 1 is the grey 255 in" in caplog.text and "8 bits." in caplog.text


def test_without_a_list_of_colours_black_is_the_background(tmp_path):
    voc(tmp_path)
    (tmp_path / "labelmap.txt").unlink()
    table = np.array([(0, 255, 0), (255, 0, 0), (0, 0, 0)], np.uint8)
    write_picture(tmp_path / "SegmentationClass/a.png", np.uint8([2, 1, 0])[truth()], table)
    with pytest.raises(
        Damage, match=r"black, the background of .*, is index 2, and 0 is another in .*a\.png.* class_names"
    ):
        read_voc(tmp_path, Counter())
    (tmp_path / "class_names.txt").write_text("_background_\ncell\nvessel")  # who lists them says which is which
    assert {shape.name for shape in read_voc(tmp_path, Counter())[0].shapes} == {"cell", "vessel"}
