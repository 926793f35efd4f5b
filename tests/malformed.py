"""Requests that are wrong, made here, each with the status that it must get: `from malformed import cases`."""

import json
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from kinds_of_files import png_of
from servers import b64, picture, png

V1, V2, PAGE = "/v1/models/unet:predict", "/v2/models/unet/infer", "/page/models/unet/segment"
BAD, LARGE, ABSENT = (400,), (413,), (404,)


@dataclass(frozen=True)
class Case:
    """What is sent, and the statuses of which one must come."""

    name: str
    raw: bytes
    statuses: tuple[int, ...]


def http(method, path, body=b"", headers=()):
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin1") + b"\r\n\r\n" + body


def post(path, body, headers=()):
    return http("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


def jpeg_of(width, height):
    content = bytearray(cv2.imencode(".jpg", picture())[1].tobytes())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def bmp_of(width, height):
    content = bytearray(cv2.imencode(".bmp", picture())[1].tobytes())
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def tiff_of(width, height):
    """A TIFF file whose pixels are not there."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 9)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)


def encoded(*files):
    return {"signature_name": "encoded", "instances": list(files)}


def tensor(**changes):
    return {"inputs": [{"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": [0, 1, 2, 3]} | changes]}


def of_json():
    """JSON that is none, or says what it should not."""
    rng = np.random.default_rng(5)
    good = json.dumps({"signature_name": "serving_default", "instances": picture(side=8)[None].tolist()}).encode()
    for at in rng.choice(len(good) - 1, 25, replace=False):
        yield f"JSON cut at {at}", post(V1, good[:at]), BAD
        yield f"JSON with a zero at {at}", post(V1, good[:at] + b"\0" + good[at:]), BAD
    for at in range(11):
        yield f"V2 JSON cut at {at}", post(V2, json.dumps(tensor()).encode()[: 9 * at]), BAD
    for depth in (70, 900, 1100, 100_000):
        nested = b"[" * depth + b"1" + b"]" * depth
        yield f"{depth} lists", post(V1, b'{"instances": ' + nested + b"}"), BAD
        yield f"{depth} lists in V2", post(V2, json.dumps(tensor()).encode().replace(b"[0, 1, 2, 3]", nested)), BAD
        yield f"{depth} objects", post(V1, b'{"a": ' * depth + b"1" + b"}" * depth), BAD
    odd = [None, True, 1, -1, 1.5, 1e300, "a", "a" * 1_000_000, [], {}, [[]], {"b64": 3}, {"b64": "A" * 5}, 2**70]
    for one in odd:
        yield f"instances {str(one)[:9]}", post(V1, {"instances": one}), BAD
        yield f"a row {str(one)[:9]}", post(V1, {"instances": [one]}), BAD
        yield f"a pixel {str(one)[:9]}", post(V1, {"instances": [[[[one]], [[1]] * 1000]]}), BAD
        if not isinstance(one, str) and one != [] and one != {}:
            yield f"a file {str(one)[:9]}", post(V1, encoded(one)), BAD
    for number in (b"NaN", b"Infinity", b"1e999", b"0x1", b"01", b"+1", b".5"):
        yield f"number {number}", post(V1, b'{"instances": [[[[' + number + b"]]]]}"), BAD
    yield "a long text among many numbers", post(V1, {"instances": [["a" * 1_000_000, *[1] * 100_000]]}), BAD
    yield "and in V2", post(V2, tensor(data=["a" * 1_000_000, *[1] * 100_000])), BAD
    yield "a key twice, the last no list", post(V1, b'{"instances": [1], "instances": 1}'), BAD
    yield "no UTF-8", post(V1, b'{"instances": ["\xff\xfe"]}'), BAD
    yield "half a surrogate", post(V1, b'{"signature_name": "\\ud800", "instances": [1]}'), BAD
    yield "UTF-16", post(V1, '{"instances": [1]}'.encode("utf-16")), BAD
    yield "gzip", post(V1, zlib.compress(good), ["Content-Encoding: gzip"]), (415,)


def of_pictures():
    """Base64 that is none, and files that are no pictures, cut, or declare what they do not hold."""
    for text in ("!", "A", "AA=A", "AAAA\n=", "é", "A" * 4097, "====", "AAA\0", " ", "data:image/png;base64,AAAA"):
        yield f"base64 {text[:9]!r}", post(V1, encoded({"b64": text})), BAD
        one = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [text]}
        yield f"V2 base64 {text[:9]!r}", post(V2, {"inputs": [one]}), BAD
    for kind in ("png", "jpg", "bmp"):
        whole = cv2.imencode(f".{kind}", picture())[1].tobytes()
        for part in (0, 1, 2, 4, 16, 26, 54, len(whole) // 2, len(whole) - 12, len(whole) - 1):
            yield f"{kind} cut at {part}", post(V1, encoded(b64(whole[:part]))), BAD
    for name, file in (
        ("PNG", png_of(30_000, 30_000)), ("JPEG", jpeg_of(65_000, 65_000)), ("BMP", bmp_of(30_000, 30_000)),
        ("16-bit PNG", png_of(9_000, 9_000, 16)), ("largest PNG", png_of(2**31 - 1, 2**31 - 1, 16, 6)),
        ("tall PNG", png_of(1, 2**31 - 1)), ("BMP upside down", bmp_of(30_000, -30_000)),
    ):  # fmt: skip
        yield f"bomb {name}", post(V1, encoded(b64(file))), LARGE
        one = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [b64(file)["b64"]]}
        yield f"bomb {name} in V2", post(V2, {"inputs": [one]}), LARGE
        yield f"bomb {name} on the page", post(PAGE, file), LARGE
    yield "bomb TIFF on the page", post(PAGE, tiff_of(30_000, 30_000)), BAD  # which 122 bytes cannot hold
    yield "TIFF without its pixels", post(PAGE, tiff_of(30, 30)), BAD
    for name, file in (
        ("2000 x 2000 of one byte", png_of(2_000, 2_000)), ("no width", png_of(0, 9)), ("no height", png_of(9, 0)),
        ("in colour", png(np.dstack([picture(), picture(1), picture(2)]))),
        ("16 bits", png(picture().astype(np.uint16))),
        ("GIF", b"GIF89a\x01\0\x01\0\0\0\0;"), ("text", b"hello"), ("BM", b"BM"), ("II", b"II"), ("MM", b"MM\0*"),
    ):  # fmt: skip
        yield f"picture {name}", post(V1, encoded(b64(file))), BAD
        yield f"picture {name} on the page", post(PAGE, file), BAD
    good = png(picture())
    yield "many pictures, too many pixels", post(V1, encoded(*[b64(png_of(1_000, 1_000))] * 5)), LARGE
    yield "a bad picture after a good one", post(V1, encoded(b64(good), b64(good[:60]))), BAD
    yield "too many pixels", post(V1, {"instances": np.zeros((1, 1025, 1024, 1), int).tolist()}), LARGE
    yield "an unknown model on the page", post("/page/models/other/segment", good), ABSENT
    yield "a model without pictures on the page", post("/page/models/maths/segment", good), BAD
    yield "no picture on the page", post(PAGE, b""), BAD


def of_sizes():
    """V2 whose sizes lie."""
    odd = [-1, 1.5, "1", None, True, [], {}, 2**31, 2**63, 2**64, 1e300]
    for one in odd:
        yield f"size {one}", post(V2, tensor(shape=[1, 2, one, 1])), BAD
        yield f"shape {one}", post(V2, tensor(shape=one)), BAD
        if one is not None:
            yield f"binary_data_size {one}", post(V2, tensor(parameters={"binary_data_size": one})), BAD
        yield f"datatype {one}", post(V2, tensor(datatype=one)), BAD
        yield f"name {one}", post(V2, tensor(name=one)), BAD
    for shape in ([], [4], [1] * 70, [0], [2**31 - 1] * 4, [0, 2**31 - 1, 2**31 - 1, 1], [1, 0, 4, 1], [4, 1, 1, 2]):
        yield f"shape {shape}"[:30], post(V2, tensor(shape=shape)), BAD
    head = json.dumps(tensor(data=None, parameters={"binary_data_size": 4})).encode()
    for length in ("-1", "", "x", "1e3", "9" * 40, "٣", str(len(head) + 5), str(len(head) - 1), "0"):
        raw = post(V2, head + b"abcd", [f"Inference-Header-Content-Length: {length}"] if length != "٣" else [])
        yield f"header length {length[:9]!r}", raw, BAD
    for tail in (b"", b"abc", b"abcde"):
        yield f"{len(tail)} bytes", post(V2, head + tail, [f"Inference-Header-Content-Length: {len(head)}"]), BAD
    for lengths in ((2**32 - 1,), (5, 1), (0, 2**31), (3,)):
        tail = b"".join(struct.pack("<I", one) for one in lengths) + b"abcde"[: 4 if lengths == (3,) else 5]
        one = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(tail)}}
        head = json.dumps({"inputs": [one]}).encode()
        raw = post(V2, head + tail, [f"Inference-Header-Content-Length: {len(head)}"])
        yield f"texts of {lengths}", raw, BAD


def of_http():
    """What is no HTTP, or no path or method of the server."""
    good = json.dumps({"instances": [[[[1]]]]}).encode()
    for length in ("-1", "x", "1e3", "0x10", "1, 2", "", "99999999999999999999999"):
        statuses = (400, 413)
        head = f"POST {V1} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        yield f"Content-Length {length!r}", head.encode() + good, statuses
    head = f"POST {V1} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
    yield "two lengths", head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + good, BAD
    yield "length and chunks", head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD
    for chunks in (
        b"x\r\n",
        b"-1\r\nab\r\n",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"f" * 30 + b"\r\n",
        b"5;" + b"a" * 70_000 + b"\r\n",
    ):
        yield f"chunks {chunks[:9]}", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, (400, 408)
    yield "another encoding", head + b"Transfer-Encoding: gzip\r\n\r\n" + good, (400, 501)
    yield "a declared body of 5 MB", post(V1, bytes(5 << 20)), LARGE
    chunks = (b"100000\r\n" + bytes(1 << 20) + b"\r\n") * 5
    yield "a chunked body of 5 MB", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", LARGE
    yield "a long header", http("GET", "/v2", headers=["A: " + "a" * 70_000]), (400, 431)
    yield "many headers", http("GET", "/v2", headers=[f"A{number}: a" for number in range(9_000)]), (400, 431)
    yield "a long path", http("GET", "/" + "a" * 70_000), (400, 414, 431)
    for name, raw in (
        ("no version", b"GET /\r\n\r\n"), ("version 3", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"), ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("zero in a header", b"GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"),
        ("noise", bytes(range(256)) + b"\r\n\r\n"), ("header without a colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n"),
        ("a space in the path", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a header folded", b"GET / HTTP/1.1\r\n A: a\r\nHost: a\r\n\r\n"),
        ("gRPC on HTTP's port", b"PRI * HTTP/2.0\r\n\r\n"),
    ):  # fmt: skip
        yield name, raw, (400, 505)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        for path in ("/", V1, V2, PAGE, "/v1/models/unet", "/metrics"):
            yield f"{method} {path}", http(method, path), (405,)
    for path in (V2, PAGE):
        yield f"GET {path}", http("GET", path), (405,)
    yield "CONNECT", b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (400, 404, 405)


def of_paths():
    """Names that lead elsewhere."""
    tricks = (
        "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "%252e%252e%252fetc%252fpasswd", "....//....//etc/passwd", "..%5c..%5cetc%5cpasswd",
        "..%c0%af..%c0%afetc/passwd",
        "page.css%00.png", "%00", "./page.css/../../server.py", "page.js/..", "/etc/passwd", "static/../../models.py",
        "~root", "C:%5cwindows", "index.html.bak", "%ff%fe", "a" * 5_000, "..;/..;/etc/passwd", "file:///etc/passwd",
        "bundle.json", "saved_model/1/saved_model.pb",
    )  # fmt: skip
    for trick in tricks:
        for prefix in ("/", "/page/", "/page/models/", "/v1/models/", "/v1/models/unet/versions/", "/v2/models/"):
            yield f"GET {prefix}{trick[:40]}", http("GET", prefix + trick), (400, 404, 405)
        yield f"POST {trick[:40]}", post(f"/v1/models/{trick}:predict", {"instances": [1]}), (400, 404, 405)
    for version in ("-1", "1.0", "9" * 30, "%31x", "²", "0x1", " 1"):
        text = version.replace(" ", "%20").replace("²", "%C2%B2")
        yield f"version {version[:9]}", post(f"/v1/models/unet/versions/{text}:predict", {"instances": [1]}), (400, 404)
        yield f"V2 version {version[:9]}", post(f"/v2/models/unet/versions/{text}/infer", tensor()), (400, 404)


def cases():
    """All of them, always the same, each name once."""
    found = {}
    for source in (of_json, of_pictures, of_sizes, of_http, of_paths):
        for name, raw, statuses in source():
            found[f"{source.__name__} {name} {zlib.crc32(raw):08x}"] = raw, statuses
    return [Case(name, *rest) for name, rest in found.items()]
