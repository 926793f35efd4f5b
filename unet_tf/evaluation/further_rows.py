"""Scores that apply to some data sets alone, as rows of text and sentences."""

from __future__ import annotations

from unet_tf.evaluation.tables import EvaluationTable, interval, number

SHOWN = (0.5, 0.7, 0.9)
"""IoU of the scores of objects that are shown; all are in the file."""

TITLES = {"v_rand": "V_rand", "v_info": "V_info", "pixel_error": "pixel error"}


def further_rows(stored: EvaluationTable) -> list[list[tuple[str, ...]]]:
    """The tables of these scores but of objects as text, each a header and rows; those that do not apply are empty."""
    return [spread_rows(stored), membrane_rows(stored)]


def spread_rows(stored: EvaluationTable) -> list[tuple[str, ...]]:
    """How IoU and Dice spread over the files, as text: a header, then a row a class, and the mean; none of one file."""
    images = stored.get("images", {})
    if len(stored["per_file_mean_iou"]) < 2 or not images:
        return []
    rows: list[tuple[str, ...]] = [("image by image", "IoU: mean", "median", "worst", "Dice: mean", "median", "worst")]
    for name, keys in [
        *((one, (f"IoU {one}", f"Dice {one}")) for one in stored["classes"]),
        ("mean", ("mean IoU", "mean Dice")),
    ]:
        spreads = [images.get(key) for key in keys]
        values = [(one["mean"], one["median"], one["worst"]) if one else (None,) * 3 for one in spreads]
        rows.append((name, *(number(value) for three in values for value in three)))
    return rows


def object_rows(stored: EvaluationTable) -> list[tuple[str, ...]]:
    """How objects were found, as text: a header, then a row a threshold; none where masks tell no objects apart."""
    table = stored.get("objects")
    if table is None:
        return []
    ends = table["ap_ends"]
    rows = [("objects", "AP", *["95 %"] * (ends is not None), "AP, mean of files", "F1", "panoptic quality", "found")]
    for place, threshold in enumerate(table["thresholds"]):
        if threshold in SHOWN:
            between = [] if ends is None else [interval(ends[place])]
            scores = (table[name][place] for name in ("ap_files", "f1", "pq"))
            found = f"{table['found'][place]} of {table['true']}"
            rows.append((f"IoU {threshold:g}", number(table["ap"][place]), *between, *map(number, scores), found))
    return rows


def object_words(stored: EvaluationTable) -> str:
    """Say how many objects there are, and how many were merged or split; nothing where masks tell none apart."""
    table = stored.get("objects")
    if table is None:
        return ""
    return (
        f"True objects: {table['true']}, of which {table['found'][0]} found (IoU {table['thresholds'][0]:g}) and "
        f"{table['splits']} split; predicted: {table['predicted']}, of which {table['merges']} merge several."
    )


def membrane_rows(stored: EvaluationTable) -> list[tuple[str, ...]]:
    """How well membranes part the pictures, as text: a header, then a row a score; none where nobody asked."""
    table = stored.get("membranes")
    if table is None or 0.5 not in table["thresholds"]:
        return []
    half, curve = table["thresholds"].index(0.5), table["curve"]
    of_scores = {
        "v_rand": [curve["v_rand"], curve["v_rand_split"], curve["v_rand_merge"]],
        "v_info": [curve["v_info"], curve["v_info_split"], curve["v_info_merge"]],
        "pixel_error": [curve["pixel_error"]],
    }
    rows: list[tuple[str, ...]] = [("membranes", "at 0.5", "split", "merge", "best", "at")]
    for name, curves in of_scores.items():
        at_half = [number(one[half]) for one in curves] + [""] * (3 - len(curves))
        best = table["best"].get(name)
        at_best = "none" if best is None else number(curves[0][table["thresholds"].index(best)])
        rows.append((TITLES[name], *at_half, at_best, "" if best is None else f"{best:g}"))
    return rows


def further_words(stored: EvaluationTable) -> list[str]:
    """What else is to be said, a text each: objects, lines that are thin, how pixels rank, which ones count."""
    words = [object_words(stored)] + [
        f"clDice of {name}: {number(one['cldice'])} (precision {number(one['precision'])}, sensitivity "
        f"{number(one['sensitivity'])}); it is {one['words']}."
        for name, one in stored.get("thin", {}).items()
    ]
    field = stored.get("field", {})
    if field.get("auc") is not None:
        words.append(
            f"Ranked by the probability of {field['foreground']}, pixels have an area under the ROC curve of "
            f"{number(field['auc'])} and an average precision of {number(field['average_precision'])}."
        )
    if "roi" in field:
        words.append(f"{field['roi'][0].upper()}{field['roi'][1:]}.")
    return [*filter(None, words)]
