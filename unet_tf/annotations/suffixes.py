"""What the files of outlines that `predict` writes are called, and to which picture such a name belongs."""

SUFFIXES = {
    "geojson": ".geojson",
    "detections": "_detections.geojson",
    "coco": ".coco.json",
    "labelme": ".json",
    "imagej": "_RoiSet.zip",
    "gpkg": ".gpkg",
    "wgs84": "_wgs84.geojson",
}
"""Format -> what follows the picture's name."""
DRAWN = {"probabilities": (".npy",), "overlay": ("_overlay.png", "_overlay.tif"), "instances": ("_instances.tif",)}
"""Option of `predict` -> what follows the picture's name in what it may draw beside the mask."""
QUPATH = {"geojson": "annotation", "detections": "detection"}
"""Format -> what QuPath makes of its objects."""
TAILS = tuple(tail for suffix in SUFFIXES.values() if (tail := suffix.partition(".")[0]))
"""What stands between the picture's name and the suffix of the kind of file."""


def without_tail(stem: str) -> str:
    """The name of the picture, without what `predict` puts behind it, in whatever case.

    Example:
        >>> without_tail("a_detections"), without_tail("a"), without_tail("_wgs84")
        ('a', 'a', '_wgs84')
    """
    tail = next((tail for tail in TAILS if stem.lower().endswith(tail.lower()) and len(stem) > len(tail)), "")
    return stem[: len(stem) - len(tail)]
