"""What the page offers is what the server accepts."""

from __future__ import annotations

import httpx

from minikin.api.request.parameters import EXTENSIONS, PARAMETERS
from tests.fakes import settings


def offer(server) -> dict:
    return httpx.get(f"{server.url}/playground.json").json()


def by_name(server) -> dict:
    return {control["name"]: control for control in offer(server)["controls"]}


def test_a_control_has_the_range_and_the_default_of_its_rule(shared_server):
    temperature = by_name(shared_server)["temperature"]
    number, null = temperature["schema"]["anyOf"]
    assert (number["minimum"], number["maximum"]) == (0, 2)
    assert null == {"type": "null"}
    assert temperature["default"] == 1.0


def test_every_control_is_a_parameter_of_the_server(shared_server, serve):
    controls = by_name(shared_server)
    plain = {name for name, control in controls.items() if not control["is_extension"]}
    assert {"temperature", "top_p", "seed", "stop", "logit_bias", "max_completion_tokens"} <= plain
    assert plain <= {parameter.name for parameter in PARAMETERS}
    assert set(controls) - plain <= {parameter.name for parameter in EXTENSIONS}
    assert set(controls) > plain
    opened = by_name(serve(extensions=True))
    assert not any(control["is_extension"] for control in opened.values())


def test_the_limit_of_an_answer_is_the_servers(serve):
    limit = by_name(serve(default_max_tokens=77))["max_completion_tokens"]
    assert limit["default"] == 77


def test_a_model_shows_its_names_its_window_and_its_own_defaults(serve):
    from msgspec.structs import replace

    model = replace(settings().models[0], known_sampling={"temperature": 0.2})
    (shown,) = offer(serve(models=(model,)))["models"]
    assert shown["id"] == "tiny"
    assert "gpt-4.1-mini" in shown["names"]
    assert shown["context_length"] == 4096
    assert shown["sampling"] == {"temperature": 0.2}
