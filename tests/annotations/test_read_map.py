import json
import logging

import numpy as np
import pytest
from kinds_of_annotations import KINDS, truth

from unet_tf import InputError, import_annotations
from unet_tf.annotations.recognise import read_source
from unet_tf.data.pictures import read_mask


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".shp"])
def test_every_kind_of_vectors(suffix, tmp_path):
    import pyogrio

    file = KINDS["map"](tmp_path / "source")
    meta, _, geometries, fields = pyogrio.raw.read(file)
    pyogrio.raw.write(file.with_suffix(suffix), geometries, fields, meta["fields"], geometry_type="Polygon",
                      crs=meta["crs"])  # fmt: skip
    file.unlink()
    import_annotations(tmp_path / "source", tmp_path / "data")
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) == truth()).all()


def test_degrees_are_read_if_one_says_that_it_is_a_map(tmp_path):
    import pyogrio

    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    from rasterio.warp import transform_geom

    for one in content["features"]:
        one["geometry"] = transform_geom("EPSG:32632", "EPSG:4326", one["geometry"], precision=12)
    del content["crs"]
    file.write_text(json.dumps(content))
    assert read_source(file).program == "qupath"  # nothing tells it from pixels
    import_annotations(file, tmp_path / "data", program="map")
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) != truth()).sum() <= 11  # centres on the diagonal
    assert pyogrio.read_info(file)["crs"] == "EPSG:4326"


def test_vectors_that_lie_elsewhere_are_refused_with_both_extents(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["geometry"]["coordinates"] = (np.array(one["geometry"]["coordinates"]) + 1e5).tolist()
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="must lie on each other") as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert caught.value.file == file


def test_what_is_left_out_is_said(tmp_path, caplog):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    content["features"].append({"type": "Feature", "properties": {"class": "x"},
                                "geometry": {"type": "Point", "coordinates": [1010, 4990]}})  # fmt: skip
    file.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING, "unet_tf"):
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert "1 are no polygons" in caplog.text


def test_a_damaged_geopackage_is_refused_by_name(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    other = file.with_suffix(".gpkg")
    other.write_bytes(b"SQLite format 3\0 and nothing more")
    file.unlink()
    with pytest.raises(InputError) as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert caught.value.file == other and str(other) in str(caught.value)


def test_the_field_of_the_class_is_said(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["properties"] = {"landuse": one["properties"].pop("class")}
    file.write_text(json.dumps(content))
    assert len(import_annotations(tmp_path / "source", tmp_path / "one").classes) == 2  # all are called like the layer
    import_annotations(tmp_path / "source", tmp_path / "data", class_field="landuse")
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) == truth()).all()
    with pytest.raises(InputError, match='has no field "kind"; it has: landuse'):
        import_annotations(tmp_path / "source", tmp_path / "two", class_field="kind")


def test_a_map_without_features_is_a_picture_without_annotations(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    (tmp_path / "source/b.tif").write_bytes((tmp_path / "source/a.tif").read_bytes())
    (tmp_path / "source/b.geojson").write_text(json.dumps(content | {"features": []}))
    import_annotations(tmp_path / "source", tmp_path / "data", empty="background")
    assert not read_mask(tmp_path / "data/masks/b.png", ids=True).any()
