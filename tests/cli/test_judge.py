import numpy as np

from unet_tf.data.pictures import write_picture


def test_fields_of_view_and_membranes_are_options(call, own_run, cells, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for number in (0, 1):
        write_picture(tmp_path / "fov" / f"cells_00{number}.png", np.ones((96, 96), np.uint8))
    code, out, err = call("evaluate", own_run.path, cells, "--roi", tmp_path / "fov", "--membranes", " background,")
    assert (code, err) == (0, "")
    assert "count nowhere, 0.0% of all" in out
    tables = [line for line in out.splitlines() if line.startswith(" ")]
    assert {line.split()[0] for line in tables} >= {"image", "membranes", "V_rand", "V_info", "pixel"}
    assert max(map(len, tables)) <= 100, out

    code, _, err = call("evaluate", own_run.path, cells, "--membranes", "membrane")
    assert (code, "classes of the run (background, foreground); received membrane" in " ".join(err.split())) == (
        1,
        True,
    ), err
    code, _, err = call("evaluate", own_run.path, cells, "--roi", tmp_path / "nowhere")
    assert (code, "There is no folder" in err) == (1, True), err
