"""The topics in the help of `minikin serve` and `minikin cluster`: which options are together."""

from __future__ import annotations

from typer.core import TyperCommand, TyperGroup, TyperOption

_TOPICS = {
    "Models": ("model", "memory_budget", "unload_after", "load_seconds", "cache"),
    "Network": ("host", "port", "tls_certificate", "tls_key", "allowed_host", "allowed_origin"),
    "Keys": ("api_key", "api_key_file", "admin_key", "public_catalog"),
    "Answers": ("default_max_tokens", "max_choices", "sampling", "extensions", "hide_format",
                "cut_at_limit"),
    "Memory and speed": ("context_length", "kv_cache_tokens", "max_running", "max_queued",
                         "max_queued_tokens", "queue_timeout", "first_token_timeout",
                         "request_timeout",
                         "threads", "packed_cache", "prefix_store",
                         "prefix_store_size", "device"),
    "Storage": ("database", "files"),
    "Logs": ("log_level", "log_format", "access_log"),
}  # fmt: skip
"""Topic -> its options. Others come before them, as "Options"."""
_TOPIC_OF = {name: topic for topic, names in _TOPICS.items() for name in names}


def group_options(root: TyperCommand | TyperGroup) -> None:
    """Sort the options of commands that serve by topic."""
    assert isinstance(root, TyperGroup)
    order = list(_TOPICS)
    for name in ("serve", "cluster"):
        command = root.commands[name]
        for option in command.params:
            if isinstance(option, TyperOption):
                option.rich_help_panel = _TOPIC_OF.get(option.name)
        command.params.sort(
            key=lambda param: order.index(topic) if (topic := _TOPIC_OF.get(param.name)) else -1
        )
