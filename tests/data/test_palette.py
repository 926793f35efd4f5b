import pytest

from unet_tf.data.palette import Palette, find_palette, read_palette
from unet_tf.errors import InputError

STREETS = Palette(("Animal", "traffic  light", "sky"), ((64, 128, 64), (192, 0, 128), (0, 0, 0)))


@pytest.mark.parametrize(
    "text",
    [
        "# CamVid\n64 128 64\tAnimal\n\n192, 0, 128  traffic  light \n0 0 0 sky\n",
        "64 128 64\tAnimal\r\n192 0 128\ttraffic  light\r\n0 0 0\tsky",
        "Animal 64 128 64\ntraffic  light\t192\t0\t128\nsky 0,0,0\n",
        "name,r,g,b\nAnimal,64,128,64\ntraffic  light,192,0,128\nsky,0,0,0\n",
        "r g b name\n64 128 64 Animal\n192;0;128;'traffic  light'\n0 0 0 sky\n",
        '#408040 Animal\n#C00080 "traffic  light"\n#000000 sky\n',
        "Animal #408040\ntraffic  light 192 0 128\nsky #000000\n",
        "# label:color_rgb:parts:actions\nAnimal:64,128,64::\ntraffic  light:192,0,128::\nsky:0,0,0::\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_palettes_are_read_however_they_are_written(tmp_path, text, encoding):
    (tmp_path / "label_colors.txt").write_bytes(text.encode(encoding))
    assert read_palette(tmp_path / "label_colors.txt") == STREETS
    assert find_palette(tmp_path) == STREETS


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 0 0 Zone 1\n255 0 0 Zone 2\n", ("Zone 1", "Zone 2")),
        ("1 Zone 0 0 0\n2 Zone 255 0 0\n", ("1 Zone", "2 Zone")),
        ("#000000 1 Zone\n#ff0000 2 Zone\n", ("1 Zone", "2 Zone")),
        ("Zone 1 #000000\nZone 2 #ff0000\n", ("Zone 1", "Zone 2")),
        ("Zone 1:0,0,0::\nZone 2:255,0,0::\n", ("Zone 1", "Zone 2")),
        ("#000000 void 0\n#ff0000 car 1\n", ("void 0", "car 1")),
        ("0 0 0 void\n255 0 0 car 1\n", ("void", "car 1")),
        ("0 0 0 Street 3\n255 0 0 Lane 7\n", ("Street 3", "Lane 7")),
    ],
)
def test_numbers_that_can_be_of_no_colour_are_part_of_the_name(tmp_path, text, names):
    (tmp_path / "label_colors.txt").write_text(text)
    assert read_palette(tmp_path / "label_colors.txt") == Palette(names, ((0, 0, 0), (255, 0, 0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 road\n1 1 1 sky\n", r"line 1: every line must read \"R G B name\""),
        ("0 0 0 road\n1 1 1 sky\nsea 2 2 2\n", r"line 3: every line must read \"R G B name\", .* received 'sea 2 2 2'"),
        ("0 0 0 road\n0 0 256 sky\n", "line 2: each of R G B must be 0 to 255; received '0 0 256 sky'"),
        ("0 0 0 road\n0 0 0 sky\n", "line 2: name and colour of a class must stand once"),
        ("0 0 0 road\n0 0 1 road\n", "must stand once"),
        ("0 0 0 1\n255 0 0 2\n", "line 1: .* can be read in more than one way"),
        ("0 128 64 128 road\n1 0 0 0 sky\n", "more than one way. Leave out numbers that are no part of the colour"),
        ("road 128 64 128 255\nsky 0 0 0 255\n", "more than one way"),
        ("0 void 0 0 0\n1 car 128 0 0\n", "more than one way"),
        ("0 0 0 void 0\n128 0 0 car 1\n", "if they are a part of the name, write the colour as #RRGGBB"),
        ("128 0 0, car, 2\n0 0 0, void, 1\n", "more than one way"),
        ("0 0 0 road 0\n128 0 0 car 1\n255 255 255 unknown 255\n", "more than one way"),
        ("0 0 0 void 0\n128 0 0 road 7\n128 0 1 car 26\n", "more than one way"),
        ("", "lists 0 classes"),
        ("# nothing\n0 0 0 road\n", "lists 1 class,"),
    ],
)
def test_a_palette_that_is_none_names_its_line(tmp_path, text, message):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_palette(tmp_path / "p.txt")
    assert caught.value.file == tmp_path / "p.txt"


@pytest.mark.parametrize("names", [("void 0", "car 1"), ("0 void", "1 car"), ("a 1", "b 2"), ("Zone 1", "Zone 2")])
def test_a_palette_that_is_written_is_read_again(tmp_path, names):
    palette = Palette(names, ((0, 0, 0), (255, 0, 0)))
    (tmp_path / "p.txt").write_text("\n".join(palette.lines))
    assert read_palette(tmp_path / "p.txt") == palette


def test_a_palette_in_another_encoding_names_its_line(tmp_path):
    (tmp_path / "p.txt").write_bytes("0 0 0 ciel\n0 0 1 vélo\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"line 2: 'v\\\\udce9lo' must be UTF-8"):
        read_palette(tmp_path / "p.txt")


def test_a_label_map_that_lists_names_alone_is_none_of_ours(tmp_path):
    (tmp_path / "labelmap.txt").write_text("road\nsky\n")
    assert find_palette(tmp_path) is None
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nroad:1,2,3::\nsky:4,5,6::\n")
    assert find_palette(tmp_path) == Palette(("road", "sky"), ((1, 2, 3), (4, 5, 6)))
    (tmp_path / "label_colors.txt").write_text("7 8 9 sea\n0 0 0 land\n")
    assert find_palette(tmp_path) == Palette(("sea", "land"), ((7, 8, 9), (0, 0, 0)))
