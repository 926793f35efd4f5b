"""A page in Chromium, held to what every page keeps: no error, no request, no serious finding of axe, no overflow."""

import base64
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe

PHONE, DESK = 390, 1280


@contextmanager
def opened(browser, path, width=DESK, **context):
    """Open the file of a page; at the end nothing may have been asked for, and no error said."""
    with browser.new_context(viewport={"width": width, "height": 900}, **context) as own:
        own.set_default_timeout(120_000)
        page, said, asked = own.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.resolve().as_uri())
        yield page
        assert said == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


EVENTS = {
    "drop": "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})",
    "paste": "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})",
}
"""Ways in which a picture comes to a page, beside the button."""


def give(page, way, name, content):
    """Drop or paste a PNG file."""
    page.evaluate(
        f"""([name, text]) => {{
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], name, {{type: "image/png"}}));
            document.dispatchEvent({EVENTS[way]});
        }}""",
        [name, base64.b64encode(content).decode()],
    )


def overflow(page):
    """Pixels by which a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def serious(page):
    """The serious and critical findings of axe: (rule, the first element)."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
