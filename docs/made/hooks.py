"""What MkDocs calls: pages made of the code, pages from elsewhere in the repository, and formulas."""

import posixpath
import re
from pathlib import Path

import errors
import formulas
import reference
import titles
import verbs
from mkdocs.structure.files import File

import notebooks

ROOT = Path(__file__).parents[2]
COPIED = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "benchmarks/*.*", "export/*/*.*", "notebooks/*.ipynb")
"""Files of the repository that documents link to and the site holds too, by the paths that they have there."""


def made() -> dict[str, str]:
    """Each page that is made of the code, by its address."""
    return verbs.pages() | reference.pages() | notebooks.pages() | {"errors.md": errors.page()}


def on_config(config):
    """Put the pages that are made into the navigation."""
    sections = {
        "Commands": verbs.navigation(),
        "Python": reference.navigation(),
        "Notebooks": notebooks.navigation(),
        "Benchmarks": [
            {path.stem.replace("_", " ").capitalize(): f"benchmarks/{path.name}"}
            for path in sorted(ROOT.glob("benchmarks/*.md"))
        ],
    }
    config.nav = _filled(config.nav, sections)
    return config


def on_files(files, config):
    """Add what is made, and what lies beside docs/."""
    for address, content in made().items():
        files.append(File.generated(config, address, content=content))
    for path in copied():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links that leave docs/ to where the site has their files, and set formulas aside."""
    return formulas.aside(within(markdown, page.file.src_uri), page)


def on_page_content(html, page, config, files):
    """Put the formulas back, as MathML, and let wide tables scroll."""
    html = formulas.back(html, page)
    return html.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")


def copied() -> list[str]:
    """The paths of `COPIED`, from the root of the repository."""
    found = {path for pattern in COPIED for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def within(markdown: str, address: str) -> str:
    """A page whose links, written for the repository, are those of the site, where docs/ is the root."""
    outside = not (ROOT / "docs" / address).exists() and any((ROOT / address).parent.glob(f"{Path(address).stem}.*"))
    here = posixpath.dirname(address if outside else f"docs/{address}")

    def turned(match: re.Match) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or ":" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(here, target))
        moved = posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(address) or ".")
        return f"[{match['text']}]({moved}{'#' if anchor else ''}{anchor})"

    markdown = titles.titled(markdown, here)
    parts = re.split(r"(^```.*?^```|`[^`\n]+`(?!\]))", markdown, flags=re.M | re.S)
    link = re.compile(r"\[(?P<text>[^\[\]]*(?:\[[^\]]*\][^\[\]]*)?)\]\((?P<target>[^()\s]+)\)")
    return "".join(part if number % 2 else link.sub(turned, part) for number, part in enumerate(parts))


def _filled(items, sections):
    """The navigation with these sections filled."""
    filled = []
    for item in items:
        ((title, inside),) = item.items()
        if isinstance(inside, list):
            filled.append({title: sections[title] if title in sections else _filled(inside, sections)})
        else:
            filled.append(item)
    return filled
