"""A stand-in of the Hugging Face Hub in this process: the part of its HTTP interface that huggingface_hub calls.

It keeps repositories of models as commits in memory. Large files come by the LFS protocol, all others within the
commit; Xet storage, which the Hub has too, is switched off in the tests.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"
LARGE = re.compile(r".*\.(keras|h5|tflite|onnx|pb|zip)|saved_model/.*")


@dataclass
class Repository:
    """Commits, the last one newest: oid and files of each."""

    private: bool
    commits: list = field(default_factory=list)

    def files(self, revision):
        """(oid, files) of a revision; None where there is none."""
        if revision == "main":
            return self.commits[-1]
        return next((one for one in self.commits if one[0] == revision), None)

    def commit(self, files):
        """Add a commit; give its oid."""
        words = f"{len(self.commits)}{sorted((name, hashlib.sha1(own).hexdigest()) for name, own in files.items())}"
        oid = hashlib.sha1(words.encode()).hexdigest()
        self.commits.append((oid, files))
        return oid


@dataclass
class Hub:
    """What the stand-in holds, and what was asked of it.

    Attributes:
        url: of the server.
        repositories: by name.
        large: contents that came by LFS, by SHA-256.
        asked: method and path of each request.
        fail: maps a request to a status that it is to be answered with.
    """

    url: str = ""
    repositories: dict = field(default_factory=dict)
    large: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    fail: object = lambda method, path: None

    def holds(self, name, revision="main"):
        """The files of a repository."""
        return self.repositories[name].files(revision)[1]

    def uploads(self):
        """How many files came by LFS."""
        return sum(method == "PUT" for method, _ in self.asked)


def git_oid(content):
    """The name of a file in Git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers of one request; `hub` is set on the class that `serve` makes."""

    hub: Hub

    def log_message(self, *args):
        """Be quiet."""

    def do_GET(self):
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self):
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        if status := self.hub.fail(self.command, path):
            return self._error(status, "told to fail")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in ("", WRITER, READER):
            return self._error(401, "Invalid username or password.")
        for route, function in ROUTES:
            if found := re.fullmatch(route, path):
                if function in WRITING and token != WRITER:
                    words = "You don't have the rights to create a model under this namespace"
                    return self._error(403 if token else 401, words)
                return function(self, content, *found.groups())
        return self._error(404, "no such path")

    def _repository(self, name):
        found = self.hub.repositories.get(name)
        if found is None or (found.private and self.headers.get("Authorization") != f"Bearer {WRITER}"):
            self._error(404 if self.headers.get("Authorization") else 401, "Repository not found", "RepoNotFound")
            return None
        return found

    def create(self, content):
        asked = json.loads(content)
        name = f"{asked['organization']}/{asked['name']}"
        url = f"{self.hub.url}/{name}"
        if name in self.hub.repositories:
            return self._json({"url": url, "error": "You already created this model repo"}, 409)
        made = self.hub.repositories[name] = Repository(
            asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        made.commit({".gitattributes": b"*.keras filter=lfs diff=lfs merge=lfs -text\n"})
        return self._json({"url": url, "name": name, "id": name})

    def info(self, content, name, revision="main"):
        if (repository := self._repository(name)) is None:
            return None
        if (found := repository.files(revision or "main")) is None:
            return self._error(404, "Invalid rev id", "RevisionNotFound")
        siblings = [{"rfilename": one} for one in sorted(found[1])]
        return self._json(
            {
                "_id": "1",
                "id": name,
                "modelId": name,
                "sha": found[0],
                "siblings": siblings,
                "private": repository.private,
                "tags": [],
            }
        )

    def tree(self, content, name, revision):
        if (repository := self._repository(name)) is None:
            return None
        if (found := repository.files(revision)) is None:
            return self._error(404, "Invalid rev id", "RevisionNotFound")
        return self._json([self._entry(one, own) for one, own in sorted(found[1].items())])

    @staticmethod
    def _entry(name, content):
        entry = {"type": "file", "path": name, "size": len(content), "oid": git_oid(content)}
        if LARGE.fullmatch(name):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def preupload(self, content, name, revision):
        if (repository := self._repository(name)) is None:
            return None
        there = repository.files(revision)[1]
        files = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if LARGE.fullmatch(one["path"]) else "regular",
                "shouldIgnore": False,
                "oid": self._oid(one["path"], there),
            }
            for one in json.loads(content)["files"]
        ]
        return self._json({"files": files})

    @staticmethod
    def _oid(name, there):
        if name not in there:
            return None
        return hashlib.sha256(there[name]).hexdigest() if LARGE.fullmatch(name) else git_oid(there[name])

    def batch(self, content, name):
        objects = []
        for one in json.loads(content)["objects"]:
            there = one["oid"] in self.hub.large
            actions = {} if there else {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}
            objects.append({"oid": one["oid"], "size": one["size"], **actions})
        return self._json({"transfer": "basic", "objects": objects})

    def put(self, content, oid):
        if hashlib.sha256(content).hexdigest() != oid:
            return self._error(400, "other content than was said")
        self.hub.large[oid] = content
        return self._send(200, b"", {})

    def commit(self, content, name, revision):
        if (repository := self._repository(name)) is None:
            return None
        oid, files = repository.files(revision)
        files = dict(files)
        for line in content.splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "header" and value.get("parentCommit", oid) != oid:
                return self._error(412, "A commit has happened since. Please refresh and try again.")
            if one["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif one["key"] == "deletedFile":
                del files[value["path"]]
        made = repository.commit(files)
        return self._json({"success": True, "commitOid": made, "commitUrl": f"{self.hub.url}/{name}/commit/{made}"})

    def resolve(self, content, name, revision, path):
        if (repository := self._repository(name)) is None:
            return None
        if (found := repository.files(revision)) is None:
            return self._error(404, "Invalid rev id", "RevisionNotFound")
        oid, files = found
        if path not in files:
            return self._error(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": oid})
        name = hashlib.sha256(files[path]).hexdigest() if LARGE.fullmatch(path) else git_oid(files[path])
        return self._send(200, files[path], {"X-Repo-Commit": oid, "ETag": f'"{name}"'})

    def validate(self, content):
        import yaml

        head = json.loads(content)["content"].split("---\n")[1]
        errors = [] if isinstance(yaml.safe_load(head), dict) else [{"message": "no metadata"}]
        return self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def _json(self, value, status=200):
        return self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status, words, code="", headers=None):
        named = {"X-Error-Message": words} | ({"X-Error-Code": code} if code else {}) | (headers or {})
        return self._send(status, json.dumps({"error": words}).encode(), named)

    def _send(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


NAME = r"([^/]+/[^/]+)"
ROUTES = (
    ("/api/repos/create", Handler.create),
    ("/api/validate-yaml", Handler.validate),
    (rf"/api/models/{NAME}", Handler.info),
    (rf"/api/models/{NAME}/revision/(.+)", Handler.info),
    (rf"/api/models/{NAME}/tree/(.+)", Handler.tree),
    (rf"/api/models/{NAME}/preupload/(.+)", Handler.preupload),
    (rf"/api/models/{NAME}/commit/(.+)", Handler.commit),
    (rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("/lfs/([0-9a-f]{64})", Handler.put),
    (rf"/{NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
)
WRITING = (Handler.create, Handler.preupload, Handler.commit, Handler.batch)


@contextmanager
def served():
    """A stand-in on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def talk_to(monkeypatch, url, cache, token=WRITER):
    """Let huggingface_hub talk to a stand-in, with a cache and a token of the test."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HOME", str(cache))
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
