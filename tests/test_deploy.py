"""The files of deploy/ name only commands, options, variables and files that exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup

from minikin.catalog.probe_command import probe
from minikin.cli import app
from minikin.cli.cluster import deployment
from minikin.cli.configuration import PREFIX, commands_of, options_of
from minikin.cli.switches import command_of
from minikin.cluster.run import ENVIRONMENT
from tests.real_model import ROOT

DEPLOY = ROOT / "deploy"


def known() -> tuple[dict[str, set[str]], set[str]]:
    """The options of each command, and all variables."""
    root = command_of(app)
    assert isinstance(root, TyperGroup)
    options = {"": {name for option in options_of(root) for name in option.opts}}
    variables = {f"{PREFIX}_CONFIG"}
    for name, command in commands_of(root).items():
        options[name] = {text for option in options_of(command) for text in option.opts}
        for option in options_of(command):
            variables.add(f"{PREFIX}_{name}_{option.name}".upper())
            variables |= {option.envvar} if isinstance(option.envvar, str) else set()
    return options, variables


def check_words(words: list[str]) -> None:
    """Every option in `words` is one of its command's."""
    options, _ = known()
    command = ""
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options[command]
        elif not command and word in options:
            command = word
    assert command == "serve"


def instructions(name: str) -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_the_image_starts_the_server_as_a_user_of_its_own():
    check_words([*json.loads(instructions("ENTRYPOINT")[0]), *json.loads(instructions("CMD")[0])])
    assert instructions("USER") == ["minikin"]
    _, variables = known()
    named = set(re.findall(rf"{PREFIX}_\w+", " ".join(instructions("ENV"))))
    assert named
    assert named <= variables


def test_the_image_gets_what_the_wheel_needs():
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, wheel = described["project"], described["tool"]["hatch"]["build"]["targets"]["wheel"]
    hooks = [hook["path"] for hook in wheel["hooks"].values()]
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for name in ("pyproject.toml", project["readme"], *project["license-files"], "src", *hooks):
        assert f"!{name}" in kept
        assert (ROOT / name).exists()


def test_the_image_has_a_wheel_with_kernels():
    _, build, image = (DEPLOY / "Dockerfile").read_text().split("\nFROM ")
    assert "install --yes --no-install-recommends gcc" in build.partition("pip wheel")[0]
    assert "gcc" not in image


def test_the_image_asks_a_server_that_lives(shared_server):
    code = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])[2]
    for url, lives in ((shared_server.url, True), ("http://127.0.0.1:1", False)):
        asked = code.replace("http://127.0.0.1:8000", url)
        assert asked != code
        run = subprocess.run([sys.executable, "-c", asked], capture_output=True)
        assert (run.returncode == 0) is lives


def test_compose_starts_a_server_and_its_database():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    minikin, database = services["minikin"], services["database"]
    check_words(minikin["command"])
    assert (DEPLOY / minikin["build"]["context"] / minikin["build"]["dockerfile"]).is_file()
    assert minikin["environment"]["PGPASSWORD"] == database["environment"]["POSTGRES_PASSWORD"]
    assert minikin["depends_on"]["database"]["condition"] == "service_healthy"
    assert "healthcheck" in database


def _as_ray_reads(config: dict) -> dict:
    with warnings.catch_warnings(action="ignore"):  # Ray's own use of Pydantic
        from ray.serve.schema import ServeDeploySchema

        return ServeDeploySchema.model_validate(config).model_dump(exclude_unset=True)


def check_application(config: dict) -> None:
    """The options of a file for Ray Serve are those of `minikin cluster`."""
    (application,) = config["applications"]
    if importlib.util.find_spec("ray"):
        read = _as_ray_reads(config)
        assert read == config, "Ray skips what it does not know"
    assert application["import_path"] == f"{deployment.__module__}:{deployment.__name__}"
    options, _ = known()
    assert {f"--{name.replace('_', '-')}" for name in application["args"]} <= options["cluster"]


def test_the_file_for_ray_serve_has_options_of_the_cluster():
    check_application(yaml.safe_load((DEPLOY / "serve.yaml").read_text()))


def test_each_pod_of_the_cluster_has_the_environment_of_ray():
    cluster = yaml.safe_load((DEPLOY / "rayservice.yaml").read_text())["spec"]
    check_application(yaml.safe_load(cluster["serveConfigV2"]))
    groups = cluster["rayClusterConfig"]
    pods = [group["template"]["spec"] for group in groups["workerGroupSpecs"]]
    pods.append(groups["headGroupSpec"]["template"]["spec"])
    _, variables = known()
    for pod in pods:
        (container,) = pod["containers"]
        values = {each["name"]: each.get("value") for each in container["env"]}
        assert values.items() >= ENVIRONMENT.items()
        assert {name for name in values if name.startswith(PREFIX)} <= variables
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


KUBERAY = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"serveConfigV2", "rayClusterConfig"},
    "cluster": {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"},
    "head": {"rayStartParams", "template"},
    "worker": {
        "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template",
    },
}  # fmt: skip
"""The fields of a RayService (`ray.io/v1`) that the manifest uses: KubeRay's
`ray-operator/apis/ray/v1/rayservice_types.go` and `raycluster_types.go`."""


def test_the_manifest_has_fields_of_kuberay():
    manifest = yaml.safe_load((DEPLOY / "rayservice.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayService")
    cluster = manifest["spec"]["rayClusterConfig"]
    found = {"": manifest, "spec": manifest["spec"], "cluster": cluster}
    found["head"] = cluster["headGroupSpec"]
    (found["worker"],) = cluster["workerGroupSpecs"]
    assert {name: set(value) for name, value in found.items()} == KUBERAY
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert cluster["rayVersion"] == pinned[1]
    for group in (found["head"], found["worker"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_image_for_the_cluster_has_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [(DEPLOY / name).read_text() for name in ("Dockerfile", "rayservice.yaml")]
    named = re.findall(r"(?:ARG|--build-arg) EXTRAS=(\S+)", " ".join(texts))
    assert len(named) == 2
    assert {*",".join(named).split(",")} <= {*project["optional-dependencies"]}


def test_the_workflow_for_probes_has_options_of_the_command():
    (job,) = yaml.safe_load((DEPLOY / "probe.yml").read_text())["jobs"].values()
    (line,) = [step["run"] for step in job["steps"] if "minikin probe" in step.get("run", "")]
    words = shlex.split(line)
    app = typer.Typer()
    app.command()(probe)
    options = {name for option in options_of(command_of(app)) for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= options
    assert "--fail-on-regression" in words
    named = {word.strip("$") for word in words if word.startswith("$")} | {"PROBE_KEY"}
    assert named <= job["env"].keys()
    assert words[words.index("--api-key-env") + 1] == "PROBE_KEY"


def unit_lines(name: str) -> list[str]:
    lines = (DEPLOY / "minikin.service").read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_the_unit_starts_the_server():
    check_words(shlex.split(unit_lines("ExecStart")[0]))
    _, variables = known()
    named = re.findall(rf"{PREFIX}_\w+", " ".join(unit_lines("Environment")))
    assert set(named) <= variables


def test_systemd_accepts_the_unit(tmp_path: Path):
    verify = shutil.which("systemd-analyze") or pytest.skip("systemd is not installed")
    unit = tmp_path / "minikin.service"
    text = (DEPLOY / "minikin.service").read_text()
    unit.write_text(text.replace("/opt/minikin/bin/minikin", "/bin/true"))
    run = subprocess.run([verify, "verify", unit], capture_output=True, text=True)
    complaints = [line for line in run.stderr.splitlines() if "minikin.service" in line]
    assert complaints == []
