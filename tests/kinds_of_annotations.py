"""The same two shapes on one picture as every program writes them, and the masks that they must become."""

import base64
import csv
import io
import json
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 20, 24
CELL = [[2, 3], [10, 3], [10, 9], [2, 9]]
VESSEL = [[12, 2], [22, 2], [12, 12]]
SHAPES = {"cell": CELL, "vessel": VESSEL}


def truth():
    """(20, 24) 0, 1 of the cell, 2 of the vessel: of the triangle the centres with x + y < 24, for none lies on it."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 2:10] = 1
    rows, columns = np.indices(mask.shape) + 0.5
    mask[(columns > 12) & (rows > 2) & (rows + columns < 24)] = 2
    return mask


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), np.uint8)


def write_image(folder, name="a.png", seed=0):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(seed))
    return path


def encode_brush(alpha):
    """Label Studio's run lengths of a mask: red, green, blue and alpha of each pixel, here all alike."""
    values = np.repeat(alpha.ravel(), 4)
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    new = np.flatnonzero(np.diff(values.astype(int), prepend=-1))
    for start, length in zip(new, np.diff(new, append=len(values)), strict=True):
        if length == 1:
            bits += f"000000{values[start]:08b}"
        else:
            bits += f"111{length - 1:016b}{values[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def bitmap(mask):
    """A mask as Supervisely packs it."""
    done, data = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    assert done
    return base64.b64encode(zlib.compress(data.tobytes())).decode()


def labelme(folder):
    write_image(folder)
    shapes = [{"label": n, "points": p, "shape_type": "polygon", "group_id": None} for n, p in SHAPES.items()]
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.png", "imageData": None,
               "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
    return _json(folder, "a.json", content)


def coco(folder, segmentation=lambda points: [[side for point in points for side in point]]):
    write_image(folder)
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(SHAPES, start=3)],
        "annotations": [
            {"id": number, "image_id": 7, "category_id": number, "segmentation": segmentation(points), "iscrowd": 0}
            for number, points in enumerate(SHAPES.values(), start=3)
        ],
    }
    return _json(folder, "instances.json", content)


def coco_runs(folder):
    def runs(points):
        flat = (truth() == 1 + (points is VESSEL)).ravel(order="F")
        new = np.flatnonzero(np.diff(flat.astype(int), prepend=0))
        return {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *new, flat.size]).tolist()}

    return coco(folder, runs)


def coco_compressed(folder):
    from pycocotools import mask as library

    def runs(points):
        found = library.encode(np.asfortranarray(truth() == 1 + (points is VESSEL)).astype(np.uint8))
        return {"size": found["size"], "counts": found["counts"].decode()}

    return coco(folder, runs)


def _via_region(name, points):
    across, down = (list(axis) for axis in zip(*points, strict=True))
    outline = {"name": "polygon", "all_points_x": across, "all_points_y": down}
    return {"shape_attributes": outline, "region_attributes": {"class": name}}


def via(folder):
    write_image(folder)
    regions = [_via_region(*item) for item in SHAPES.items()]
    return _json(folder, "via.json", {"a.png99": {"filename": "a.png", "size": 99, "regions": regions}})


def via_1(folder):
    write_image(folder)
    regions = {str(number): _via_region(*item) for number, item in enumerate(SHAPES.items())}
    return _json(folder, "via.json", {"a.png99": {"filename": "a.png", "size": 99, "regions": regions}})


def via_project(folder):
    write_image(folder)
    regions = [_via_region(*item) for item in SHAPES.items()]
    entries = {"a.png99": {"filename": "a.png", "size": 99, "regions": regions, "file_attributes": {}}}
    return _json(folder, "project.json", {"_via_settings": {}, "_via_img_metadata": entries, "_via_attributes": {}})


def via_csv(folder):
    write_image(folder)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow("filename file_size file_attributes region_count region_id region_shape_attributes "
                  "region_attributes".split())  # fmt: skip
    for number, item in enumerate(SHAPES.items()):
        region = _via_region(*item)
        cells = [json.dumps(region[name]) for name in ("shape_attributes", "region_attributes")]
        rows.writerow(["a.png", 99, "{}", 2, number, *cells])
    return _text(folder, "via.csv", text.getvalue())


ATTRIBUTE_3 = {"1": {"aname": "kind", "type": 4, "options": {"0": "cell", "1": "vessel"}, "default_option_id": ""}}


def _via_3_region(points):
    return [7, *(number for point in points for number in point)]


def via_3(folder):
    write_image(folder)
    regions = {
        f"1_{number}": {"vid": "1", "flg": 0, "z": [], "xy": _via_3_region(points), "av": {"1": str(number)}}
        for number, points in enumerate(SHAPES.values())
    }
    return _json(folder, "project.json", {
        "project": {"pname": "cells", "vid_list": ["1"]}, "config": {}, "attribute": ATTRIBUTE_3,
        "file": {"1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": ""}},
        "view": {"1": {"fid_list": ["1"]}}, "metadata": regions,
    })  # fmt: skip


def via_3_csv(folder):
    write_image(folder)
    text = io.StringIO()
    text.write("# Exported using VGG Image Annotator\n")
    text.write(f"# ATTRIBUTE = {json.dumps(ATTRIBUTE_3)}\n")
    text.write("# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n")
    rows = csv.writer(text)
    for number, points in enumerate(SHAPES.values()):
        cells = [["a.png"], 0, [], _via_3_region(points), {"1": str(number)}]
        rows.writerow([f"1_{number}", *map(json.dumps, cells)])
    return _text(folder, "via3.csv", text.getvalue())


def cvat(folder, inside=None):
    write_image(folder)
    shapes = inside or "".join(
        f'<polygon label="{name}" points="{";".join(f"{x},{y}" for x, y in points)}" z_order="{number}"/>'
        for number, (name, points) in enumerate(SHAPES.items())
    )
    return _text(
        folder,
        "annotations.xml",
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>'
        f'<image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">{shapes}</image></annotations>',
    )


def cvat_masks(folder):
    inside = ""
    for number, name in enumerate(SHAPES, start=1):
        mask = truth() == number
        rows, columns = np.nonzero(mask)
        crop = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        new = np.flatnonzero(np.diff(crop.ravel().astype(int), prepend=0))
        counts = ", ".join(map(str, np.diff([0, *new, crop.size])))
        inside += (
            f'<mask label="{name}" rle="{counts}" left="{columns.min()}" top="{rows.min()}" '
            f'width="{crop.shape[1]}" height="{crop.shape[0]}" z_order="0"/>'
        )
    return cvat(folder, inside)


def label_studio(folder, results=None):
    write_image(folder)
    results = results or [
        {
            "id": name, "type": "polygonlabels", "original_width": WIDTH, "original_height": HEIGHT,
            "image_rotation": 0,
            "value": {"points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points], "polygonlabels": [name]},
        }
        for name, points in SHAPES.items()
    ]  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"id": 2, "result": results}]}
    return _json(folder, "project-1.json", [task])


def label_studio_brush(folder):
    return label_studio(
        folder,
        [
            {
                "id": name, "type": "brushlabels", "original_width": WIDTH, "original_height": HEIGHT,
                "value": {"format": "rle", "rle": encode_brush((truth() == number) * np.uint8(255)),
                          "brushlabels": [name]},
            }
            for number, name in enumerate(SHAPES, start=1)
        ],
    )  # fmt: skip


def qupath(folder):
    write_image(folder)
    features = [
        {
            "type": "Feature", "id": name, "geometry": {"type": "Polygon", "coordinates": [[*points, points[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}},
        }
        for name, points in SHAPES.items()
    ]  # fmt: skip
    return _json(folder, "a.geojson", {"type": "FeatureCollection", "features": features})


def imagej(folder):
    import roifile

    path = write_image(folder).with_name("a_RoiSet.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, points in SHAPES.items():
            roi = roifile.ImagejRoi.frompoints(np.array(points))
            roi.roitype, roi.name, roi.properties = roifile.ROI_TYPE.POLYGON, name, {"class": name}
            archive.writestr(f"{name}.roi", roi.tobytes())
    return path


def voc(folder):
    from PIL import Image

    write_image(folder, "JPEGImages/a.png")
    _text(folder, "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:128,0,0::\n"
                                  "vessel:0,128,0::\n")  # fmt: skip
    for name, mask in (("SegmentationClass", truth()), ("SegmentationObject", truth())):
        path = Path(folder, name, "a.png")
        path.parent.mkdir()
        indexed = Image.fromarray(mask, "L")
        indexed.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        indexed.save(path)
    return path.with_name("a.png")


def supervisely(folder):
    write_image(folder, "ds/img/a.png")
    vessel = truth() == 2
    outline = {"exterior": [[x - 0.5, y - 0.5] for x, y in CELL], "interior": []}
    objects = [
        {"classTitle": "cell", "geometryType": "polygon", "points": outline},
        {"classTitle": "vessel", "geometryType": "bitmap",
         "bitmap": {"origin": [12, 2], "data": bitmap(vessel[2:13, 12:])}},
    ]  # fmt: skip
    _json(folder, "meta.json", {"classes": [{"title": name, "shape": "any"} for name in SHAPES]})
    return _json(folder, "ds/ann/a.png.json", {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects})


def yolo(folder):
    write_image(folder, "images/a.png")
    _text(folder, "data.yaml", "path: .\nnames:\n  0: cell\n  1: vessel\n")
    lines = (
        " ".join([str(number), *(f"{value:.17g}" for x, y in points for value in (x / WIDTH, y / HEIGHT))])
        for number, points in enumerate(SHAPES.values())
    )
    return _text(folder, "labels/a.txt", "\n".join(lines) + "\n")


def map_(folder):
    """Pixels of two metres, north up: the corner of the first one lies at (1000, 5000)."""
    import rasterio

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    place = rasterio.Affine(2, 0, 1000, 0, -2, 5000)
    with rasterio.open(folder / "a.tif", "w", "GTiff", WIDTH, HEIGHT, 1, "EPSG:32632", place, "uint8") as file:
        file.write(picture(), 1)
    features = [
        {"type": "Feature", "properties": {"class": name}, "geometry": {
            "type": "Polygon", "coordinates": [[[1000 + 2 * x, 5000 - 2 * y] for x, y in [*points, points[0]]]]}}
        for name, points in SHAPES.items()
    ]  # fmt: skip
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    return _json(folder, "a.geojson", {"type": "FeatureCollection", "crs": crs, "features": features})


def _json(folder, name, content):
    return _text(folder, name, json.dumps(content))


def _text(folder, name, text):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


KINDS = {
    "labelme": labelme, "coco": coco, "coco runs": coco_runs, "coco compressed": coco_compressed, "via": via,
    "via 1": via_1, "via project": via_project, "via csv": via_csv, "via 3": via_3, "via 3 csv": via_3_csv,
    "cvat": cvat, "cvat masks": cvat_masks,
    "label-studio": label_studio, "label-studio brush": label_studio_brush, "qupath": qupath, "imagej": imagej,
    "voc": voc, "supervisely": supervisely, "yolo": yolo, "map": map_,
}  # fmt: skip
"""Program and variant -> a function that fills a folder and gives the file of the annotations."""
