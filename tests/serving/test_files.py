import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from agreement import same_labels
from served_nets import picture, say_version, start

from unet_tf import InputError, predict, predict_files, read_image, read_mask
from unet_tf.data.drawing import overlay
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import count_pages, write_picture, write_stack
from unet_tf.exporting.bundle import Bundle
from unet_tf.prediction import outputs
from unet_tf.prediction.calls import Call, Wanted
from unet_tf.prediction.predict import model_hash
from unet_tf.serving import Client, files
from unet_tf.serving.backoff import Backoff
from unet_tf.serving.files import predict_served
from unet_tf.serving.transport import refused, unreachable
from unet_tf.utils.signals import Stopped, tell


@pytest.fixture
def scans(tmp_path):
    """Six pictures for the net "grey", one of them a TIFF and one a stack."""
    folder = tmp_path / "scans"
    for number in range(4):
        write_picture(folder / f"{number}.png", picture("grey", 40 + number, 50, number))
    tifffile.imwrite(folder / "t.tif", picture("grey", 30, 31)[..., 0])
    write_stack(folder / "z.tif", [picture("grey", 20, 30, number)[..., 0] for number in range(3)])
    return folder


@pytest.fixture(params=["rest", "grpc"])
def own(request, nets):
    """A client of the net "grey" that knows its bundle."""
    with Client(nets.url(request.param), "grey", bundle=nets.bundles["grey"], retries=0) as found:
        yield found


def contents(folder):
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json" and path.suffix != ".csv"
    }


@pytest.mark.parametrize("where", ["count_pages", "_page"])
def test_a_picture_for_which_there_is_not_enough_memory_fails_alone(own, scans, tmp_path, monkeypatch, where):
    function = getattr(files, where)

    def failing(*arguments):
        if any("2.png" in str(one) for one in arguments):
            raise MemoryError
        return function(*arguments)

    monkeypatch.setattr(files, where, failing)
    outcome = predict_served(own, scans, tmp_path / "out")
    assert (outcome.written, len(outcome.failed)) == (5, 1)
    assert f"{scans / '2.png'} does not. Work on fewer at once (--in-flight 1)" in outcome.failed[0]
    assert not (tmp_path / "out/2.png").exists()


def test_the_files_are_those_of_a_prediction_here(own, nets, scans, tmp_path):
    extras = {"overlay": True, "instances": True, "polygons": "geojson", "min_area": 3}
    here = predict_files(nets.bundles["grey"], scans, tmp_path / "here", **extras)
    there = predict_served(own, scans, tmp_path / "there", **extras)
    assert (there.written, there.pixels, there.failed) == (here.written, here.pixels, ()) == (6, here.pixels, ())
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == names
    for name in ("0.png", "t.png"):
        stem = name.removesuffix(".png")
        image = next(scans.glob(f"{stem}.*"))
        label = read_mask(tmp_path / "there" / name, ids=True)
        assert same_labels(label, predict(nets.bundles["grey"], read_image(image), probabilities=True))
    with tifffile.TiffFile(tmp_path / "there/z.tif") as stack:
        assert stack.pages[2].colormap is not None


def test_masks_alone_are_asked_for_as_files(own, nets, scans, tmp_path):
    predict_files(nets.bundles["grey"], scans, tmp_path / "here")
    predict_served(own, scans, tmp_path / "there")
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert here.keys() == there.keys()
    for name in (one for one in here if here[one] != there[one]):  # where two probabilities are equal but for rounding
        file = next(scans.glob(f"{Path(name).stem}.*"))
        for page in range(count_pages(file)):
            label = read_mask(tmp_path / "there" / name, page, ids=True)
            assert same_labels(label, predict(nets.bundles["grey"], read_image(file, page), probabilities=True))


def test_without_a_bundle_masks_are_class_ids_with_a_colour_table(nets, scans, tmp_path, caplog):
    with Client(nets.http, "grey", retries=0) as own:
        predict_served(own, scans / "0.png", tmp_path / "out", probabilities=True)
        assert caplog.messages == []
        for number, wanted in enumerate(({"instances": True}, {"polygons": "geojson"})):
            predict_served(own, scans / "0.png", tmp_path / f"{number}", **wanted)
    assert ["the pieces of every class, that of borders too" in one for one in caplog.messages] == [True, True]
    probabilities = np.load(tmp_path / "out/0.npy")
    assert probabilities.shape == (40, 50, 3)
    assert (read_mask(tmp_path / "out/0.png", ids=True) == probabilities.argmax(-1)).all()
    assert b"PLTE" in (tmp_path / "out/0.png").read_bytes()


def test_an_overlay_shows_pixels_without_a_measurement_as_the_median(nets, tmp_path, monkeypatch):
    image, drawn = 200 + picture("grey", 30, 31)[..., 0] // 8, []
    image[:9] = 0
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(42113, "s", 0, "0", True)])
    tifffile.imwrite(tmp_path / "b.tif", image[9:], extratags=[(42113, "s", 0, "0", True)])  # which holds no 0
    monkeypatch.setattr(outputs, "overlay", lambda image, *rest: drawn.append(image) or overlay(image, *rest))
    given, wanted = [tmp_path / "a.tif", tmp_path / "b.tif"], {"overlay": True, "in_flight": 1}
    with Client(nets.http, "grey", 1, bundle=nets.bundles["grey"], retries=0) as own:
        assert predict_served(own, given, tmp_path / "out", **wanted).nodata == {str(given[0]): (0.0,)}
    assert set(drawn[0][:9].flat) == {int(np.median(image[9:]))}


def test_what_is_done_is_not_done_again(own, nets, scans, tmp_path):
    out = tmp_path / "out"
    first = predict_served(own, [scans / "0.png", scans / "1.png"], out)
    assert (first.written, first.skipped) == (2, 0)
    second = predict_served(own, scans, out)
    assert (second.written, second.skipped) == (4, 2)
    write_picture(scans / "0.png", picture("grey", 22, 22))
    third = predict_served(own, scans, out)
    assert (third.written, third.skipped) == (1, 5)
    assert predict_served(own, scans, out, overwrite=True).written == 6


def test_another_version_model_or_server_is_refused(own, nets, scans, tmp_path):
    out = tmp_path / "out"
    predict_served(own, scans / "0.png", out)
    assert record(out) == (f"{own.url} grey version 2", "unknown", None, None)  # of which the bundle says nothing
    with (
        Client(own.url, "grey", label="stable", bundle=nets.bundles["grey"]) as other,
        pytest.raises(InputError, match="version 2 there, .* version 1 here"),
    ):
        predict_served(other, scans, out)


def record(out):
    """What computed, which net it was, its temperature and threshold, as the folder says it."""
    stored = json.loads((out / "predict.json").read_text())
    return tuple(stored[name] for name in ("engine", "model", "temperature", "threshold"))


def test_the_folder_says_which_net_computed_and_refuses_another_one_of_its_number(nets, scans, tmp_path, caplog):
    given = {"label": "stable", "retries": 0}
    bundle = shutil.copytree(nets.bundles["grey"], tmp_path / "bundle")
    with Client(nets.http, "grey", bundle=bundle, **given) as own:
        predict_served(own, scans / "0.png", tmp_path / "out")
    there = model_hash(bundle / "saved_model/1")
    assert record(tmp_path / "out") == (f"{nets.http} grey version 1", there, 1.0, 0.5)
    about = bundle / "bundle.json"
    about.write_text(about.read_text().replace(there, "0" * 64))  # as of another export, to the same place
    with (
        Client(nets.http, "grey", bundle=bundle, **given) as own,
        pytest.raises(InputError, match=f"model {there} there, {'0' * 64} here"),
    ):
        predict_served(own, scans, tmp_path / "out")


def test_objects_are_cut_by_the_measures_of_the_version_that_answers(nets, scans, tmp_path, caplog):
    bundle, found = shutil.copytree(nets.bundles["grey"], tmp_path / "bundle"), []
    masks = Bundle(bundle).description.masks
    for number in range(2):  # version 2 answers, of which the bundle says nothing at first
        if number:
            say_version(bundle, 2, masks=replace(masks, smallest=10_000))
        with Client(nets.http, "grey", bundle=bundle, retries=0) as own:
            predict_served(own, scans / "0.png", tmp_path / f"{number}", instances=True)
        found.append(len((tmp_path / f"{number}/0_objects.csv").read_text().splitlines()) - 1)
        assert json.loads((tmp_path / f"{number}/predict.json").read_text())["smallest"] == (10_000 if number else 1)
    assert found[0] > found[1] == 0
    assert ["does not hold version 2, which answers" in one for one in caplog.messages] == [True]


def test_a_picture_that_fails_is_named_and_the_others_are_done(own, scans, tmp_path):
    (scans / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    write_picture(scans / "9.png", picture("deep", 20, 20))
    found = predict_served(own, [*sorted(scans.iterdir()), scans / "none.png"], tmp_path / "out", in_flight=2)
    assert found.written == 5
    assert [sum(name in message for message in found.failed) for name in ("1.png", "9.png", "none.png")] == [1, 1, 1]
    assert not (tmp_path / "out/1.png").exists()


class Leaving:
    """A transport whose server is gone after so many answers; or to be asked whether it is there."""

    def __init__(self, transport, answers, ready, error=None):
        self._transport, self._left, self._ready = transport, answers, ready
        self._error = error or unreachable(transport.url, "gone")
        self.url, self.close = transport.url, transport.close
        self.most_values, self.in_json = transport.most_values, transport.in_json
        self.metadata = transport.metadata

    def predict(self, *asked):
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._transport.predict(*asked)

    def ready(self, which):
        return self._ready


ENDS = [
    (None, r"must be a server that answers; it does not \(gone\)"),
    (refused("http://proxy", "UNAVAILABLE", "HTTP 502"), "refuses the request, UNAVAILABLE: HTTP 502"),
    (refused("http://own", "NOT_FOUND", "No version 1"), "refuses the request, NOT_FOUND: No version 1"),
]


@pytest.mark.parametrize(("error", "words"), ENDS)
def test_a_server_that_is_away_ends_the_call_and_what_is_done_stays(own, scans, tmp_path, error, words):
    own._transport = Leaving(own._transport, answers=2, ready=False, error=error)
    with pytest.raises(InputError, match=words):
        predict_served(own, scans, tmp_path / "out", in_flight=1)
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


@pytest.mark.parametrize("error", [error for error, _ in ENDS])
def test_a_picture_that_ends_the_connection_each_time_does_not_keep_the_others(own, scans, tmp_path, error):
    own._transport = Leaving(own._transport, answers=2, ready=True, error=error)
    found = predict_served(own, scans, tmp_path / "out", in_flight=1)
    assert (found.written, len(found.failed)) == (2, 4)
    assert not (tmp_path / "out/z.tif").exists()


def test_a_stack_whose_server_leaves_between_two_pages_is_not_there(own, scans, tmp_path):
    own._transport = Leaving(own._transport, answers=1, ready=False)
    with pytest.raises(InputError, match="gone"):
        predict_served(own, scans / "z.tif", tmp_path / "out")
    assert list((tmp_path / "out").glob("*.tif")) == []


def test_a_server_that_is_killed_and_comes_back_is_asked_again(net_bundles, tmp_path):
    bundles, log = {"unet": net_bundles["grey"]}, tmp_path / "log"
    server = start(log, bundles)
    port, grpc_port = (int(url.rpartition(":")[2]) for url in (server.http, server.grpc))
    for number in range(20):
        write_picture(tmp_path / f"scans/{number:02}.png", picture("grey", 30, 30, number))
    both, found = threading.Barrier(3, timeout=300), {}

    def work(url):
        def on_file(done, total):
            if done == 5:
                both.wait()  # now it is killed

        with Client(url, bundle=net_bundles["grey"], backoff=Backoff(100_000, most=0.2)) as own:
            out = tmp_path / url.partition(":")[0]
            found[out] = predict_served(own, tmp_path / "scans", out, on_file=on_file)

    threads = [threading.Thread(target=work, args=(url,), daemon=True) for url in (server.http, server.grpc)]
    for one in threads:
        one.start()
    both.wait()
    server.process.kill()
    server.process.wait()
    for last in (False, False, False, True):
        try:
            again = start(log, bundles, port=port, grpc_port=grpc_port)
            break
        except RuntimeError as error:  # another program has one of the ports for a moment
            if last or "cannot be listened on" not in str(error):
                raise
            time.sleep(5)
    for one in threads:
        one.join(600)
    again.process.terminate()
    again.process.wait()
    assert [(one.written, one.failed) for one in found.values()] == [(20, ()), (20, ())]
    for out in found:
        for number in range(20):
            label, image = read_mask(out / f"{number:02}.png", ids=True), picture("grey", 30, 30, number)
            assert same_labels(label, predict(net_bundles["grey"], image, probabilities=True))


def test_a_signal_ends_it_between_two_pictures(own, scans, tmp_path):
    def on_file(done, total):
        if done == 1:
            tell()

    with pytest.raises(Stopped):
        predict_served(own, scans, tmp_path / "out", on_file=on_file, in_flight=1)
    done = len(list((tmp_path / "out").glob("*.png")))
    assert 1 <= done < 6
    again = predict_served(own, scans, tmp_path / "out")
    assert (again.skipped, again.written) == (done, 6 - done)


def test_a_folder_whose_masks_the_same_inputs_would_find_is_refused(own, tmp_path):
    write_picture(tmp_path / "a.bmp", picture("grey", 20, 30))
    with pytest.raises(InputError, match=r"a\.png, which .*a\.bmp would write, would be one of the pictures when"):
        predict_served(own, tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bmp"]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"in_flight": 0}, "1 request at once or more"),
        ({"format": "jpg"}, "png or tif"),
        ({"min_area": 0}, "1 pixel"),
        ({"min_area": 5}, "--min-area is of objects; add --instances"),
        ({"out": "a.tif"}, "looks like a file"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anything_is_asked(scans, tmp_path, settings, words):
    with Client("http://127.0.0.1:1", retries=0) as own, pytest.raises(InputError, match=words):
        predict_served(own, scans, **{"out": tmp_path / "out"} | settings)
    assert not (tmp_path / "out").exists()


def test_the_command_asks_a_server(call, nets, scans, tmp_path):
    server = ("--server", nets.http, "--model", "grey", "--bundle", nets.bundles["grey"])
    code, out, err = call("predict", *server, scans / "0.png", scans / "t.tif", "--out", tmp_path / "out", "--overlay")
    assert (code, err) == (0, "")
    assert "2 of 2 masks written" in out
    assert (tmp_path / "out/0_overlay.png").is_file()
    code, out, _ = call("predict", *server, scans, "--out", tmp_path / "out", "--overlay")
    assert "6 of 6 masks written" in out
    assert "(2 were there)" in out
    (scans / "x.png").write_bytes(b"none")
    code, out, err = call("predict", *server, scans, "--out", tmp_path / "out", "--overlay")
    assert code == 1
    assert "x.png" in err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ("--server", "http://127.0.0.1:1", "a.png", "--memory", "1GB"),
            "With --server the net computes elsewhere, and --memory",
        ),
        (("--server", "http://127.0.0.1:1", "a.png", "--tta", "all", "--shard", "1/2"), "--tta, --shard"),
        (("--server", "127.0.0.1:1", "a.png"), "The address of a server"),
        (("--server", "http://127.0.0.1:1", "a.png", "--model-version", "1", "--label", "x"), "not both"),
        (("--server", "http://127.0.0.1:1", "a.png", "--retries", "0"), "must be a server that answers"),
        (("runs/a",), "RUN and INPUT must be given"),
        (
            ("--server", "http://127.0.0.1:1", "a.png", "--threshold", "0", "--chunk", "0"),
            "--chunk, --threshold cannot",
        ),
        (("runs/a", "a.png", "--chunk", "0"), "--axes and --chunk are for an array or map of any size"),
        (("runs/a", "a.png", "--retries", "8"), "and --retries cannot be said"),  # though it is the usual number
        (("--server", "http://127.0.0.1:1", "a.png", "--engine", "tensorflow"), "and --engine cannot be said"),
        (("runs/a", "a.png", "--bundle", "b"), "the net computes here, and --bundle cannot be said"),
        (
            ("runs/a", "a.png", "--model", "a", "--in-flight", "2", "--timeout", "9", "--retries", "0"),
            "--model, --in-flight, --timeout, --retries cannot be said",
        ),
        (
            ("runs/a", "a.png", "--max-pixels", "9", "--ca", "a.pem", "--label", ""),
            "--label, --max-pixels, --ca cannot",
        ),
    ],
)
def test_what_does_not_fit_together_is_said(call, tmp_path, arguments, words):
    code, _, err = call("predict", *arguments, "--out", tmp_path / "out")
    assert code == 1
    assert words in err.replace("\n", " ")


def test_a_run_beside_a_server_is_no_folder_of_pictures(call, net_bundles, tmp_path):
    code, _, err = call(
        "predict", net_bundles["grey"], "a.png", "--server", "http://127.0.0.1:1", "--out", tmp_path / "out"
    )
    assert code == 1
    assert "no RUN is given" in err


def test_a_map_or_array_is_refused_with_a_server(call, tmp_path):
    code, _, err = call("predict", "--server", "http://127.0.0.1:1", "a.tif", "--out", tmp_path / "out.tif")
    assert code == 1
    assert "must be a folder of masks" in err


def test_it_stops_at_a_signal_and_loads_no_tensorflow(nets, scans, tmp_path):
    code = (
        "import sys, os, signal; from unet_tf.serving import files; from unet_tf.cli.commands import main\n"
        "fill = files.fill\n"
        "def stopping(*a):\n"
        "    on_file = a[7]\n"
        "    def told(done, total):\n"
        "        on_file(done, total)\n"
        "        if done == 1: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return fill(*a[:7], told, *a[8:])\n"
        "files.fill = stopping\n"
        "try: main()\n"
        "finally: print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    command = [sys.executable, "-W", "error", "-c", code, "predict", "--server", nets.http, "--model", "grey"]
    done = subprocess.run(
        [*command, scans, "--out", tmp_path / "out", "--in-flight", "1"], capture_output=True, text=True
    )
    assert done.returncode == 130, done.stderr
    assert done.stdout.splitlines()[-2:] == ["Stopped. The same command does what is left.", "[]"]
    stored = json.loads((tmp_path / "out/predict.json").read_text())
    assert stored["engine"].endswith("grey version 2")
    assert (stored["model"], stored["temperature"], stored["threshold"]) == ("unknown", None, None)
    assert (tmp_path / "out/0.png").is_file()


def test_outlines_that_another_program_wrote_are_not_replaced(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.json").write_text('{\n  "version": "5.5.0"\n}')
    call = Call("http://nowhere", "unknown", str(tmp_path / "out"), Wanted(polygons=("labelme",)))
    result = files._predicted(call, None, MaskFormat(), ("background", "cell"), str(tmp_path / "a.png"))
    assert "are not replaced; " in result.error
    assert result.pixels == 0
