import subprocess

import msgspec
import pytest

from minikin.catalog.sources.patches import patches
from minikin.errors import SetupError
from tests.catalog.pages.test_site import evidence_for, seed_catalog

FILE = """name = "GPT-4.1 mini"
tool_call = true
temperature = true

[limit]
tool_call = 1
context = 1_047_576
"""


def probed(**outcomes):
    """A catalog with a result for each capability."""
    found = evidence_for("verified")["openai/gpt-4.1-mini"]
    results = [
        msgspec.structs.replace(found.results[0], capability=name, outcome=outcome)
        for name, outcome in outcomes.items()
    ]
    return seed_catalog({"openai/gpt-4.1-mini": msgspec.structs.replace(found, results=results)})


def checkout(folder, text=FILE):
    file = folder / "providers" / "openai" / "models" / "gpt-4.1-mini.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_a_patch_applies_and_says_why(tmp_path):
    file = checkout(tmp_path)
    catalog = probed(tools="failed", structured_outputs="verified", temperature="inconclusive")
    (patch,) = patches(catalog, tmp_path)
    assert patch.startswith("openai/gpt-4.1-mini\n- tool_call is false: seen (failed, 2026-11-20")
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=tmp_path, check=True)
    assert file.read_text() == FILE.replace("tool_call = true", "tool_call = false").replace(
        "temperature = true\n", "temperature = true\nstructured_output = true\n"
    )
    assert list(patches(catalog, tmp_path)) == []


def test_what_agrees_or_is_not_there_needs_no_patch(tmp_path):
    checkout(tmp_path)
    assert list(patches(probed(tools="verified"), tmp_path)) == []
    (tmp_path / "other" / "providers").mkdir(parents=True)
    assert list(patches(probed(tools="failed"), tmp_path / "other")) == []


def test_what_a_server_refuses_is_false_in_a_patch(tmp_path):
    checkout(tmp_path, FILE.replace("temperature = true", "attachment = true"))
    (patch,) = patches(probed(attachments="absent"), tmp_path)
    assert "- attachment is false: seen (absent, 2026-11-20" in patch


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(SetupError, match="no folder providers"):
        list(patches(probed(tools="failed"), tmp_path))
    checkout(tmp_path, "name = ")
    with pytest.raises(SetupError, match="not valid TOML"):
        list(patches(probed(tools="failed"), tmp_path))
