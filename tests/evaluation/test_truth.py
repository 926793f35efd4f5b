"""Masks of one meaning in many codings, judged by nets that learnt from one of them."""

import re
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet_tf import Run, compare, evaluate
from unet_tf.data.folder import read_pair
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.fair import judge_of
from unet_tf.evaluation.opening import subject_of
from unet_tf.evaluation.truth import truth_of
from unet_tf.labels import VOID

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"
NAMES = ("background", "foreground")


def labels(count=3, classes=2):
    rng = np.random.default_rng(0)
    return [rng.integers(0, classes, (20, 24), np.uint8) for _ in range(count)]


def binary(path, label, colours):
    write_picture(path, label * 255)


def ones(path, label, colours):
    write_picture(path, label)


def colour(path, label, colours):
    write_picture(path, np.array(colours, np.uint8)[label])


def indexed(path, label, colours):
    """As an import writes it."""
    picture = Image.fromarray(label, "P")
    picture.putpalette(np.array(colours, np.uint8).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


COLOURS = ((0, 0, 0), (230, 25, 75), (60, 180, 75))


def write(folder, coding=binary, names=(), order=NAMES, count=3):
    """Pictures and masks of the same classes; where names are given, with a list of their colours in this order."""
    for number, label in enumerate(labels(count, len(order))):
        rng = np.random.default_rng(number)
        write_picture(folder / "images" / f"{number}.png", rng.integers(0, 256, (20, 24), np.uint8))
        own = np.array([names.index(name) for name in order], np.uint8)[label] if names else label
        coding(folder / "masks" / f"{number}.png", own, COLOURS)
    if names:
        lines = [f"{r} {g} {b} {name}\n" for (r, g, b), name in zip(COLOURS, names, strict=False)]
        (folder / "label_colors.txt").write_text("".join(lines))
    return folder


def renamed(path, old, new):
    """The saved run with another text in its configuration."""
    shutil.copytree(SAVED, path)
    config = (path / Run.CONFIG).read_text()
    assert old in config
    (path / Run.CONFIG).write_text(config.replace(old, new))
    return path


PALETTE = 'kind = "palette"\nnum_classes = 2\ncolours = [[9, 9, 9], [200, 0, 0]]'


@pytest.fixture
def of_colours(tmp_path):
    """The saved run as if it had learnt from colours."""
    return renamed(tmp_path / "of_colours", 'kind = "binary"\nnum_classes = 2\ncolours = []', PALETTE)


def read(net, data, others=(), **settings):
    """The labels of a data folder, as they are read for a net beside others."""
    first, *rest = (subject_of(one, data, settings) for one in (net, *others))
    pairs = [pair for some in find_named(data).check().values() for pair in some]
    truth = truth_of(first, rest, pairs, data)
    return [read_pair(pair, truth).label for pair in pairs]


def are_equal(found, wanted):
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


CODINGS = [
    (binary, ()), (ones, ()), (colour, NAMES), (colour, NAMES[::-1]), (indexed, NAMES), (indexed, NAMES[::-1]),
    (ones, NAMES), (ones, NAMES[::-1]),
]  # fmt: skip


@pytest.mark.parametrize(("coding", "names"), CODINGS)
def test_labels_are_the_same_however_the_classes_are_coded(tmp_path, of_colours, coding, names):
    data = write(tmp_path / "data", coding, names)
    for net, other in permutations((SAVED, of_colours)):
        assert are_equal(read(net, data), labels())
        assert are_equal(read(net, data, [other]), labels())


def test_nets_and_folders_of_masks_are_judged_and_compared_in_any_coding(tmp_path):
    net = renamed(tmp_path / "net", "tolerance = 0.0\n\n", "tolerance = 0.0\nvalues = [0, 255]\n\n")
    plain, data = write(tmp_path / "plain"), write(tmp_path / "data", indexed, NAMES[::-1])
    wanted = evaluate(net, plain).confusion
    np.testing.assert_array_equal(evaluate(net, data).confusion, wanted)
    third = write(tmp_path / "third", colour, NAMES[::-1])  # as the truth, and not as the net, draws its own
    for a, b in [*permutations((net, plain / "masks")), (net, third / "masks")]:
        both = compare(a, b, data)
        for path, found in ((a, both.a), (b, both.b)):
            right = wanted if path == net else np.diag(wanted.sum(axis=1))
            np.testing.assert_array_equal(found.confusion, right)


def test_classes_of_other_names_are_refused_with_both_lists_and_the_remedy_does(tmp_path, of_colours):
    data = write(tmp_path / "data", indexed, ("cell", "rest"), ("rest", "cell"))
    words = "data has cell, rest, and .* has background, foreground. .* --classes background,foreground"
    for net in (SAVED, of_colours):
        with pytest.raises(InputError, match=words):
            read(net, data)
        assert are_equal(read(net, data, classes="foreground,background"), labels())
    with pytest.raises(InputError, match="--classes must name each class .*: cell, rest; received a, b, c"):
        read(SAVED, data, classes="a,b,c")


def test_colour_tables_that_contradict_each_other_or_those_of_training_are_told(tmp_path, caplog):
    def moved(path, label, colours):
        indexed(path, 1 - label, colours[1::-1])

    def mixed(path, label, colours):
        (moved if path.stem == "0" else indexed)(path, label, colours)

    learnt = write(tmp_path / "learnt", indexed)
    of_ids = renamed(tmp_path / "ids", 'kind = "binary"', 'kind = "index"')
    config = of_ids / Run.CONFIG
    before = config.read_text()
    said = next(line for line in before.splitlines() if line.startswith("path = "))
    config.write_text(before.replace(said, f'path = "{learnt}"'))
    assert are_equal(read(of_ids, write(tmp_path / "same", indexed)), labels())
    assert "colour" not in caplog.text
    assert read(of_ids, write(tmp_path / "mixed", mixed))
    assert "The ids of masks tell the class, and their colours another: by the colour tables 0 is" in caplog.text
    caplog.clear()
    assert read(SAVED, tmp_path / "mixed", classes=NAMES)  # by a net of binary masks
    assert "their colours another" in caplog.text
    data = write(tmp_path / "moved", moved)
    assert are_equal(read(of_ids, data), [1 - label for label in labels()])
    words = "what the net was trained on and in what it is judged on: by the colour tables 0 is (0, 0, 0) in"
    assert words in caplog.text
    (data / "masks").rename(data / "labels")
    caplog.clear()
    assert are_equal(read(of_ids, data, masks_dir="labels"), [1 - label for label in labels()])
    assert words in caplog.text
    (data / "labels").rename(data / "masks")
    caplog.clear()
    write(learnt, mixed)  # where nothing tells, ids are ids
    assert are_equal(read(of_ids, data), [1 - label for label in labels()])
    assert "what the net was trained on" not in caplog.text
    for mask in (learnt / "masks").iterdir():
        mask.write_bytes(b"no picture")
    assert are_equal(read(of_ids, data), [1 - label for label in labels()])
    shutil.rmtree(learnt)
    assert are_equal(read(of_ids, data), [1 - label for label in labels()])


def test_the_remedy_is_quoted_where_a_name_has_a_space(tmp_path):
    spaced = renamed(tmp_path / "spaced", '"foreground",', '"cell wall",')
    data = write(tmp_path / "data", indexed, ("cell", "rest"), ("rest", "cell"))
    with pytest.raises(InputError, match="--classes 'background,cell wall'"):
        read(spaced, data)


def test_nets_that_are_compared_have_classes_of_the_same_names(tmp_path):
    cells = renamed(tmp_path / "cells", '"foreground",', '"cell",')
    plain = write(tmp_path / "plain")
    assert are_equal(read(cells, plain), labels())  # as it learnt: nothing is named
    with pytest.raises(InputError, match="same classes: .* Train one with the names of the other"):
        compare(cells, SAVED, plain)


def test_a_net_that_names_colours_asks_what_values_mean(tmp_path, of_colours):
    config = of_colours / Run.CONFIG
    config.write_text(config.read_text().replace('"foreground",', '"cell",'))
    data = write(tmp_path / "data")
    with pytest.raises(InputError, match="data has background, foreground, and .* --classes background,cell"):
        read(of_colours, data)
    assert are_equal(read(of_colours, data, classes="background,cell"), labels())


def test_nets_that_read_values_in_two_ways_are_not_chosen_between(tmp_path):
    inverted = "inverted = true\ntolerance = 0.0\nvalues = [255, 0]"
    other = renamed(tmp_path / "inverted", "inverted = false\ntolerance = 0.0", inverted)
    usual = renamed(tmp_path / "usual", "tolerance = 0.0\n\n", "tolerance = 0.0\nvalues = [0, 255]\n\n")
    data = write(tmp_path / "data")
    for a, b in permutations((other, usual)):
        with pytest.raises(InputError, match="Masks must mean one thing: .* names no classes, and .*--classes A,B"):
            read(a, data, [b])
        assert are_equal(read(a, data, [b], classes=NAMES), labels())
    assert are_equal(read(other, data), [1 - label for label in labels()])


def test_data_may_lack_classes_of_the_net_and_have_none_that_it_lacks(tmp_path):
    net = subject_of(SAVED, tmp_path, {})
    three = ("background", "vessel", "foreground")
    net = replace(net, classes=three, masks=MaskFormat("index", 3, values=(0, 1, 2)))
    data = write(tmp_path / "data", indexed, NAMES)
    pairs = find_named(data).check()[""]
    truth = truth_of(net, [], pairs, data)
    assert truth.real_classes == 3
    assert truth.label(np.array([[[0, 0, 0], [230, 25, 75]]], np.uint8)).tolist() == [[0, 2]]
    more = write(
        tmp_path / "more", indexed, ("background", "foreground", "nerve"), ("background", "foreground", "nerve")
    )
    with pytest.raises(
        InputError, match=r"has background, foreground, nerve, and .* has background, vessel, foreground"
    ):
        truth_of(net, [], find_named(more).check()[""], more)


def learnt(data, path, *changes):
    """The saved run as if it had learnt from a folder, with other texts in its configuration."""
    run = renamed(path, 'path = "cells"', f'path = "{data}"')
    config = (run / Run.CONFIG).read_text()
    for old, new in changes:
        assert old in config
        config = config.replace(old, new)
    (run / Run.CONFIG).write_text(config)
    return run


def opened(data, names=NAMES, said=None, path=SAVED, **masks):
    """A net as if it had learnt classes of these names from such masks."""
    return replace(subject_of(path, data, {}), classes=names, said=said, masks=MaskFormat(**masks))


def labelled(net, data, others=()):
    pairs = find_named(data).check()[""]
    truth = truth_of(net, others, pairs, data)
    return truth, [truth.real_label(read_pair(pair, truth).label) for pair in pairs]


def written(folder, *masks):
    for number, mask in enumerate(masks):
        write_picture(folder / "images" / f"{number}.png", np.full(mask.shape, number, np.uint8))
        write_picture(folder / "masks" / f"{number}.png", mask)
    return folder


def squares(*values):
    """(20, 24) uint8, a square of each value, apart."""
    mask = np.zeros((20, 24), np.uint8)
    for number, value in enumerate(values):
        mask[2:6, 5 * number : 5 * number + 3] = value
    return mask


def test_names_of_a_list_that_are_said_in_another_order_stay_with_their_colours(tmp_path, of_colours):
    for coding in (colour, indexed):
        data = write(tmp_path / coding.__name__, coding, NAMES[::-1])
        for net in (SAVED, of_colours):
            assert are_equal(read(net, data, classes=NAMES), labels())


@pytest.mark.parametrize("said", [None, ("soil", "crop", "weed")])
def test_ids_with_gaps_are_those_of_the_net_where_a_class_lacks(tmp_path, said):
    data, names = written(tmp_path, squares(2), squares(2, 2)), ("soil", "crop", "weed")
    net = opened(data, names, said, kind="index", num_classes=3, values=(0, 2, 4))
    assert are_equal(labelled(net, data)[1], [squares(1), squares(1, 1)])
    others = written(tmp_path / "others", squares(1, 2))  # which the net does not know
    if said:
        assert are_equal(labelled(net, others)[1], [squares(1, 2)])


@pytest.mark.parametrize("border", [0, 1])
def test_a_few_objects_are_objects_where_a_person_says_the_names_of_the_net(tmp_path, border):
    data, names = written(tmp_path, squares(1, 2, 3), squares(1)), (*NAMES, "border")[: 2 + border]
    for said in (None, NAMES, names):
        net = opened(data, names, said, kind="instance", num_classes=2 + border, border=border)
        truth, found = labelled(net, data)
        assert truth.kind == "instance"
        assert are_equal(found, [squares(1, 1, 1), squares(1)])


def test_a_run_reads_its_own_data_as_it_learnt_it_where_a_person_says_the_same_names(tmp_path):
    data = write(tmp_path / "data")
    run = learnt(data, tmp_path / "run", ("inverted = false", "inverted = true"))
    for said in ({}, {"classes": NAMES}):
        assert are_equal(read(run, data, **said), [1 - label for label in labels()])


def test_255_beside_0_alone_is_a_class_to_a_net_of_ids_unless_it_is_said_to_be_void(tmp_path, caplog):
    data = write(tmp_path / "data")
    run = renamed(tmp_path / "run", 'kind = "binary"', 'kind = "index"')
    assert are_equal(read(run, data), labels())
    assert "255 is foreground here, and not void" in caplog.text
    caplog.clear()
    hidden = [np.where(label == 1, VOID, 0) for label in labels()]
    assert are_equal(read(run, data, void=255), hidden)
    (data / "masks" / "0.png").unlink()
    write_picture(data / "masks" / "0.png", np.where(labels(1)[0] == 1, 1, VOID).astype(np.uint8))  # ids show
    assert are_equal(read(run, data)[1:], hidden[1:])
    table = written(tmp_path / "table", squares(0))
    indexed(table / "masks" / "0.png", squares(255), (*COLOURS, *[(9, 9, 9)] * 252, (224, 224, 192)))
    for said in ({}, {"classes": NAMES}):
        assert are_equal(read(run, table, **said), [squares(255)])
    assert "255 is" not in caplog.text
    net = opened(data, NAMES, kind="index", values=(0, 255))
    assert are_equal(labelled(net, written(tmp_path / "class", squares(255)))[1], [squares(1)])
    net = opened(data, ("soil", "crop"), kind="index", values=(0, 1))
    assert are_equal(labelled(net, written(tmp_path / "crop", squares(255)))[1], [squares(1)])
    assert "255 is crop here, and not void" in caplog.text


def test_0_and_255_are_two_classes_to_a_net_of_ids_where_some_files_have_one_bit(tmp_path, caplog):
    data = write(tmp_path / "data")
    Image.fromarray(labels()[1] * 255).convert("1").save(data / "masks" / "1.png")
    run = renamed(tmp_path / "run", 'kind = "binary"', 'kind = "index"')
    assert are_equal(read(run, data), labels())
    assert "255 is foreground here, and not void" in caplog.text


def test_ids_whose_table_shows_them_in_black_and_white_are_ids_to_a_net_of_ids(tmp_path, caplog):
    data = written(tmp_path / "data", squares(1, 255), squares(1))
    table = np.repeat(np.arange(256, dtype=np.uint8), 3)
    table[3:6] = 255  # class 1 is to be seen
    for number, mask in enumerate((squares(1, 255), squares(1))):
        picture = Image.fromarray(mask, "P")
        picture.putpalette(table.tobytes())
        picture.save(data / "masks" / f"{number}.png")
    net = opened(data, ("soil", "crop"), kind="index", values=(0, 1))
    assert are_equal(labelled(net, data)[1], [squares(1, 255), squares(1)])
    assert "not void" not in caplog.text


def test_a_net_that_has_learnt_a_class_called_void_is_judged_by_it(tmp_path):
    data = write(tmp_path / "data", colour, ("Void", "soil", "car"), ("soil", "Void", "car"))
    net = opened(data, ("soil", "Void"), kind="palette", colours=((9, 9, 9), (7, 7, 7)), void=(COLOURS[2],))
    assert are_equal(labelled(net, data)[1], [np.where(label == 2, VOID, label) for label in labels(3, 3)])


def test_255_is_void_to_a_net_of_ids_where_one_of_all_masks_or_a_third_class_tells(tmp_path, caplog):
    alone = written(tmp_path / "alone", squares(255), squares())
    for names in (("soil", "crop", "weed"), (*NAMES, "weed")):
        net = opened(alone, names, kind="index", num_classes=3, values=(0, 1, 2))
        assert are_equal(labelled(net, alone)[1], [squares(VOID), squares()])
    sparse = [squares(255)] * 40
    sparse[12] = squares(1, 255)  # the fifth by name, none of the 32 that are looked at first
    data, net = written(tmp_path / "sparse", *sparse), opened(alone, kind="index", values=(0, 1))
    wanted = [sparse[number] for number in sorted(range(40), key=str)]
    for said in (None, NAMES):
        assert are_equal(labelled(replace(net, said=said), data)[1], wanted)
    assert not caplog.text


def test_a_net_of_objects_asks_what_soft_edges_and_classes_mean_where_its_names_are_said(tmp_path):
    soft, stripes = squares(77, 128, 255), np.tile(np.arange(3, dtype=np.uint8), (20, 8))
    softer = squares(0)
    softer[2:17, 2:22] = np.resize(np.arange(105, 256, 5), (15, 20))
    for number, mask in enumerate((soft, stripes, softer)):
        data = written(tmp_path / str(number), mask, mask)
        net = opened(data, ("background", "cell"), kind="instance")
        assert labelled(net, data)[0].kind == "instance"
        with pytest.raises(InputError, match="It is open what the masks mean"):
            labelled(replace(net, said=("background", "cell")), data)
    numbered = opened(data, ("background", "cell"), ("background", "cell"), kind="instance")
    assert labelled(numbered, written(tmp_path / "far", squares(3, 17, 40), squares(9)))[0].kind == "instance"
    data = written(tmp_path / "rims", squares(1, 2), squares(1))
    names = (*NAMES, "border")
    net = opened(data, names, names, kind="instance", num_classes=3, border=1)
    with pytest.raises(InputError, match="has background, foreground, border, and .* has background, foreground"):
        labelled(net, data)


def test_one_id_in_pieces_is_an_object_unless_it_is_255_in_all_masks(tmp_path, caplog):
    many = [squares(255, 255)] * 40
    many[12] = squares(1, 2)
    void = squares(255, 255, 9)
    for number, masks in enumerate(([squares(5, 5)], [squares(1, 1), squares(1, 1)], many, [void, void])):
        data = written(tmp_path / str(number), *masks)
        net = opened(data, kind="instance", void=(9,) if masks[0] is void else ())
        assert labelled(net, data)[0].kind == "instance"
    assert not caplog.text
    data = written(tmp_path / "alone", squares(255, 255))
    assert labelled(opened(data, kind="instance"), data)[0].kind == "binary"


def test_an_own_folder_is_read_with_whole_objects_for_a_net_with_a_border_class(tmp_path):
    data = written(tmp_path / "data", np.repeat([[0, 1, 2, 9]], 4, axis=0).astype(np.uint8))
    own = opened(data, path=learnt(data, tmp_path / "own"), kind="instance", void=(9,))
    rims = opened(data, (*NAMES, "border"), kind="instance", num_classes=3, border=1)
    for said in (None, NAMES):
        first, other = replace(rims, said=said), replace(own, said=said)
        assert labelled(first, data, [other])[1][0][0].tolist() == [0, 1, 1, VOID]
        assert labelled(other, data)[1][0][0].tolist() == [0, 0, 0, VOID]


def test_binary_masks_in_the_place_of_object_ids_are_judged_as_such(tmp_path, caplog):
    data = written(tmp_path / "data", squares(255, 255, 255), squares(), squares(255))
    for said, border in ((None, 0), (None, 1), (NAMES, 1)):
        caplog.clear()
        net = opened(
            data, (*NAMES, "border")[: 2 + border], said, kind="instance", num_classes=2 + border, border=border
        )
        truth, found = labelled(net, data)
        assert truth.kind == "binary"
        assert are_equal(found, [squares(1, 1, 1), squares(), squares(1)])
        words = "255 is the only id, in 4 pieces of 2 masks. They are judged as such, without objects."
        assert (words in caplog.text) == (said is None)  # by names that are said they are two classes
    own = opened(data, path=learnt(data, tmp_path / "own"), kind="instance")
    assert labelled(own, data)[0].kind == "binary"  # such as a test/ of its own folder
    caplog.clear()
    for mask in (squares(1), squares(255)):  # an object a picture
        one = written(tmp_path / str(mask.max()), mask, mask)
        assert labelled(replace(net, said=None), one)[0].kind == "instance"
    assert not caplog.text


def test_void_stays_void(tmp_path):
    data = write(tmp_path / "data", indexed, ("void", *NAMES[::-1]))
    indexed(data / "masks" / "0.png", np.zeros((20, 24), np.uint8), COLOURS)
    assert are_equal(read(SAVED, data), [np.full((20, 24), VOID), *labels()[1:]])


def test_void_of_the_truth_is_said_by_its_value_whatever_the_net_has_learnt(tmp_path):
    data = write(tmp_path / "data", ones, order=("background", "third", "foreground"))
    net = replace(subject_of(SAVED, tmp_path, {}), masks=MaskFormat("index", 2, void=(1,), values=(0, 2)))
    pairs = find_named(data).check()[""]
    with pytest.raises(InputError, match=r"--classes background,void,foreground\. Leave void out, .*--void VAL"):
        truth_of(replace(net, said=("background", "void", "foreground")), [], pairs, data)
    for said in (None, NAMES):
        truth = truth_of(replace(net, said=said), [], pairs, data)
        assert truth.label(np.array([[0, 1, 2]], np.uint8)).tolist() == [[0, VOID, 1]]


def test_what_is_wrong_with_a_value_is_said_as_ever(tmp_path):
    data = write(tmp_path / "data")
    label = labels(1)[0] * 255
    label[0, 0] = 7
    write_picture(data / "masks" / "0.png", label)
    with pytest.raises(InputError, match=r"0\.png .* 7"):
        read(SAVED, data)


def test_a_run_reads_its_own_data_as_it_learnt_it(tmp_path):
    data = write(tmp_path / "data", ones, ("nerve", "rest"), ("nerve", "rest"))
    run = renamed(tmp_path / "run", 'path = "cells"', f'path = "{data}"')
    (run / Run.CONFIG).write_text((run / Run.CONFIG).read_text().replace('kind = "binary"', 'kind = "index"'))
    assert are_equal(read(run, data), labels())  # whatever names its list has


def test_objects_are_whole_to_all_where_one_net_has_rims_whichever_comes_first():
    net, rims = (
        replace(subject_of(SAVED, SAVED, {}), masks=MaskFormat("instance", 2 + border, border=border))
        for border in (0, 1)
    )
    assert judge_of((net, rims)) is judge_of((rims, net)) is rims
    assert judge_of((net, replace(net))) is net


def softened(path, label, colours):
    """0 and 255 with what lies between them."""
    write_picture(path, np.clip(label * 255.0 + np.array([0, 30, -30])[np.indices(label.shape).sum(0) % 3], 0, 255)
                  .astype(np.uint8))  # fmt: skip


def jpeg(path, label, colours):
    """Blocks of 8x8 pixels, in which JPEG loses next to nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label * 255).save(path.with_suffix(".jpg"), quality=100)


def strangers(path, label, colours):
    """0 and 255, and 128 in a row."""
    write_picture(path, np.where(np.indices(label.shape)[0] == 3, 128, label * 255).astype(np.uint8))


@pytest.fixture
def of_values(tmp_path):
    """The saved run as if it had learnt from 0 and 255 alone."""
    return renamed(tmp_path / "of_values", "tolerance = 0.0\n\n", "tolerance = 0.0\nvalues = [0, 255]\n\n")


@pytest.mark.parametrize("coding", [softened, jpeg])
def test_the_tolerance_that_an_error_proposes_is_taken_of_the_truth(tmp_path, of_values, coding):
    data = write(tmp_path / "data", coding)
    with pytest.raises(InputError, match=r"--mask-tolerance (\d+)") as caught:
        read(of_values, data)
    tolerance = float(re.search(r"--mask-tolerance (\d+)", str(caught.value))[1])
    assert are_equal(read(of_values, data, mask_tolerance=tolerance), labels())
    result = evaluate(of_values, data, mask_tolerance=tolerance)
    assert f"--mask-tolerance {tolerance}" in result.who["command"]
    both = compare(of_values, write(tmp_path / "hard") / "masks", data, mask_tolerance=tolerance)
    np.testing.assert_array_equal(both.a.confusion, result.confusion)


def test_a_tolerance_does_not_make_background_of_ones(tmp_path, of_values):
    data = write(tmp_path / "data", ones)
    assert are_equal(read(of_values, data, mask_tolerance=442), labels())


def test_a_tolerance_makes_no_class_of_masks_of_another_kind(tmp_path, of_values):
    of_ones = renamed(tmp_path / "of_ones", "tolerance = 0.0\n\n", "tolerance = 0.0\nvalues = [0, 1]\n\n")

    def dim(path, label, colours):
        write_picture(path, np.where(np.indices(label.shape)[0] == 3, 90, label * 254).astype(np.uint8))

    def three(path, label, colours):
        write_picture(path, label + (np.indices(label.shape)[0] % 2).astype(np.uint8))

    ids, soft = write(tmp_path / "ids", three), write(tmp_path / "soft", dim)
    for net, data, said in ((of_values, ids, {"classes": NAMES}), (of_values, ids, {}), (of_ones, soft, {})):
        with pytest.raises(InputError, match="A tolerance takes values for those near them .* are of another kind"):
            read(net, data, mask_tolerance=253, **said)


def test_masks_are_read_as_the_net_does_where_a_person_says_its_names(tmp_path, of_values):
    data = write(tmp_path / "data", softened)
    assert are_equal(read(of_values, data, classes=NAMES, mask_tolerance=40), labels())
    with pytest.raises(InputError, match=r"--mask-tolerance 30"):
        read(of_values, data, classes=NAMES, mask_tolerance=8)
    inverted = renamed(tmp_path / "inverted", "inverted = false", "inverted = true")
    for net, names in ((of_values, NAMES[::-1]), (inverted, NAMES)):  # in the order of the values
        with pytest.raises(InputError, match="It is open what the masks mean"):
            read(net, data, classes=names, mask_tolerance=40)


@pytest.mark.parametrize("coding", [binary, softened, jpeg])
def test_a_tolerance_does_not_make_foreground_of_edges_where_a_net_has_learnt_ones(tmp_path, coding):
    net = renamed(tmp_path / "of_ones", "tolerance = 0.0\n\n", "tolerance = 0.0\nvalues = [0, 1]\n\n")
    data = write(tmp_path / "data", coding)
    for tolerance in (128, 254):
        assert are_equal(read(net, data, mask_tolerance=tolerance), labels())
    marked = write(tmp_path / "marked", lambda path, label, colours: write_picture(path, np.where(
        np.indices(label.shape)[0] == 3, 255, label).astype(np.uint8)))  # fmt: skip
    wanted = [np.where(np.indices(label.shape)[0] == 3, VOID, label) for label in labels()]
    assert are_equal(read(net, marked, void=255, mask_tolerance=1), wanted)  # void is no upper value


def test_a_value_of_the_truth_may_be_void_where_a_net_is_judged(tmp_path, of_values):
    data = write(tmp_path / "data", strangers)
    with pytest.raises(InputError, match=r"also holds 128 .* --void"):
        read(of_values, data)
    wanted = [np.where(np.indices(label.shape)[0] == 3, VOID, label) for label in labels()]
    assert are_equal(read(of_values, data, void=128), wanted)
    assert are_equal(read(of_values, data, void=["128"]), wanted)
    for void in ("foreground", "1,2,3"):
        with pytest.raises(InputError, match=f"void must be a value of masks .*; received {void}. Call the colour or"):
            read(of_values, data, void=void)
    with pytest.raises(InputError, match="must have a value of its own"):
        read(of_values, data, void=255)


def test_void_of_colours_is_said_in_their_list(tmp_path, of_colours):
    data = write(tmp_path / "data", colour, ("void", *NAMES))
    for net in (SAVED, of_colours):
        with pytest.raises(InputError, match="Call the colour or the class void in a label_colors.txt of the data"):
            read(net, data, void="1")


def test_ids_are_not_proposed_to_be_background(tmp_path, of_values):
    def numbered(path, label, colours):
        write_picture(path, label)

    data = write(tmp_path / "data", numbered, order=("background", "one", "two", "three"))
    with pytest.raises(InputError) as caught:
        read(of_values, data)
    assert str(caught.value).endswith(
        "Say what they are (--classes, --void, label_colors.txt). Values that follow each other from 1 are ids, and no "
        "soft edges: where they number objects, write one value for all. To ignore them: --void 1 --void 2 --void "
        "3."
    )
