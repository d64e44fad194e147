"""The built wheel in new environments: it has everything, and it serves. `make wheel-test`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from minikin.api.page.files import STATIC
from tests.processes import free_port
from tests.real_model import ROOT, default_model

pytestmark = pytest.mark.wheel

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PATIENCE = 600


def pythons() -> list[str]:
    """The programs in WHEEL_PYTHONS, or those on the path that work."""
    if given := os.environ.get("WHEEL_PYTHONS"):
        return given.split()
    found = [shutil.which(f"python{version}") for version in VERSIONS]
    return [path for path in found if path and not subprocess.run([path, "-c", ""]).returncode]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the files that the Docker image gets."""
    folder, context = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("context")
    for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines():
        if line.startswith("!"):
            copy = shutil.copytree if (ROOT / line[1:]).is_dir() else shutil.copy
            copy(ROOT / line[1:], context / line[1:])
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, context]
    subprocess.run(command, check=True, timeout=PATIENCE)
    [built] = folder.glob("minikin-*.whl")
    return built


@pytest.mark.timeout(3 * PATIENCE)
@pytest.mark.parametrize("python", pythons())
def test_the_wheel_serves(python: str, wheel: Path, tmp_path: Path):
    programs = tmp_path / "environment" / "bin"
    subprocess.run([python, "-m", "venv", programs.parent], check=True)
    install = [programs / "python", "-m", "pip", "install", "--quiet", wheel]
    subprocess.run(install, check=True, timeout=2 * PATIENCE)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # Without gcc, and with an empty cache, the kernels are those of the wheel.
    env |= {"PATH": str(programs), "MINIKIN_CACHE": str(tmp_path / "cache")}
    command = [programs / "minikin", "serve", default_model(), "--port", str(port)]
    server = subprocess.Popen(command, env=env, cwd=tmp_path)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _is_ready(url):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        doctor = [programs / "minikin", "doctor"]
        said = subprocess.run(doctor, env=env, capture_output=True, text=True, check=True).stdout
        assert ", from the package" in said
        assert "not installed (only a GPU" in said
        body = {
            "model": "gpt-4.1-mini",
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "temperature": 0,
        }
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE).json()
        assert "Paris" in answer["choices"][0]["message"]["content"]
        for file in (path for path in STATIC.rglob("*") if path.suffix in (".js", ".css")):
            path = file.relative_to(STATIC).as_posix()
            assert httpx.get(f"{url}/page/{path}").status_code == 200, path
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0


@pytest.mark.timeout(3 * PATIENCE)
@pytest.mark.parametrize(
    "command", [("pipx", "install"), ("uv", "tool", "install", "--python", sys.executable)]
)
def test_a_manager_of_programs_installs_it(command: tuple[str, ...], wheel: Path, tmp_path: Path):
    manager, *words = command
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", manager]
    subprocess.run(install, check=True, timeout=PATIENCE)
    programs = tmp_path / "programs"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(programs)}
    env |= {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(programs)}
    subprocess.run([venv / "bin" / manager, *words, wheel], env=env, check=True, timeout=PATIENCE)
    env |= {"PATH": "", "MINIKIN_CACHE": str(tmp_path / "cache")}
    doctor = [programs / "minikin", "doctor"]
    said = subprocess.run(doctor, env=env, capture_output=True, text=True, check=True).stdout
    assert ", from the package" in said


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False
