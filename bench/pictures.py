"""Makes the pictures of the pages in docs/pictures anew, with the default model. Look at them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.server import serving
from tests.browser import Programs, installed_browser

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def main() -> None:
    """Make them, and print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file or a folder")
    options = parser.parse_args()
    browser = installed_browser()
    if browser is None:
        parser.error("Chromium is not installed")
    with tempfile.TemporaryDirectory() as folder, serving(str(options.model)) as server:
        Programs(Path(folder), browser).run("pictures", server.url, str(PICTURES))
    for picture in sorted(PICTURES.glob("*.png")):
        print(f"{picture.name}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
