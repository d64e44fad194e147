"""Chat templates that do with tools, calls and results what each family's own does, in short."""

from __future__ import annotations

from dataclasses import dataclass

from minikin.chat.call_formats import (
    DEEPSEEK,
    ELEMENTS,
    FALCON,
    GEMMA,
    GLM,
    GLM_IN_LINE,
    GRANITE,
    LFM2,
    LISTED,
    LLAMA,
    MINICPM,
    MINIMAX,
    MISTRAL,
    MISTRAL_NAMED,
    OLMO,
    PHI,
    PHI_SINGLE,
    SEED,
    TAGGED,
    TAGGED_IN_LINE,
    TOOLCALL,
    CallFormat,
)

_TURNS = "{{ '<|im_start|>' + m.role + '\n' + m.content }}"
_HERMES_CALLS = (
    '{% for c in m.tool_calls or [] %}{{ \'\n<tool_call>\n{"name": "\' + c.function.name +'
    " '\", \"arguments\": ' + c.function.arguments | tojson + '}\n</tool_call>' }}{% endfor %}"
)
_HERMES_TELLS = (
    "{% for t in NAME or [] %}{{ '<tools>' + t | tojson + '</tools> in <tool_call></tool_call>' }}"
    "{% endfor %}"
)
_HERMES_RESULT = (
    "{% if m.role == 'tool' %}{{ '<tool_response>' + m.content + '</tool_response>' }}{% else %}"
)
_MISTRAL_TURNS = (
    "{% for m in messages %}{% if m.role == 'user' %}"
    "{% if tools and loop.last %}{{ '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}"
    "{% endif %}{{ '[INST]' + m.content + '[/INST]' }}"
    "{% elif m.tool_calls is defined %}CALLS{{ eos_token }}"
    "{% elif m.role == 'tool' %}{{ '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}"
    "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)


def _hermes(name: str) -> str:
    told = _HERMES_TELLS.replace("NAME", name)
    return (
        f"{told}{{% for m in messages %}}{_HERMES_RESULT}{_TURNS}{_HERMES_CALLS}{{% endif %}}"
        "<|im_end|>{% endfor %}<|im_start|>assistant\n"
    )


@dataclass(frozen=True)
class ToolFamily:
    template: str
    form: CallFormat
    control: tuple[str, ...]
    one: str
    """How a call of f(a=1) is written."""
    two: str
    """The same and one of g()."""
    tells: str
    """What stands before the tools where the model reads of them."""
    begun: str = '{"a"'
    """How the arguments begin, as far as it takes to know that it is a call."""
    before: str = '"a": '
    """What is before the value of a."""
    earlier: str = ""
    """How the template writes an earlier call of g(), if not as the model does."""


_CHATML = ("<|im_start|>", "<|im_end|>")
_TAGS = (*_CHATML, "<tool_call>", "</tool_call>")
_F, _G = '{"name": "f", "arguments": {"a": 1}}', '{"name": "g", "arguments": {}}'
_TAGGED = f"<tool_call>\n{_F}\n</tool_call>", f"<tool_call>\n{_G}\n</tool_call>"
_D_F = '<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{"a": 1}\n```<｜tool▁call▁end｜>'
_D_G = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜>"
_D = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
_DEEPSEEK_CONTROL = (
    "<｜User｜>", "<｜Assistant｜>", *_D, "<｜tool▁sep｜>", "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>", "<think>",
)  # fmt: skip

_ELEMENTS_TELL = (
    "{% if tools %}<|im_start|>system\n# Tools\n\n<tools>{% for t in tools %}"
    "{{ '\n<function>\n<name>' + t.function.name + '</name>' }}"
    "{% if t.function.description is defined %}"
    "{{ '\n<description>' + t.function.description + '</description>' }}{% endif %}"
    "\n</function>{% endfor %}\n</tools>\n\nCall a function in this form:\n\n<tool_call>\n"
    "<function=example>\n<parameter=first>\nvalue\n</parameter>\n</function>\n</tool_call>"
    "<|im_end|>\n{% endif %}"
)
_ELEMENTS_CALLS = (
    "{% for c in m.tool_calls or [] %}{{ '\n<tool_call>\n<function=' + c.function.name + '>\n' }}"
    "{% for name, value in c.function.arguments | items %}{{ '<parameter=' + name + '>\n' }}"
    "{{ value if value is string else value | tojson }}{{ '\n</parameter>\n' }}{% endfor %}"
    "{{ '</function>\n</tool_call>' }}{% endfor %}"
)
_E_F = "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"
_E_G = "<tool_call>\n<function=g>\n</function>\n</tool_call>"

_GEMMA4_F = "<|tool_call>call:f{a:1}<tool_call|>"
_GEMMA4_CONTROL = (
    "<|turn>", "<turn|>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", '<|"|>',
    "<|tool_response>", "<tool_response|>",
)  # fmt: skip


def _gemma4(results: str) -> ToolFamily:
    """Templates that write the results of calls in their turn."""
    template = (
        "{% for t in tools or [] %}{{ '<|tool>' + t.function | tojson + '<tool|>' }}{% endfor %}"
        "{% for m in messages if m.role != 'tool' %}{{ '<|turn>' + m.role + '\n' }}"
        "{% for c in m.tool_calls or [] %}{{ '<|tool_call>call:' + c.function.name + '{' }}"
        "{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}"
        "{% for name, value in c.function.arguments | items %}{{ name + ':' }}"
        "{{ '<|\"|>' + value + '<|\"|>' if value is string else value | tojson }}"
        "{% if not loop.last %},{% endif %}{% endfor %}{% endif %}"
        "{{ '}<tool_call|>' }}{% endfor %}"
        f"{{% if m.tool_calls %}}{results}{{% endif %}}"
        "{{ m.content }}<turn|>{% endfor %}<|turn>model\n"
    )
    both = f"{_GEMMA4_F}<|tool_call>call:g{{}}<tool_call|>"
    return ToolFamily(template, GEMMA, _GEMMA4_CONTROL, _GEMMA4_F, both, "<|tool>", "{", "{a:")


def _apart(form: CallFormat, tells: str, call: str, around: tuple[str, str, str], *, parts):
    """Templates that write arguments one by one. `call` has NAME and ARGUMENTS."""
    first, again, last = around
    argument, between, begun, before = parts
    head, tail = call.split("ARGUMENTS")
    head, after_name = head.split("NAME")
    f = f"{head}f{after_name}{argument.replace('NAME', 'a').replace('VALUE', '1')}{tail}"
    g = f"{head}g{after_name}{tail}"
    start, name_end = argument.split("NAME")
    name_end, end = name_end.split("VALUE")
    return ToolFamily(
        f"{{% if tools %}}{{{{ {tells!r} }}}}{{{{ tools | tojson }}}}{{% endif %}}"
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}"
        f"{{% if m.tool_calls %}}{{{{ {first!r} }}}}{{% for c in m.tool_calls %}}"
        f"{{{{ {head!r} + c.function.name + {after_name!r} }}}}"
        "{% for name, value in c.function.arguments | items %}"
        f"{{{{ {start!r} + name + {name_end!r} }}}}"
        "{{ value if value is string else value | tojson }}"
        f"{{{{ {end!r} }}}}{{% if not loop.last %}}{{{{ {between!r} }}}}{{% endif %}}{{% endfor %}}"
        f"{{{{ {tail!r} }}}}{{% if not loop.last %}}{{{{ {again!r} }}}}{{% endif %}}{{% endfor %}}"
        f"{{{{ {last!r} }}}}{{% endif %}}<|im_end|>{{% endfor %}}{{# 'tool' #}}",
        form,
        (*_CHATML, *filter(None, (first.strip("[\n"), last.strip("]\n")))),
        f"{first}{f}{last}",
        f"{first}{f}{again}{g}{last}",
        tells,
        begun,
        before,
    )


_APART = {
    "Seed-OSS": _apart(
        SEED,
        "Call as <seed:tool_call>: ",
        "\n<function=NAME>\nARGUMENTS</function>\n</seed:tool_call>",
        ("<seed:tool_call>", "\n<seed:tool_call>", ""),
        parts=("<parameter=NAME>VALUE</parameter>\n", "", "<parameter=a>", "<parameter=a>"),
    ),
    "GLM-4.5": _apart(
        GLM,
        "Call as <arg_key>k</arg_key>\n<arg_value>v</arg_value>: ",
        "NAME\nARGUMENTS</tool_call>",
        ("<tool_call>", "\n<tool_call>", ""),
        parts=(
            "<arg_key>NAME</arg_key>\n<arg_value>VALUE</arg_value>\n",
            "",
            "<arg_key>a</arg_key>\n<arg_value>",
            "<arg_key>a</arg_key>\n<arg_value>",
        ),
    ),
    "GLM-4.7": _apart(
        GLM_IN_LINE,
        "Call as <arg_key>k</arg_key><arg_value>v</arg_value>: ",
        "NAMEARGUMENTS</tool_call>",
        ("<tool_call>", "<tool_call>", ""),
        parts=(
            "<arg_key>NAME</arg_key><arg_value>VALUE</arg_value>",
            "",
            "<arg_key>a</arg_key><arg_value>",
            "<arg_key>a</arg_key><arg_value>",
        ),
    ),
    "MiniMax-M2": _apart(
        MINIMAX,
        "Call as <minimax:tool_call>: ",
        '<invoke name="NAME">\nARGUMENTS</invoke>\n',
        ("<minimax:tool_call>\n", "", "</minimax:tool_call>"),
        parts=(
            '<parameter name="NAME">VALUE</parameter>\n',
            "",
            '<parameter name="a">',
            '<parameter name="a">',
        ),
    ),
    "MiniCPM5": _apart(
        MINICPM,
        'Call as <function name="n"><param name="p">v</param></function>: ',
        '<function name="NAME">ARGUMENTS</function>',
        ("", "\n", ""),
        parts=('<param name="NAME">VALUE</param>', "", '<param name="a">', '<param name="a">'),
    ),
    "LFM2": _apart(
        LFM2,
        "List of tools: ",
        "NAME(ARGUMENTS)",
        ("<|tool_call_start|>[", ", ", "]<|tool_call_end|>"),
        parts=("NAME=VALUE", ", ", "a=", "a="),
    ),
    "OLMo 3": _apart(
        OLMO,
        "Call in <function_calls></function_calls>: ",
        "NAME(ARGUMENTS)",
        ("<function_calls>", "\n", "</function_calls>"),
        parts=("NAME=VALUE", ", ", "a=", "a="),
    ),
}

_LISTED = {
    "Apriel": (LISTED, "Tools: ", "<tool_calls>[", ", ", "]</tool_calls>"),
    "Nemotron Nano": (TOOLCALL, "Tools: ", "<TOOLCALL>[", ", ", "]</TOOLCALL>"),
    "Granite 3": (
        GRANITE, "<|tool_call|> followed by a JSON list ", "<|tool_call|>[", ", ", "]"
    ),
}  # fmt: skip


def _listed(form: CallFormat, tells: str, begin: str, again: str, close: str) -> ToolFamily:
    return ToolFamily(
        f"{{% if tools %}}{tells}{{{{ tools | tojson }}}}{{% endif %}}"
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}"
        f"{{% if m.tool_calls %}}{{{{ {begin!r} }}}}{{% for c in m.tool_calls %}}"
        '{{ \'{"name": "\' + c.function.name + \'", "arguments": \' }}'
        "{{ c.function.arguments | tojson + '}' }}"
        f"{{% if not loop.last %}}{{{{ {again!r} }}}}{{% endif %}}{{% endfor %}}"
        f"{{{{ {close!r} }}}}{{% endif %}}<|end|>{{% endfor %}}{{# 'tool' #}}",
        form,
        ("<|system|>", "<|end|>", "<|tool_call|>"),
        f"{begin}{_F}{close}",
        f"{begin}{_F}{again}{_G}{close}",
        tells,
    )


FAMILIES = {
    "Qwen3, Hermes": ToolFamily(
        _hermes("tools"), TAGGED, _TAGS, _TAGGED[0], "\n".join(_TAGGED), "<tools>"
    ),
    "SmolLM3": ToolFamily(
        _hermes("xml_tools"), TAGGED, _TAGS, _TAGGED[0], "\n".join(_TAGGED), "<tools>"
    ),
    "Gemma": ToolFamily(
        "{% for m in messages %}{% if (m.role == 'assistant') != (loop.index0 % 2 == 1) %}"
        "{{ raise_exception('turns must alternate') }}{% endif %}"
        "<start_of_turn>{{ ('model' if m.role == 'assistant' else m.role) + '\n' + m.content }}"
        "<end_of_turn>{% endfor %}<start_of_turn>model\n",
        TAGGED,
        ("<start_of_turn>", "<end_of_turn>"),
        _TAGGED[0],
        "\n".join(_TAGGED),
        "access to the following tools",
    ),
    "Gemma 4": _gemma4(
            "{% for k in range(loop.index0 + 1, messages | length) if messages[k].role == 'tool' %}"
            "{{ '<|tool_response>response:' + messages[k].tool_call_id + '{value:' }}"
            "{{ '<|\"|>' + messages[k].content + '<|\"|>}<tool_response|>' }}{% endfor %}"
    ),
    "Gemma 4, first": _gemma4(
            "{% for r in m.tool_responses or [] %}"
            "{{ '<|tool_response>response:' + r.name + '{value:<|\"|>' + r.response }}"
            "{{ '<|\"|>}<tool_response|>' }}{% endfor %}"
    ),
    "Qwen3-Coder": ToolFamily(
        f"{_ELEMENTS_TELL}{{% for m in messages %}}{_HERMES_RESULT}{_TURNS}{_ELEMENTS_CALLS}"
        "{% endif %}<|im_end|>{% endfor %}<|im_start|>assistant\n",
        ELEMENTS,
        _TAGS,
        _E_F,
        f"{_E_F}\n{_E_G}",
        "# Tools",
        "<parameter=a>\n",
        "<parameter=a>\n",
    ),
    "Nemotron 3": ToolFamily(
        f"{_ELEMENTS_TELL}{{% for m in messages %}}{_HERMES_RESULT}"
        "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
        "{% if loop.last and m.reasoning_content %}"
        "{{ '<think>\n' + m.reasoning_content + '\n</think>\n' }}"
        "{% else %}<think></think>{% endif %}{% endif %}{{ m.content }}"
        f"{_ELEMENTS_CALLS}{{% endif %}}<|im_end|>{{% endfor %}}"
        "<|im_start|>assistant\n<think></think>",
        ELEMENTS,
        _TAGS,
        _E_F,
        f"{_E_F}\n{_E_G}",
        "# Tools",
        begun="<parameter=a>\n",
        before="<parameter=a>\n",
    ),
    "Granite 4": ToolFamily(
        "{% if tools %}<|start_of_role|>system<|end_of_role|><tools>"
        "{% for t in tools %}{{ '\n' + t | tojson }}{% endfor %}"
        "{{ '\n</tools>\n\nCall in this form:\n<tool_call>\n{\"name\": <name>, '"
        " + '\"arguments\": <arguments>}\n</tool_call>.' }}<|end_of_text|>\n{% endif %}"
        "{% for m in messages %}{% if m.role == 'tool' %}"
        "<|start_of_role|>user<|end_of_role|>\n<tool_response>\n{{ m.content }}\n</tool_response>"
        "{% else %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content }}"
        f"{_HERMES_CALLS}{{% endif %}}<|end_of_text|>\n{{% endfor %}}"
        "<|start_of_role|>assistant<|end_of_role|>",
        TAGGED,
        ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", *_TAGS[2:]),
        _TAGGED[0],
        "\n".join(_TAGGED),
        "<tools>\n",
    ),
    "Falcon-H1": ToolFamily(
        "{% if tools %}<|system|>\n<tools>{{ tools | tojson(indent=2) }}</tools>"
        "{{ '\n\nCall in this form:\n<tool_call>\n[\n  {\"name\": \"function_name\"}\n]'"
        " + '\n</tool_call>' }}{% endif %}"
        "{% for m in messages %}{% if m.role == 'tool' %}"
        "<|im_start|>assistant\n<tool_response>\n{{ m.content }}\n</tool_response>{% else %}"
        f"{_TURNS}{{% if m.tool_calls %}}<tool_call>\n{{{{ m.tool_calls | tojson(indent=2) }}}}"
        "\n</tool_call>{% endif %}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
        FALCON,
        _TAGS,
        f"<tool_call>\n[\n  {_F}\n]\n</tool_call>",
        f"<tool_call>\n[\n  {_F},\n  {_G}\n]\n</tool_call>",
        "<tools>[",
        earlier='"name": "g",\n      "arguments": {}',
    ),
    **_APART,
    "EXAONE 4": ToolFamily(
        _hermes("tools").replace("in <tool_call>", 'in <tool_call>{"name": 1}')
        .replace("<tool_call>\n", "<tool_call>").replace("\n</tool_call>", "</tool_call>"),
        TAGGED_IN_LINE,
        _TAGS,
        _TAGGED[0].replace("\n", ""),
        f"{_TAGGED[0]}|{_TAGGED[1]}".replace("\n", "").replace("|", "\n"),
        "<tools>",
    ),
    "Other tags": ToolFamily(
        "{% for t in tools or [] %}<tool_call><function=f>{% endfor %}{% for m in messages %}"
        f"{_TURNS}<|im_end|>{{% endfor %}}",
        TAGGED,
        _TAGS,
        _TAGGED[0],
        "\n".join(_TAGGED),
        "access to the following tools",
    ),
    "Llama 3.2": ToolFamily(
        "{% if tools %}Environment: ipython\n{% for t in tools %}{{ t | tojson }}{% endfor %}"
        "{% endif %}{% for m in messages %}{% if 'tool_calls' in m %}"
        "{% if not m.tool_calls | length == 1 %}{{ raise_exception('one at a time') }}{% endif %}"
        "{% set c = m.tool_calls[0].function %}"
        "{{ '{\"name\": \"' + c.name + '\", \"parameters\": ' + c.arguments | tojson + '}' }}"
        "{% elif m.role == 'tool' %}{{ 'ipython: ' + m.content }}"
        "{% else %}{{ m.role + ': ' + m.content }}{% endif %}<|eot_id|>{% endfor %}",
        LLAMA,
        ("<|eot_id|>", "<|python_tag|>"),
        '{"name": "f", "parameters": {"a": 1}}',
        '{"name": "f", "parameters": {"a": 1}}\n{"name": "g", "parameters": {}}',
        "Environment: ipython\n",
    ),
    "Mistral 7B v0.3": ToolFamily(
        _MISTRAL_TURNS.replace(
            "CALLS",
            "[TOOL_CALLS] [{% for c in m.tool_calls %}{{ c.function | tojson }}"
            "{% if not loop.last %}, {% endif %}{% endfor %}]",
        ),
        MISTRAL,
        ("[TOOL_CALLS]", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
        f"[TOOL_CALLS] [{_F}]",
        f"[TOOL_CALLS] [{_F}, {_G}]",
        "[AVAILABLE_TOOLS][",
    ),
    "Mistral Small 3.2": ToolFamily(
        _MISTRAL_TURNS.replace(
            "CALLS",
            "{% for c in m.tool_calls %}{{ '[TOOL_CALLS]' + c.function.name + '[ARGS]' +"
            " c.function.arguments | tojson }}{% endfor %}",
        ),
        MISTRAL_NAMED,
        ("[TOOL_CALLS]", "[ARGS]", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
        '[TOOL_CALLS]f[ARGS]{"a": 1}',
        '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}',
        "[AVAILABLE_TOOLS][",
    ),
    "Phi-4-mini": ToolFamily(
        "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content }}"
        "{% if message.role == 'system' and 'tools' in message %}"
        "{{ '<|tool|>' + message['tools'] + '<|/tool|>' }}{% endif %}<|end|>{% endfor %}",
        PHI,
        ("<|system|>", "<|end|>", "<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>"),
        f"<|tool_call|>[{_F}]<|/tool_call|>",
        f"<|tool_call|>[{_F}, {_G}]<|/tool_call|>",
        "<|tool|>[",
    ),
    "Phi-4-mini, by others": ToolFamily(
        "{% if tools %}{% for t in tools %}{{ '<|tool|>' + t.function | tojson + '<|/tool|>' }}"
        "{% endfor %}{% endif %}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}"
        "{% for c in m.tool_calls or [] %}"
        "{{ '<|tool_call|>' + c.function | tojson + '<|/tool_call|>' }}{% endfor %}<|end|>"
        "{% endfor %}",
        PHI_SINGLE,
        ("<|system|>", "<|end|>", "<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>"),
        f"<|tool_call|>{_F}<|/tool_call|>",
        f"<|tool_call|>{_F}<|/tool_call|><|tool_call|>{_G}<|/tool_call|>",
        "<|tool|>{",
    ),
    **{name: _listed(*rest) for name, rest in _LISTED.items()},
    "DeepSeek-R1 distillations": ToolFamily(
        "{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
        "{% elif m.role == 'tool' %}{{ m.content }}{% elif m.tool_calls %}"
        "<｜Assistant｜><｜tool▁calls▁begin｜>{% for c in m.tool_calls %}"
        "{{ '<｜tool▁call▁begin｜>' + c.type + '<｜tool▁sep｜>' + c.function.name + '\n```json\n' +"
        " c.function.arguments + '\n```<｜tool▁call▁end｜>' }}{% if not loop.last %}{{ '\n' }}"
        "{% endif %}{% endfor %}<｜tool▁calls▁end｜>{% else %}{{ m.content }}{% endif %}"
        "{% endfor %}<｜Assistant｜><think>\n",
        DEEPSEEK,
        _DEEPSEEK_CONTROL,
        f"{_D[0]}{_D_F}{_D[1]}",
        f"{_D[0]}{_D_F}\n{_D_G}{_D[1]}",
        "access to the following tools",
    ),
}  # fmt: skip
