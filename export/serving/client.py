"""Send a picture file to TF Serving, write the mask that comes back. Python's own library alone.

Usage: python client.py image.png mask.png [--url http://localhost:8501/v1/models/unet]
"""

import argparse
import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 120
"""Within which the server must take the picture, and answer."""


def segment(picture: bytes, url: str) -> bytes:
    """PNG, JPEG or BMP file -> PNG file of class ids.

    Raises:
        RuntimeError: the server is not there, refuses the picture, with its words, or gives no mask.
    """
    body = {"signature_name": "encoded", "instances": [{"b64": base64.b64encode(picture).decode()}]}
    try:
        with urllib.request.urlopen(f"{url}:predict", json.dumps(body).encode(), timeout=SECONDS) as answer:
            (prediction,) = json.load(answer)["predictions"]
        return base64.b64decode(prediction["b64"], validate=True)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"The server refuses: {error.read().decode(errors='replace')}") from error
    except urllib.error.URLError as error:
        raise RuntimeError(f"No server answers at {url}: {error.reason}. Start it with docker compose up.") from error
    except TimeoutError as error:
        raise RuntimeError(f"{url} must answer within {SECONDS} s, and did not. Send a smaller picture.") from error
    except (ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        raise RuntimeError(f"{url} must answer as TF Serving does; it does not ({error!r}). Check --url.") from error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send a picture file to TF Serving, write the mask that comes back.")
    parser.add_argument("image", type=Path, help="PNG, JPEG or BMP")
    parser.add_argument("mask", type=Path, help="PNG of class ids to write")
    parser.add_argument("--url", default="http://localhost:8501/v1/models/unet", help="of the model")
    arguments = parser.parse_args()
    try:
        if arguments.mask.exists() and arguments.mask.samefile(arguments.image):
            raise RuntimeError(f"{arguments.mask} would be written over by its mask. Choose another name for the mask.")
        arguments.mask.write_bytes(segment(arguments.image.read_bytes(), arguments.url))
    except (OSError, RuntimeError) as error:
        sys.exit(f"Error: {error}")
