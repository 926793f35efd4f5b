"""LiteRT.js comes from where the user's settings say and is the one that is pinned, or it is said what to do."""

import base64
import hashlib
import io
import stat
import tarfile

import pytest

from unet_tf.errors import InputError
from unet_tf.exporting import web_runtime
from unet_tf.exporting.web_runtime import PACKAGES, PLACE, Package, cache, fetch_runtime, fetched, write_runtime


def archive(**content):
    """The bytes of an archive of npm."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            made.addfile(member, io.BytesIO(text))
    return file.getvalue()


CORE = archive(**{
    "package/dist/index.js": b'import { a } from "@litertjs/wasm-utils";\nexport { a };\n//# sourceMappingURL=a.map\n',
    "package/wasm/a.wasm": b'\0asm"@litertjs/wasm-utils"',
})  # fmt: skip
UTILS = archive(**{"package/dist/index.js": b"export const a = 1;\n"})


def pinned(name, content, files):
    return Package(name, base64.b64encode(hashlib.sha512(content).digest()).decode(), files)


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Two small packages in place of the real ones, an empty cache, and no npm."""
    two = (
        pinned("@litertjs/core", CORE, {"package/dist/index.js": "litert.js", "package/wasm/a.wasm": "a.wasm"}),
        pinned("@litertjs/wasm-utils", UTILS, {"package/dist/index.js": "wasm-utils.js"}),
    )
    monkeypatch.setattr(web_runtime, "PACKAGES", two)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(PLACE, raising=False)
    (tmp_path / "bin").mkdir()
    return two


def npm(folder, script):
    """A program named npm."""
    path = folder / "bin" / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_archives_are_fetched_by_npm_once(packages, tmp_path):
    for package, content in zip(packages, (CORE, UTILS), strict=True):
        (tmp_path / package.archive).write_bytes(content)
    npm(tmp_path, f'echo "$@" >> {tmp_path}/asked\n/bin/cp {tmp_path}/*.tgz "$5"')
    for folder in ("first", "second"):
        write_runtime(tmp_path / folder, fetch_runtime())
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[:3] for line in asked] == [
        ["pack", "@litertjs/core@2.5.3", "--silent"],
        ["pack", "@litertjs/wasm-utils@2.5.3", "--silent"],
    ]
    assert sorted(path.name for path in cache().iterdir()) == [one.archive for one in packages]


def test_scripts_name_the_files_beside_them_and_nothing_else_is_changed(packages, tmp_path, monkeypatch):
    for package, content in zip(packages, (CORE, UTILS), strict=True):
        (tmp_path / package.archive).write_bytes(content)
    monkeypatch.setenv(PLACE, str(tmp_path))
    write_runtime(tmp_path / "out", fetch_runtime())
    script = (tmp_path / "out" / "litert.js").read_text()
    assert script.splitlines() == [
        "// Changed by unet_tf: the import of @litertjs/wasm-utils names its file, and no source map is named.",
        'import { a } from "./wasm-utils.js";',
        "export { a };",
    ]
    assert (tmp_path / "out" / "a.wasm").read_bytes() == b'\0asm"@litertjs/wasm-utils"'


def test_without_npm_it_is_said_what_to_do(packages):
    words = (
        "npm, which fetches it, is not installed. Run npm pack @litertjs/core@2.5.3 and npm pack "
        f"@litertjs/wasm-utils@2.5.3 where there is a network, .*{PLACE}=FOLDER"
    )
    with pytest.raises(InputError, match=words):
        fetched(packages[0])


def test_a_cache_that_cannot_be_written_is_named(packages, tmp_path):
    (tmp_path / "cache").write_text("a file")
    npm(tmp_path, "exit 1")
    with pytest.raises(InputError, match="Cannot write .*litertjs-core-2.5.3.tgz: Not a directory"):
        fetched(packages[0])


def test_what_npm_says_is_told_and_nothing_is_kept(packages, tmp_path):
    npm(tmp_path, "echo npm error network unreachable >&2\nexit 1")
    with pytest.raises(InputError, match="npm could not fetch @litertjs/core 2.5.3: npm error network unreachable"):
        fetched(packages[0])
    npm(tmp_path, "exit 0")
    with pytest.raises(InputError, match="npm could not fetch @litertjs/core 2.5.3: no word"):
        fetched(packages[0])
    assert list(cache().iterdir()) == []


@pytest.mark.parametrize("place", ["npm", "cache", "folder"])
def test_another_archive_is_refused_wherever_it_comes_from(packages, tmp_path, monkeypatch, place):
    name = packages[0].archive
    if place == "npm":
        (tmp_path / name).write_bytes(UTILS)
        npm(tmp_path, f'/bin/cp {tmp_path}/*.tgz "$5"')
    elif place == "cache":
        cache().mkdir(parents=True)
        (cache() / name).write_bytes(CORE[:-1])
    else:
        (tmp_path / name).write_bytes(b"")
        monkeypatch.setenv(PLACE, str(tmp_path))
    with pytest.raises(InputError, match="is damaged or another version: its SHA-512 must be .*; it is .*"):
        fetched(packages[0])
    assert place == "cache" or not list(tmp_path.glob("cache/**/*.tgz"))


def test_a_folder_without_the_archive_is_said(packages, tmp_path, monkeypatch):
    monkeypatch.setenv(PLACE, str(tmp_path))
    with pytest.raises(InputError, match=f"{PLACE} names a folder that must hold litertjs-core-2.5.3.tgz; {tmp_path}"):
        fetched(packages[0])


def test_the_real_ones_are_named_as_npm_names_them():
    assert [one.archive for one in PACKAGES] == ["litertjs-core-2.5.3.tgz", "litertjs-wasm-utils-2.5.3.tgz"]
