import json

import numpy as np

from unet_tf.data.pictures import write_picture
from unet_tf.planning.doctor import check
from unet_tf.planning.page import write_overview


def test_names_that_are_no_utf8_are_shown_as_escapes(tmp_path):
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        for role in ("images", "masks"):
            write_picture(
                tmp_path / role / f"caf\udce9 {number}.png", image if role == "images" else image // 128 * 255
            )
    (tmp_path / "images" / "left \udce9.svs").write_bytes(b"x")
    findings = check(tmp_path)
    assert findings.problems == []
    page = write_overview(findings, tmp_path / "out")
    assert "Not read, as of another kind: 1 .svs (left \\udce9.svs)" in page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out" / "check.json").read_text())["notes"] == findings.notes
