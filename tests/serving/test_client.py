import functools
import json
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from agreement import same_labels
from PIL import Image
from served_nets import KINDS, PIXELS, picture, say_version

from unet_tf import Geometry, InputError, Predictor, read_image
from unet_tf.data.channels import ALL
from unet_tf.data.pictures import write_picture, write_stack
from unet_tf.serving import Client, client
from unet_tf.serving.backoff import Backoff
from unet_tf.serving.files import predict_served
from unet_tf.serving.sending import Given, as_png
from unet_tf.serving.transport import RequestError, TensorSpec, Which

PROTOCOLS = ("rest", "grpc")


class Recorder:
    """A transport that notes what it is asked for."""

    def __init__(self, transport, most=None):
        self._transport, self.asked, self.url, self._most = transport, [], transport.url, most
        self.most_values, self.in_json = transport.most_values, transport.in_json

    def predict(self, which, signature, name, value, output):
        self.asked.append((which, signature, value))
        if self._most and not isinstance(value, list) and value.size > self._most:
            raise RequestError("INVALID_ARGUMENT", "Too much.", too_large=True)
        return self._transport.predict(which, signature, name, value, output)

    def metadata(self, which):
        return self._transport.metadata(which)

    def close(self):
        self._transport.close()


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param


@pytest.fixture
def connect():
    """Make clients that are closed after the test."""
    with ExitStack() as made:
        yield lambda *arguments, **options: made.enter_context(Client(*arguments, **options))


@pytest.fixture
def ask(nets, protocol, connect):
    """Make clients of the server that note what they ask for."""

    def of(kind, most=None, **options):
        found = connect(nets.url(protocol), kind, retries=0, **options)
        found._transport = Recorder(found._transport, most)
        return found

    return of


@pytest.fixture(scope="module")
def net_here(net_bundles):
    """What a net of a bundle gives here; each is loaded once."""
    loaded = functools.cache(lambda kind: Predictor(net_bundles[kind]))
    return lambda kind, image: loaded(kind).probabilities(image)


@pytest.mark.parametrize("kind", KINDS)
def test_an_array_gives_what_the_net_gives_here(net_here, ask, kind):
    own, image = ask(kind), picture(kind, 70, 53)
    here = net_here(kind, image)
    there = own.probabilities(image)
    assert (there.shape, there.dtype) == (here.shape, np.float32)
    assert np.abs(there - here).max() <= 1e-5
    label = own.predict(image)
    assert (label.shape, label.dtype) == (image.shape[:2], np.uint8)
    assert same_labels(label, here)


@pytest.mark.parametrize(
    "kind, name", [("grey", "a.png"), ("grey", "a.bmp"), ("rgb", "a.png"), ("rgb", "ä b.jpg"), ("deep", "a.png")]
)
def test_a_file_that_the_net_takes_travels_as_it_is(net_here, ask, tmp_path, kind, name):
    image = picture(kind, 40, 60)
    file = tmp_path / name
    if name.endswith("jpg"):
        picture_ = Image.fromarray(image)
        exif = picture_.getexif()
        exif[0x0112] = 6  # lies on its side
        picture_.save(file, exif=exif)
    else:
        write_picture(file, image)
    own = ask(kind)
    for given in (file, str(file), file.read_bytes()):
        label = own.predict(given)
        assert own._transport.asked[-1][1:] == ("encoded", [file.read_bytes()])
        assert label.shape == ((60, 40) if name.endswith("jpg") else (40, 60))
        assert same_labels(label, net_here(kind, read_image(file)))
    assert len(own._transport.asked) == 3
    own.probabilities(file)
    assert own._transport.asked[-1][1] == "probabilities"


def write_planes(file, image):
    planes = np.moveaxis(image, -1, 0)
    tifffile.imwrite(file, planes, photometric="minisblack", metadata={"axes": "CYX"})


def unencoded(own):
    """Let a server say of a net what it says of one whose channels are not those of a file: nothing of `encoded`."""
    metadata = own._transport.metadata

    def said(which):
        found = metadata(which)
        return replace(found, signatures={name: one for name, one in found.signatures.items() if name != "encoded"})

    own._transport.metadata = said
    return own


def write_planes_bundle(bundle, folder):
    """A bundle of a net of RGB, which says that its channels are three neighbouring planes."""
    file = shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("saved_model")) / "bundle.json"
    stored = json.loads(file.read_text())
    stored["channels_of_files"] |= {"context": 1, "names": [""]}
    file.write_text(json.dumps(stored))
    return folder


@pytest.mark.parametrize("kind", ["grey", "rgb", "deep"])
def test_files_of_a_net_whose_channels_are_not_those_of_a_file_need_its_bundle(net_here, ask, tmp_path, kind):
    own, image, file = unencoded(ask(kind)), picture(kind, 20, 30), tmp_path / "a.png"
    write_picture(file, image)
    for given in (file, file.read_bytes()):
        for asked in (own.predict, own.probabilities):
            with pytest.raises(InputError, match=r"are picked, or of several files or planes, or .*--bundle"):
                asked(given)
    with pytest.raises(InputError, match=r"are picked, or of several files or planes, or .*--bundle"):
        predict_served(own, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert own._transport.asked == []
    assert same_labels(own.predict(image), net_here(kind, image))  # its channels themselves


def test_files_of_types_of_pixels_that_no_server_decodes_need_no_bundle(net_here, ask, tmp_path):
    image = picture("many", 20, 30)
    np.save(tmp_path / "a.npy", image)
    assert same_labels(ask("many").predict(tmp_path / "a.npy"), net_here("many", image))


def test_grey_is_taken_for_rgb_where_that_is_what_the_net_learnt(nets, net_here, ask, tmp_path):
    grey = picture("grey", 20, 30)
    here = net_here("rgb", np.repeat(grey, 3, axis=2))
    for options in ({}, {"bundle": nets.bundles["rgb"]}):
        assert same_labels(ask("rgb", **options).predict(grey), here)
    planes = write_planes_bundle(nets.bundles["rgb"], tmp_path / "planes")
    for own, words in (
        (unencoded(ask("rgb")), "the image is grey, and .* does not say it. Give the bundle"),
        (unencoded(ask("rgb", bundle=planes)), r"has 1 channels, and the net was trained on 3: .*\(channels\.read"),
    ):
        for asked in (own.predict, own.probabilities):
            with pytest.raises(InputError, match=words):
                asked(grey)
        assert own._transport.asked == []


def test_the_planes_of_a_stack_are_sent_with_their_neighbours_as_the_message_says(nets, ask, tmp_path):
    planes = write_planes_bundle(nets.bundles["rgb"], tmp_path / "planes")
    own, path = unencoded(ask("rgb", bundle=planes)), tmp_path / "s.tif"
    write_stack(path, [np.full((9, 9), value, np.uint8) for value in (10, 20, 30)])
    with pytest.raises(InputError, match="s.tif holds 3. Give its pages one by one: client.channels.read") as told:
        own.predict(path)
    remedy = str(told.value).partition("one by one: ")[2].removesuffix(".")
    for page, near in enumerate(([20, 10, 20], [10, 20, 30], [20, 30, 20])):
        own.predict(eval(remedy, {"client": own, "path": path, "page": page}))
        assert own._transport.asked[-1][2][0, 0, 0].tolist() == near


OTHERS = {
    "a.tif": ("grey", lambda file, image: tifffile.imwrite(file, image[..., 0])),
    "many.tif": ("many", write_planes),
    "a.npy": ("rgb", np.save),
    "cmyk.jpg": ("rgb", lambda file, image: Image.fromarray(image).convert("CMYK").save(file)),
    "grey.tif": ("rgb", lambda file, image: write_picture(file, image[..., 0])),
    "a.webp": ("grey", lambda file, image: Image.fromarray(image[..., 0]).save(file, lossless=True)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_file_travels_as_its_pixels(net_here, ask, tmp_path, name):
    kind, write = OTHERS[name]
    file = tmp_path / name
    write(file, picture(kind, 31, 47))
    own, here = ask(kind), net_here(kind, read_image(file))
    for given in (file, file.read_bytes()):
        assert same_labels(own.predict(given), here)
        last = own._transport.asked[-1][-1]
        if own.url.startswith("grpc") or kind == "many":
            assert isinstance(last, np.ndarray)
        else:
            assert last[0].startswith(b"\x89PNG")
        assert np.abs(own.probabilities(given) - here).max() <= 1e-5


def test_numbers_of_16_bits_travel_as_png_over_rest(ask, protocol):
    own = ask("deep")
    own.predict(picture("deep", 20, 30))
    assert own._transport.asked[0][1] == {"rest": "encoded", "grpc": "serving_default"}[protocol]


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_picture_is_cut_and_its_mask_is_that_of_the_whole(nets, net_here, ask, kind):
    image = picture(kind, 91, 133)
    place = {"label": "stable"} if kind == "grey" else {}
    own = ask(kind, bundle=nets.bundles[kind], max_pixels=6000, **place)
    here = net_here(kind, image)
    assert same_labels(own.predict(image), here)
    assert np.abs(own.probabilities(image) - here).max() <= 1e-5
    sizes = [value.shape for _, signature, value in own._transport.asked if signature != "encoded"]
    assert len(own._transport.asked) > 4
    assert all(height * width <= 6000 for _, height, width, _ in sizes)
    assert {which.version for which, *_ in own._transport.asked} == {1}  # one for all parts


def test_a_version_that_the_bundle_does_not_have_may_be_deeper(nets, ask):
    own = ask("grey", bundle=nets.bundles["grey"], max_pixels=6000)  # the bundle knows version 1 alone, 2 answers
    with pytest.raises(InputError, match="net of 6 poolings"):
        own.predict(picture("grey", 91, 133))


def test_what_travels_as_a_png_is_not_cut_for_the_numbers_that_json_carries(nets, net_here, ask, protocol):
    own, image = ask("rgb", bundle=nets.bundles["rgb"]), picture("rgb", 91, 133)
    own._transport.most_values = 3 * 6000
    here = net_here("rgb", image)
    assert same_labels(own.predict(image), here)
    count = len(own._transport.asked)
    assert (count == 1) == (protocol == "rest")
    assert np.abs(own.probabilities(image) - here).max() <= 1e-5
    assert all(value[..., 0].size <= 6000 for _, _, value in own._transport.asked[count:])


@pytest.mark.parametrize("kind", ["grey", "rgb"])
def test_without_a_bundle_it_is_cut_as_for_a_deeper_net_and_said(net_here, ask, protocol, kind, monkeypatch, caplog):
    monkeypatch.setattr(client, "DEEPEST", 3)
    image = picture(kind, 150, 140)
    own = ask(kind, max_pixels=20_000)
    here = net_here(kind, image)
    assert same_labels(own.predict(image), here)
    sent = [value for _, _, value in own._transport.asked]
    assert len(sent) > 1
    images = [one[0] if protocol == "grpc" else cv2.imdecode(np.frombuffer(one[0], np.uint8), -1) for one in sent]
    times = sum(one.shape[0] * one.shape[1] for one in images) / (150 * 140)
    own.predict(image[:, :134])
    words = f"up to 3 poolings, with 56 px around each part: {times:.1f} times the pixels of the image are computed"
    assert [words in one.getMessage() for one in caplog.records if one.name == "unet_tf"] == [True]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", range(client.DEEPEST + 1))
def test_the_parts_of_the_deepest_net_serve_every_other(depth, padding):
    own, deepest = Geometry(depth, padding), Geometry(client.DEEPEST, "same")
    assert deepest.halo >= own.halo
    assert deepest.halo % own.stride == deepest.stride % own.stride == 0


def test_a_picture_that_is_refused_as_too_large_is_cut(nets, net_here, ask, tmp_path):
    image = picture("grey", 520, 400)
    assert image.size > PIXELS
    file = tmp_path / "large.png"
    write_picture(file, image)
    here = net_here("grey", image)
    own = ask("grey", bundle=nets.bundles["grey"], version=1)
    assert same_labels(own.predict(file), here)
    assert own.max_pixels < PIXELS
    count = len(own._transport.asked)
    assert same_labels(own.predict(file), here)  # it has learnt what the server takes
    assert len(own._transport.asked) - count == count - 1


@pytest.mark.parametrize("code", ["DEADLINE_EXCEEDED", "INVALID_ARGUMENT"])
def test_a_picture_that_fails_does_not_make_later_ones_fail(net_here, ask, code):
    own, image = ask("grey"), picture("grey", 20, 30)
    predict = own._transport.predict

    def refuse(*_):
        raise RequestError(
            code, "No answer within 120 s. Send a smaller picture, or later.", code != "DEADLINE_EXCEEDED"
        )

    own._transport.predict = refuse
    for _ in range(20):
        with pytest.raises(RequestError, match="Send a smaller picture, or later"):
            own.predict(as_png(image))
    own._transport.predict = predict
    assert same_labels(own.predict(as_png(image)), net_here("grey", image))


@pytest.mark.parametrize("given", [as_png, lambda image: image], ids=["file", "pixels"])
def test_a_body_that_was_slow_once_does_not_cut_later_pictures(nets, net_here, ask, given):
    own, image = ask("grey", bundle=nets.bundles["grey"], version=1), picture("grey", 300, 400)
    limit, predict, sizes = own.max_pixels, own._transport.predict, []

    def after(*arguments):
        sent = arguments[3]  # pixels, or by REST a file of PNG
        sent = sent if isinstance(sent, np.ndarray) else cv2.imdecode(np.frombuffer(sent[0], np.uint8), 0)
        sizes.append(sent.size)
        return predict(*arguments)

    def refuse(*_):
        own._transport.predict = after
        raise RequestError("DEADLINE_EXCEEDED", "The body comes too slowly.", too_large=True)

    own._transport.predict = refuse
    assert same_labels(own.predict(given(image)), net_here("grey", image))
    assert max(sizes) < image.size  # this one is cut
    assert own.max_pixels == limit


def test_a_picture_that_is_late_is_not_asked_for_again(ask):
    own = ask("grey")
    asked, limit = [], own.max_pixels

    def refuse(*arguments):
        asked.append(arguments)
        raise RequestError("DEADLINE_EXCEEDED", "No answer within 120 s. Send a smaller picture, or later.")

    own._transport.predict = refuse
    for given in (as_png(picture("grey", 20, 30)), picture("grey", 20, 30)):
        with pytest.raises(RequestError):
            own.predict(given)
    assert len(asked) == 2
    assert own.max_pixels == limit


def test_a_connection_has_ten_seconds_at_most(connect):
    for timeout, expected in ((120, 10), (3, 3)):
        found = connect("http://a", timeout=timeout)._transport._client.timeout
        assert (found.connect, found.read, found.write) == (expected, timeout, timeout)


def test_what_no_part_is_small_enough_for_is_refused_in_words(nets, ask):
    own = ask("grey", max_pixels=10_000)
    with pytest.raises(InputError, match=r"must hold 960x960 px.*net of 6 poolings; it may hold 10000.*\(bundle\)"):
        own.predict(picture("grey", 120, 120))
    own = ask("many", most=100, bundle=nets.bundles["many"])
    with pytest.raises(RequestError, match="Too much"):
        own.predict(picture("many", 120, 120))


def test_what_the_net_is_comes_from_the_server_once(ask):
    own = ask("many", version=1)
    found = own.metadata()
    assert (found.version, found.channels, found.pixel_type, found.num_classes) == (1, 4, "float32", 3)
    assert found.signatures["serving_default"].outputs == {"mask": TensorSpec("uint8", (None, None, None))}
    assert own.metadata() is found
    assert ask("grey").metadata().version == 2
    assert ask("grey", label="stable").metadata().version == 1
    assert ask("grey").pinned().which == Which("grey", 2)


@pytest.fixture
def nobody(protocol):
    """An address where nobody listens: nobody else gets the port meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"{'http' if protocol == 'rest' else 'grpc'}://127.0.0.1:{held.getsockname()[1]}"


def test_ready_says_whether_the_net_answers(nets, protocol, connect, nobody):
    assert connect(nets.url(protocol), "grey").ready()
    own = connect(nets.url(protocol), "grey", label="stable")
    assert own.ready()
    own.close()
    assert not own.ready()  # closed
    for wrong in ({"model": "no"}, {"model": "grey", "version": 9}, {"model": "grey", "label": "no"}):
        assert not connect(nets.url(protocol), **wrong).ready()
    assert not connect(nobody, "grey").ready()


@pytest.mark.parametrize(
    "wrong, code, words",
    [
        ({"model": "no?ä"}, "NOT_FOUND", "Check the name of the model"),
        ({"model": "../no?/ä"}, "(NOT_FOUND|INVALID_ARGUMENT)", "."),
        ({"model": "grey", "version": 9}, "NOT_FOUND", "9"),
        ({"model": "grey", "label": "x/y"}, "(NOT_FOUND|INVALID_ARGUMENT)", "."),
    ],
)
def test_what_the_server_does_not_have_is_said_in_its_words_at_once(nets, protocol, wrong, code, words, connect):
    waited = []
    own = connect(nets.url(protocol), **wrong, backoff=Backoff(3, wait=waited.append))
    with pytest.raises(RequestError, match=f"{own.url} refuses the request, {code}.*{words}"):
        own.predict(picture("grey", 20, 20))
    assert waited == []


def test_nobody_there_is_said_after_all_tries(nobody, connect):
    waited = []
    own = connect(nobody, backoff=Backoff(3, chance=lambda: 0.0, wait=waited.append))
    with pytest.raises(RequestError, match=f"{own.url} must be a server that answers; .*unet-tf serve") as told:
        own.metadata()
    assert waited == [0.25, 0.5, 1.0]
    assert told.value.code == "UNAVAILABLE"


def test_a_server_that_says_nothing_is_late(protocol, connect):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        scheme = "http" if protocol == "rest" else "grpc"
        own = connect(f"{scheme}://127.0.0.1:{one.getsockname()[1]}", timeout=0.2, retries=0)
        with pytest.raises(RequestError) as told:
            own.metadata()
        assert told.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
        own.close()


@pytest.fixture
def answers():
    """A server of HTTP that gives these answers one after the other, and its address."""
    given, seen = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body, *leads_to = given.pop(0)
            if status is None:  # hangs up
                return
            self.send_response(status)
            for address in leads_to:
                self.send_header("Location", address)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield given, seen, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def metadata(channels=1, classes=2):
    def tensor(kind, *sizes):
        return {"dtype": f"DT_{kind}", "tensor_shape": {"dim": [{"size": str(size)} for size in sizes]}, "name": "x:0"}

    image = {"image": tensor("UINT8", -1, -1, -1, channels)}
    mask, probabilities = tensor("UINT8", -1, -1, -1), tensor("FLOAT", -1, -1, -1, classes)
    signatures = {
        "serving_default": {"inputs": image, "outputs": {"mask": mask}},
        "probabilities": {"inputs": image, "outputs": {"probabilities": probabilities}},
    }
    found = {"signature_def": {"signature_def": signatures}}
    return json.dumps({"model_spec": {"name": "unet", "version": "4"}, "metadata": found}).encode()


def test_what_passes_is_tried_again_and_nothing_else(answers, connect):
    given, seen, url = answers
    waited = []
    own = connect(url, backoff=Backoff(9, chance=lambda: 0.0, wait=waited.append))
    given += [(503, b"{}"), (429, b'{"error": "full"}'), (502, b"<html>"), (None, b""), (200, metadata())]
    assert own.metadata().version == 4
    assert len(seen) == 5
    assert waited == [0.25, 0.5, 1.0, 2.0]
    for status in (400, 404, 413, 500, 301):
        own, seen[:] = connect(url, backoff=Backoff(9, wait=waited.append)), []
        given.append((status, b'{"error": "No.  Not\\nso."}'))
        with pytest.raises(RequestError, match=r"refuses the request, [A-Z_]+: No. Not so\. "):
            own.metadata()
        assert (len(seen), len(waited)) == (1, 4)


@pytest.mark.parametrize(
    ("leads_to", "remedy"),
    [("/own/v1/models/unet/metadata", "Give https://b:8/own."), ("/login", "Give what lies behind it.")],
)
def test_the_address_that_a_proxy_leads_to_is_said(answers, connect, leads_to, remedy):
    given, _, url = answers
    given.append((301, b"<html>", f"https://me:secret@b:8{leads_to}"))
    with pytest.raises(InputError, match=f"^{url} must be the .* it leads to https://b:8{leads_to}. {remedy}$"):
        connect(url, retries=0).metadata()
    given.append((500, b""))
    with pytest.raises(RequestError, match=r"INTERNAL: HTTP 500\. Its log says why\.$"):
        connect(url, retries=0).metadata()


@pytest.mark.parametrize(("status", "is_cut"), [(408, True), (413, True), (504, False)])
def test_a_body_that_comes_too_slowly_is_one_that_is_too_large(answers, connect, status, is_cut):
    given, _, url = answers
    given.append((status, b'{"error": "No."}'))
    with pytest.raises(RequestError) as told:
        connect(url, retries=0).metadata()
    assert told.value.too_large == is_cut


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"model_spec": {"version": "x"}}', b"null", b"\xff"])
def test_another_answer_than_tf_serving_s_is_said(answers, body, connect):
    given, _, url = answers
    given.append((200, body))
    with pytest.raises(InputError, match="must answer as TF Serving does"):
        connect(url, retries=0).metadata()


def test_another_net_than_ours_is_said(answers, connect):
    given, _, url = answers
    given.append((200, metadata(channels=-1)))
    with pytest.raises(InputError, match="A net of unet-tf must be served"):
        connect(url, retries=0).metadata()


def test_a_bundle_must_be_the_one_that_is_served(nets, protocol, connect):
    own = connect(nets.url(protocol), "grey", bundle=nets.bundles["many"])
    with pytest.raises(InputError, match="takes 4 channels of float32 and gives 3 classes.*1 of uint8 and 3"):
        own.metadata()


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros((20, 20), np.uint16), "holds uint16 pixels"),
        (np.zeros((20, 20, 2), np.uint8), "has 2 channels"),
        (np.zeros((0, 20), np.uint8), r"must be \(H, W\)"),
        (np.zeros((1, 20, 20, 1), np.uint8), r"must be \(H, W\)"),
        (b"no picture", "The picture"),
        (b"", "The picture"),
    ],
)
def test_a_picture_that_the_net_does_not_take_is_refused_here(ask, image, words):
    own = ask("grey")
    with pytest.raises(InputError, match=words):
        own.predict(image)
    assert own._transport.asked == []


def test_a_file_that_is_missing_damaged_or_a_stack_is_refused(ask, tmp_path):
    own = ask("grey")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        own.predict(tmp_path / "none.png")
    write_picture(tmp_path / "a.png", picture("grey", 40, 40))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"a.png .* is not a complete picture"):
        own.predict(tmp_path / "a.png")
    write_stack(tmp_path / "s.tif", [np.zeros((9, 9), np.uint8)] * 3)
    with pytest.raises(InputError, match="One picture must be given; .*s.tif holds 3"):
        own.predict(tmp_path / "s.tif")


def test_what_is_not_finite_is_refused(ask):
    image = picture("many", 20, 20)
    image[3, 3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        ask("many").predict(image)


def test_probabilities_that_are_not_finite_are_refused(ask):
    own = ask("many")
    own._transport.predict = lambda *asked: np.full((1, 20, 20, 3), np.nan, np.float32)
    with pytest.raises(InputError, match="A net must give finite probabilities"):
        own.probabilities(picture("many", 20, 20))


@pytest.mark.parametrize(
    ("number", "words"),
    [(b"null", "A net must give finite probabilities"), (b"NaN", "A net must give finite probabilities"),
     (b'"a"', "must answer as TF Serving does"), (b"{}", "must answer as TF Serving does")],
)  # fmt: skip
def test_numbers_that_are_not_finite_are_told_from_those_of_another_server(answers, number, words, connect):
    given, _, url = answers
    given += [(200, metadata()), (200, b'{"outputs": [[[[%s, 0.5]]]]}' % number)]
    with pytest.raises(InputError, match=words):
        connect(url, retries=0).probabilities(np.zeros((1, 1), np.uint8))


def test_one_pixel_has_a_class(net_here, ask):
    image = picture("grey", 1, 1)
    assert same_labels(ask("grey").predict(image), net_here("grey", image))


def test_pixels_without_a_measurement_are_the_mean_with_the_bundle_and_said_without(
    nets, net_here, ask, tmp_path, caplog
):
    image = picture("many", 30, 30)
    image[:9] = -9999
    np.save(tmp_path / "a.npy", image)
    own = ask("many", bundle=nets.bundles["many"])
    mean = np.where(image == -9999, np.float32(0.5), image)
    here = net_here("many", mean)
    assert same_labels(own.predict(tmp_path / "a.npy"), here)
    assert caplog.records == []
    ask("many").predict(tmp_path / "a.npy")
    assert "holds pixels of -9999 that stand for no measurement" in caplog.text


def test_pixels_without_a_measurement_are_the_mean_of_the_version_that_answers(nets, ask, tmp_path):
    bundle = shutil.copytree(nets.bundles["many"], tmp_path / "bundle")
    own = ask("many", bundle=bundle)
    known = own.description.normalisation
    say_version(bundle, 2, normalisation=replace(known, mean=(0.25,) * 4))
    assert own.metadata().version == 1
    first, asked = own._transport.metadata, []

    def answer(which, signature, name, value, output):
        asked.append((which.version, value))
        return np.zeros((*value.shape[:3], 3), np.float32)

    own._transport.metadata = lambda which: replace(first(which), version=2)  # it came meanwhile
    own._transport.predict = answer
    image = picture("many", 30, 30)
    image[:9] = -9999
    np.save(tmp_path / "a.npy", image)
    own.probabilities(tmp_path / "a.npy")
    ((version, value),) = asked
    assert version == 2
    np.testing.assert_array_equal(value[0], np.where(image == -9999, np.float32(0.25), image))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"url": "localhost:8501"}, "http://HOST:8501"),
        ({"url": "ftp://a"}, "http://HOST:8501"),
        ({"url": "http://"}, "http://HOST:8501"),
        ({"url": "http://a:99999"}, "http://HOST:8501"),
        ({"url": "http://a", "version": 1, "label": "b"}, "not both"),
        ({"url": "http://a", "timeout": 0}, "timeout must be above 0"),
        ({"url": "http://a", "retries": -1}, "retries must be 0 or more"),
        ({"url": "http://a", "max_pixels": 0}, "max_pixels must be above 0"),
        ({"url": "http://a", "model": ""}, "must have a name"),
        ({"url": "https://a", "ca": "/none.pem"}, "none.pem cannot be used"),
        ({"url": "grpcs://a", "ca": "/none.pem"}, "none.pem cannot be used"),
        ({"url": "http://a", "bundle": "/none"}, "is no bundle"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        Client(**arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks://127.0.0.1:7890/"), ("ALL_PROXY", "127.0.0.1:a"), ("SSL_CERT_FILE", "/nowhere/ca.pem")],
)
def test_proxies_and_certificates_of_the_environment_that_cannot_be_used_are_said(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"of the environment .*{name}.* Mend or unset them\."):
        Client("http://127.0.0.1:1")


def test_a_password_is_in_no_message(connect):
    with pytest.raises(RequestError) as told:
        connect("http://me:secret@127.0.0.1:1/path", retries=0).metadata()
    assert "http://127.0.0.1:1/path must be" in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "package, url, module", [("httpx", "http://a", "rest_client"), ("grpc", "grpc://a", "grpc_client")]
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, package, url, module):
    monkeypatch.delitem(sys.modules, f"unet_tf.serving.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}: pip install 'unet-tf\[client\]'"):
        Client(url)


@pytest.mark.parametrize("package, url", [("httpx", "http://a"), ("httpx", "v2+http://a"), ("grpc", "grpc://a")])
def test_a_package_that_lacks_another_is_not_said_to_be_missing(monkeypatch, tmp_path, package, url):
    (tmp_path / f"{package}.py").write_text("import no_such_package")
    monkeypatch.delitem(sys.modules, package)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        Client(url)


def test_no_tensorflow_is_loaded(nets, tmp_path):
    write_picture(tmp_path / "a.png", picture("grey", 20, 20))
    code = (
        "import sys; from unet_tf.serving import Client\n"
        "for url in sys.argv[2:]:\n"
        "    with Client(url, 'grey') as client: print(client.predict(sys.argv[1]).shape)\n"
        "print([m for m in ('tensorflow', 'keras', 'tensorflow_serving', 'ai_edge_litert') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.png"), nets.http, nets.grpc],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("(20, 20)\n(20, 20)\n[]\n", "")


def test_threads_share_a_client(net_here, ask):
    own, images = ask("grey"), [picture("grey", 24, 31, seed) for seed in range(8)]
    found = [None] * len(images)

    def work(number):
        found[number] = own.predict(images[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(images))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for image, label in zip(images, found, strict=True):
        assert same_labels(label, net_here("grey", image))


def test_a_tensor_is_an_image():
    image = picture("grey", 5, 7)
    for given in (tf.constant(image[..., 0]), image.tolist()):
        found, _ = Given.of(given, ALL).read()
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("kind", ["grey", "rgb", "deep"])
def test_png_holds_the_pixels(kind, tmp_path):
    image = picture(kind, 5, 7)
    for order in "<>":
        (tmp_path / "a.png").write_bytes(as_png(image.astype(image.dtype.newbyteorder(order))))
        assert (read_image(tmp_path / "a.png") == image).all()
