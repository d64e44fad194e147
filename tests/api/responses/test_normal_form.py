from minikin.api.responses import normal_form

OPTIONAL = {"type": "object", "properties": {"a": {"type": "string"}}}
FREE = {"type": "object", "properties": {"a": {"type": "object"}}}


def tool(**fields):
    return {"type": "function", "name": "f", **fields}


def test_a_tool_is_shown_with_all_its_fields_in_order():
    (shown,) = normal_form.tools([tool(parameters=OPTIONAL, description="")])
    assert list(shown) == ["type", "description", "name", "parameters", "strict"]
    assert shown["description"] is None
    assert shown["strict"] is True
    assert shown["parameters"]["required"] == ["a"]


def test_a_free_map_is_not_strict():
    (shown,) = normal_form.tools([tool(parameters=FREE)])
    assert (shown["parameters"], shown["strict"]) == (FREE, False)


def test_stated_strictness_changes_no_schema():
    for strict in (True, False):
        (shown,) = normal_form.tools([tool(parameters=OPTIONAL, strict=strict)])
        assert (shown["parameters"], shown["strict"]) == (OPTIONAL, strict)


def test_only_stated_strictness_is_checked_as_such():
    given = [tool(parameters=OPTIONAL), tool(parameters=OPTIONAL, strict=True)]
    first, second = (entry["function"] for entry in normal_form.nested_tools(given))
    assert (first["strict"], second["strict"]) == (False, True)
    assert first["parameters"]["additionalProperties"] is False


def test_a_format_is_shown_whole():
    wanted = {"type": "json_schema", "name": "n", "schema": {}}
    shown = normal_form.text({"format": wanted})
    assert shown == {
        "format": {
            "type": "json_schema", "description": None, "name": "n", "schema": {}, "strict": False,
        },
        "verbosity": "medium",
    }  # fmt: skip
    nested = normal_form.nested_format({"format": wanted})
    assert nested["json_schema"]["name"] == "n"
    assert normal_form.text({})["format"] == {"type": "text"}
