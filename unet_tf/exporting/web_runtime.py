"""LiteRT.js, which computes nets in browsers: fetched by the user's own npm, checked, kept in the user's cache."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unet_tf.errors import InputError
from unet_tf.utils.files import refusal, replacing

PLACE = "UNET_TF_WEB_RUNTIME"
"""The environment variable that names a folder of archives, for machines without npm or a network."""
VERSION = "2.5.3"


@dataclass(frozen=True)
class Package:
    """A package of npm, pinned.

    Attributes:
        name: its own.
        sha512: of its archive, in base64, as npm writes it.
        files: those that are needed of it -> their names here.
    """

    name: str
    sha512: str
    files: dict[str, str]

    @property
    def archive(self) -> str:
        """The name that `npm pack` gives its archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{VERSION}.tgz"


_WASM = [f"litert_wasm_{kind}_internal.{suffix}" for kind in ("threaded", "compat") for suffix in ("js", "wasm")]
PACKAGES = (
    Package(
        "@litertjs/core",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        {"package/dist/index.js": "litert.js"} | {f"package/wasm/{name}": name for name in _WASM},
    ),
    Package(
        "@litertjs/wasm-utils",
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        {"package/dist/index.js": "wasm-utils.js"},
    ),
)
CHANGED = "// Changed by unet_tf: the import of @litertjs/wasm-utils names its file, and no source map is named.\n"


def write_runtime(folder: Path, archives: Sequence[Path]) -> None:
    """Write the files of LiteRT.js that a page needs into a new folder.

    Args:
        folder: to be made.
        archives: what `fetch_runtime` gave.
    """
    folder.mkdir()
    for package, path in zip(PACKAGES, archives, strict=True):
        with tarfile.open(path) as archive:
            for inside, name in package.files.items():
                member = archive.extractfile(inside)
                content = b"" if member is None else member.read()
                if inside.startswith("package/dist/"):
                    content = _without_node(content)
                folder.joinpath(name).write_bytes(content)


def _without_node(script: bytes) -> bytes:
    """A module whose imports are files beside it: browsers look up no packages."""
    text = script.decode().replace('from "@litertjs/wasm-utils"', 'from "./wasm-utils.js"')
    return (CHANGED + "\n".join(line for line in text.splitlines() if not line.startswith("//# source"))).encode()


def fetch_runtime() -> list[Path]:
    """Find the archives of all packages, as `fetched` finds each."""
    return [fetched(package) for package in PACKAGES]


def fetched(package: Package) -> Path:
    """Find the archive of a package: in the folder that `UNET_TF_WEB_RUNTIME` names, in the cache, or by npm.

    Raises:
        InputError: it is nowhere, or not the one that is pinned.
    """
    if named := os.environ.get(PLACE):
        path = Path(named) / package.archive
        if not path.is_file():
            raise InputError(f"{PLACE} names a folder that must hold {package.archive}; {named} does not. {_by_hand()}")
        return _checked(path, package, f"Fetch it again: {_command(package)}")
    path = cache() / package.archive
    if not path.is_file():
        _pack(package, path)
    return _checked(path, package, f"Remove {path} and give the same command again.")


def cache() -> Path:
    """The user's folder of what can be fetched again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "unet_tf" / "web"


def _pack(package: Package, path: Path) -> None:
    """Let npm fetch an archive, by the user's own settings."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"--web needs {package.archive}, and npm, which fetches it, is not installed. {_by_hand()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(path, error) from error
    with tempfile.TemporaryDirectory(prefix="unet_tf_") as name:
        command = [npm, "pack", f"{package.name}@{VERSION}", "--silent", "--pack-destination", name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=name, errors="replace")
        found = Path(name) / package.archive
        if done.returncode or not found.is_file():
            why = ((done.stderr or done.stdout).strip().splitlines() or ["no word"])[-1]
            raise InputError(f"npm could not fetch {package.name} {VERSION}: {why}. {_by_hand()}")
        with replacing(path) as temporary:
            shutil.copyfile(_checked(found, package, "Look at the registry that npm is set to."), temporary)


def _checked(path: Path, package: Package, remedy: str) -> Path:
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise InputError(
            f"{path} is damaged or another version: its SHA-512 must be {package.sha512}; it is {digest}. {remedy}",
            path,
        )
    return path


def _command(package: Package) -> str:
    return f"npm pack {package.name}@{VERSION}"


def _by_hand() -> str:
    return (
        f"Run {' and '.join(map(_command, PACKAGES))} where there is a network, put both files into a folder, and name "
        f"it: {PLACE}=FOLDER."
    )
