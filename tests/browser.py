"""Programs that drive the server's pages in a real Chromium: those in `tests/api/page/programs`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.client_packages import node, node_modules

PROGRAMS = Path(__file__).parent / "api" / "page" / "programs"
PACKAGES = ("playwright-core@1.65.1", "axe-core@4.14.1")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def installed_browser() -> str | None:
    """The path of a Chromium."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Programs:
    """The programs, beside the packages that they import, in `folder`.

    The first argument of each is the server's URL. Skips the test if npm cannot install the
    packages.
    """

    def __init__(self, folder: Path, browser: str) -> None:
        self._folder = folder
        self._browser = browser
        (folder / "node_modules").symlink_to(node_modules(PACKAGES))
        for program in PROGRAMS.iterdir():
            shutil.copy(program, folder)

    def run(self, name: str, url: str, *arguments: str) -> str:
        """What the program prints. It must end with status 0."""
        command = self._command(name, url, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, url: str, *arguments: str) -> subprocess.Popen[str]:
        """The running program, with pipes for its input and its output.

        It and its browser have the lowest priority, as if they ran on another machine.
        """
        pipe = subprocess.PIPE
        command = ["nice", "-n", "19", *self._command(name, url, *arguments)]
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def _command(self, name: str, url: str, *arguments: str) -> list[str]:
        return [str(node()), str(self._folder / f"{name}.mjs"), url, self._browser, *arguments]
