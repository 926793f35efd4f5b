"""The documents: the site builds without a warning, commands parse, code runs, links and pictures are there."""

import configparser
import inspect
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

import unet_tf
from unet_tf.cli.commands import VERBS, app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))}
TINY = "--base-filters 2 --depth 1 --padding same --tile 32 --batch-size 2 --epochs 1 --steps-per-epoch 2".split()
TINY += ["--optimizer", "sgd"]
COMMANDS = typer.main.get_command(app).commands
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$")
"""Stands before a block that no test runs, with the reason."""
RUN_ELSEWHERE = {
    "docs/edge.md": "files of a bundle: tests/edge",
    "docs/hub.md": "asks the Hub: tests/exporting",
    "docs/onnx.md": "files of a bundle: tests/exporting and tests/edge",
}
"""Pages whose Python needs more than data, a run and a picture."""
OF_OTHERS = {"cp", "curl", "docker", "kubectl", "mv", "npm"}
"""Programs whose arguments are not ours to check."""

sys.path.append(str(DOCS / "made"))


def blocks(page):
    """(language, text, words before it) of each fenced block of a page."""
    text, end = PAGES[page].read_text(encoding="utf-8"), 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        yield match[1], match[2], text[end : match.start()].rstrip()
        end = match.end()


def lines(block):
    """The commands of a block, a line each, without comments."""
    for line in block.replace("\\\n", " ").splitlines():
        parts = shlex.split(line, comments=True) if line.strip() else []
        if parts:
            yield parts


def commands(block):
    """The commands of `unet-tf` in a block, whatever stands before and behind them."""
    for line in block.replace("\\\n", " ").splitlines():
        if "unet-tf " in line:
            yield from lines(line[line.index("unet-tf ") :].split(" | ")[0])


def refused(arguments, missing=False):
    """What the command line says against these arguments of `unet-tf`; "" where it takes them."""
    verb, *rest = arguments
    command = COMMANDS.get(verb)
    if command is None:
        return f"no such verb: {verb}"
    try:
        given = command.make_context(verb, rest).params
        if verb == "train" and not missing and given["resume"] is None and None in (given["data"], given["out"]):
            return "a new run needs DATA and --out RUN"
    except Exception as error:  # of the parser, whose classes typer keeps to itself
        if not (missing and type(error).__name__ == "MissingParameter"):
            return str(error)
    return ""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return out


def test_the_site_builds_without_a_warning_and_links_to_no_other_server_for_its_parts(site):
    loaded = r'<(?:script|img|iframe)[^>]* src="([^"]*)"', r'<link[^>]* rel="(?:stylesheet|icon)"[^>]* href="([^"]*)"'
    parts = re.compile("|".join(loaded))
    for page in site.rglob("*.html"):
        found = {one or other for one, other in parts.findall(page.read_text(encoding="utf-8"))}
        assert not [address for address in found if address.startswith(("http:", "https:", "//"))], page


def test_every_page_is_in_the_navigation():
    def leaves(items):
        for item in items:
            for inside in item.values():
                yield from leaves(inside) if isinstance(inside, list) else [inside]

    listed = set(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert {path.name for path in DOCS.glob("*.md")} <= listed


def test_every_public_name_and_option_has_its_place(site):
    inside = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    assert [name for name in unet_tf.__all__ if f'id="unet_tf.{name}"' not in inside] == ["__version__"]
    for verb in VERBS:
        page = (site / "commands" / f"{verb}.html").read_text(encoding="utf-8")
        options = [name for param in COMMANDS[verb].params for name in param.opts]
        assert [name for name in options if name.startswith("-") and f"<code>{name}</code>" not in page] == [], verb


def test_a_room_whose_public_names_have_no_theme_is_named(monkeypatch):
    import reference

    monkeypatch.delitem(reference.THEMES, "Figures")
    with pytest.raises(KeyError, match=r"need a theme in reference.py: figures\."):
        reference.pages()


def test_the_page_of_errors_has_what_is_refused_and_what_is_warned_of():
    import errors

    code = """
def f(sizes, file, least):
    if sizes:
        raise InputError(f"A tile must have {least:.0f} px * 2; received {', '.join(map(str, sizes))}." " Go on.")
    log.warning(f"{file.name} is left out.")
    raise InputError(str(file))
"""
    assert errors.messages(code) == [
        ("refused", r"A tile must have ‹least› px \* 2; received ‹sizes›. Go on."),
        ("warned", "‹name› is left out."),
    ]
    page = errors.page()
    assert "have a border of ‹border› px; received ‹kind›." in page  # of a table of rules
    assert "All masks hold the same ids (‹shown›), each in" in page  # what a function returns
    assert "There must be 2 to 254 classes; received ‹number›." in page  # of a number that another module names
    assert "a region must have 2147483647 bytes at most" in page  # 2**31 - 1, as it is computed
    assert r"nothing says which colour is which class. List the colours in a file label\_colors.txt" in page
    assert "- whose mask is void all over <small>`planning.doctor`" in page
    assert "‹lone› without a mask ‹there›: ‹lone›." in page  # a problem of a folder
    assert "is not a legal tile size for depth ‹depth›" in page
    assert page.count("\n- ") > 700


def test_messages_that_are_passed_as_data_are_found():
    import errors

    code = """
LIMIT, REMEDY = 3, 1
RULE = "A tile must have pixels."
def first(kind):
    for holds, message in rules:
        raise InputError(message)
    rules = ((kind, f"The kind must be {kind}."), (1, RULE))
def second(found, findings):
    words = "Nothing was found here."
    if found:
        words = third(found)
    found.problems.append(words)
    findings.warnings += [f"{one} is a strange value" for one in found]
    raise Damage("it ends too soon") if found else Unread(words + " Go on.")
def third(found):
    return f"{found} lies in the way." if found else ""
"""
    assert dict.fromkeys(errors.messages(code)) == dict.fromkeys(
        [
            ("refused", "A tile must have pixels."),
            ("refused", "The kind must be ‹kind›."),
            ("refused", "Nothing was found here."),
            ("refused", "‹found› lies in the way."),
            ("warned", "‹one› is a strange value"),
            ("refused", "it ends too soon"),
        ]
    )


def test_links_written_for_the_repository_become_those_of_the_site():
    from hooks import within

    assert (
        within("[a](../benchmarks/predict.md#b) and [c](d.md)", "e.md") == "[a](benchmarks/predict.md#b) and [c](d.md)"
    )
    assert within("[a](docs/masks.md)", "CONTRIBUTING.md") == "[a](masks.md)"
    assert within("[a](../../docs/masks.md)", "export/edge/README.md") == "[a](../../masks.md)"
    assert within("[`a`](../LICENSE)", "e.md") == "[`a`](LICENSE)"
    for kept in ("`[a](../b.md)`", "```\n[a](../b.md)\n```", "[a](https://b.c)", "[a](#b)"):
        assert within(kept, "e.md") == kept


def test_pages_are_called_by_their_titles(site):
    import titles

    assert titles.titled("see `docs/exporting.md`, docs/masks.md and [x.md](y.md)", "docs/api") == (
        "see [Bundles](../exporting.md), [Masks](../masks.md) and [x.md](y.md)"
    )
    assert titles.titled("[objects.md](objects.md#scores)", "docs") == "[Objects that touch](objects.md#scores)"
    for kept in ("```\npython x > docs/exports.md\n```", "`docs/nothing.md`", "[a](docs/masks.md)"):
        assert titles.titled(kept, "") == kept
    for page in site.rglob("*.html"):
        words = re.sub(r"<pre.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.S)
        assert re.findall(r"(?<![\w/])docs/[a-z_]+\.md|>[a-z_]+\.md</a>", words) == [], page


def test_a_number_of_an_issue_begins_no_line_as_it_would_be_a_heading():
    for name, path in PAGES.items():
        begun = [line for line in path.read_text().splitlines() if re.match(r" *#+[^#\s!]", line)]
        assert begun == [], name


def test_formulas_are_drawn_and_dollars_of_shells_are_not():
    import formulas

    page = types.SimpleNamespace(meta={"math": True})
    words = formulas.aside("$x_1$ and\n\n$$ a * b $$\n\n`$HOME $b$` costs $5", page)
    assert words == "formula1elumrof and\n\nformula0elumrof\n\n`$HOME $b$` costs $5"
    assert formulas.back("<p>formula0elumrof</p>", page).startswith(
        '<p><math xmlns="http://www.w3.org/1998/Math/MathML"'
    )
    other = types.SimpleNamespace(meta={})
    assert formulas.aside("$x$", other) == "$x$"


def test_a_notebook_becomes_a_page_with_its_outputs_and_without_badges():
    import notebooks

    outputs = [
        {"output_type": "stream", "name": "stderr", "text": ["I0000 a device"]},
        {"output_type": "stream", "name": "stdout", "text": ["3\n"]},
        {"data": {"image/png": "aGk=\n", "text/plain": ["<Figure>"]}},
        {"data": {"text/plain": "<Figure size 1x1>"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "[![b](https://c.d/e.svg)](https://c.d) words"]},
        {"cell_type": "code", "source": ["print(3)"], "outputs": outputs},
        {"cell_type": "code", "source": [], "outputs": []},
    ]
    image = '<img alt="output" src="data:image/png;base64,aGk=">'
    page = f"# A\n words\n\n```python\nprint(3)\n```\n\n```text\n3\n```\n\n{image}\n"
    assert notebooks.markdown({"cells": cells}) == page


def test_search_works_from_a_file_and_nothing_is_asked_of_a_server(site, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.locator(".md-search__input").click()
    page.keyboard.type("temperature")
    page.locator(".md-search-result__item").first.wait_for()
    assert {address.split(":")[0] for address in asked} <= {"file", "about", "data"}
    assert said == []


@pytest.mark.parametrize("name", "index failures maths peers commands/train api/net errors gallery".split())
def test_a_page_fits_a_phone(site, browser, name):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(120_000)
    page.goto((site / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_readme_is_short_and_its_links_lead_somewhere():
    text = PAGES["README.md"].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    local = {target for target in targets if not target.startswith("http")}
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_each_picture_is_shown_and_small():
    shown = "".join(path.read_text(encoding="utf-8") for path in PAGES.values())
    for picture in (DOCS / "pictures").iterdir():
        assert f"pictures/{picture.name}" in shown, picture
        assert picture.stat().st_size < 120_000, picture


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_that_the_program_takes(page):
    text = PAGES[page].read_text(encoding="utf-8")
    fenced = [parts for _, block, _ in blocks(page) for parts in commands(block)]
    indented = [shlex.split(line, comments=True) for line in re.findall(r"^    (unet-tf .+)$", text, re.M)]
    spans = [shlex.split(span) for span in re.findall(r"`(unet-tf [^`\n]+)`", text)]
    assert [(parts, said) for parts in fenced + indented if (said := refused(parts[1:]))] == []
    assert [(parts, said) for parts in spans if (said := refused(parts[1:], missing=True))] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_else_a_shell_block_calls_exists_or_says_why_it_is_not_run(page):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = set(setup["options.extras_require"])
    named = re.findall(r"unet-tf\[([\w,-]+)\]", PAGES[page].read_text(encoding="utf-8"))
    assert {extra for names in named for extra in names.split(",")} <= extras
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for language, block, before in blocks(page):
        if language not in ("sh", "bash") or NOT_RUN.search(before):
            continue
        for parts in lines(block):
            program, *rest = [part for part in parts if not re.match(r"[A-Z_]+=", part)]
            known = {
                "unet-tf": True,
                "pip": rest[:1] == ["install"],
                "make": set(rest) <= targets,
                "python": rest[:1] == ["-c"] or rest[:1] == ["-m"] or (ROOT / rest[0]).is_file(),
            }
            assert program in OF_OTHERS or known.get(program), parts


WITH_PYTHON = [page for page in PAGES if any(language == "python" for language, *_ in blocks(page))]


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page not in RUN_ELSEWHERE])
def test_python_blocks_run(page, cells, own_run, tmp_path, monkeypatch):
    """Those of a page one after the other. `train` and `export`, which take long, are held to their signatures."""

    def trained(*arguments, **settings):
        inspect.signature(unet_tf.training.train.train).bind(*arguments, **settings)
        return own_run

    def exported(*arguments, **settings):
        inspect.signature(unet_tf.exporting.export.export).bind(*arguments, **settings)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unet_tf, "train", trained)
    monkeypatch.setattr(unet_tf, "export", exported)
    (tmp_path / "DATA").symlink_to(cells)
    (tmp_path / "runs").mkdir()
    for place in ("RUN", "runs/cells"):
        (tmp_path / place).symlink_to(own_run.path)
    image, instances = unet_tf.generate_cells(96, 128, seed=1)
    for place in ("a.png", "image.png"):
        cv2.imwrite(place, image)
    colours = np.array([[128, 64, 128], [0, 0, 255]], np.uint8)  # RGB
    cv2.imwrite("a_mask.png", colours[(instances > 0).astype(int)][..., ::-1])
    names = {}  # a page imports what it uses
    for language, block, before in blocks(page):
        if language == "python" and not NOT_RUN.search(before):
            exec(compile(block, page, "exec"), names)


@pytest.mark.slow
def test_the_way_of_getting_started_leads_to_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marked = [block for _, block, before in blocks("docs/start.md") if before.endswith("<!-- run -->")]
    steps = [parts for block in marked for parts in lines(block)]
    assert [parts[1] for parts in steps] == "-c check train train evaluate predict export verify".split()
    for program, *rest in steps:
        if program == "python":
            exec(rest[1].replace("24", "4").replace("})", "}, size=96)"), {})
            continue
        tiny = TINY if rest[0] == "train" and "--resume" not in rest else []
        loose = ["--max-iou-drop", "1", "--variants", "float32"] if rest[0] == "export" else []
        done = CliRunner().invoke(app, rest + tiny + loose, catch_exceptions=False)
        assert done.exit_code == 0, (rest, done.output)
    assert len(list((tmp_path / "masks").glob("*.png"))) == 8  # four masks, four overlays
    assert (tmp_path / "bundles" / "vessels" / "model_float32.tflite").is_file()


def test_the_lines_of_code_beside_the_formulas_are_those_of_the_code():
    quoted = re.findall(r"`([^`]+)` in `(unet_tf/[\w/]+\.py)`", PAGES["docs/maths.md"].read_text(encoding="utf-8"))
    assert len(quoted) > 10
    for code, file in quoted:
        assert code in (ROOT / file).read_text(encoding="utf-8"), (code, file)
