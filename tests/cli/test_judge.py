import numpy as np

from unet_tf.data.pictures import write_picture


def test_fields_of_view_and_membranes_are_options(call, own_run, cells, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for number in (0, 1):
        write_picture(tmp_path / "fov" / f"cells_00{number}.png", np.ones((96, 96), np.uint8))
    code, out, err = call("evaluate", own_run.path, cells, "--roi", tmp_path / "fov", "--membranes", " background,")
    assert (code, err) == (0, "")
    assert "are ignored, 0.0% of all" in out
    assert "Kept nowhere, for with --roi not all pixels count: --out FOLDER keeps" in " ".join(out.split())
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


def test_why_the_scores_of_a_run_are_kept_nowhere_is_said(call, own_run, own_data):
    cells = own_data
    for option, why in (
        (("--threshold", 0.2), "--threshold is not that of the run"),
        (("--void", 9), "--void is not that of the run"),
        (("--masks-dir", "second"), "--masks-dir is not that of the run on its own data"),
        (("--masks-dir", "second", "--void", 9), "--void or --masks-dir is not that of the run"),
        (("--threshold", 0.5, "--mask-tolerance", 9), "--threshold or --mask-tolerance is not that of the run"),
        (("--split", "train", "--threshold", 0.5), "the net was trained on 4 of these files"),
    ):
        code, out, err = call("evaluate", own_run.path, cells, *option)
        assert (code, err) == (0, "")
        assert f"Kept nowhere, for {why}: --out FOLDER keeps scores" in " ".join(out.split())
    code, out, _ = call("evaluate", cells / "test" / "masks", cells, "--roi", cells / "test" / "masks")
    assert (code, "Kept nowhere: --out FOLDER" in out) == (0, True)
