"""Every check by its capability, in the order pages show them."""

from __future__ import annotations

from minikin.catalog import checks_format, checks_sampling, checks_server, checks_text
from minikin.catalog.probe import Check

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        checks_text.text,
        checks_text.input_text,
        checks_text.output_text,
        checks_format.tools,
        checks_format.tool_choice,
        checks_sampling.temperature,
        checks_sampling.top_p,
        checks_text.max_tokens,
        checks_text.stop,
        checks_sampling.frequency_penalty,
        checks_sampling.presence_penalty,
        checks_sampling.logprobs,
        checks_format.format_response,
        checks_format.structured_outputs,
        checks_text.streaming,
        checks_sampling.logit_bias,
        checks_sampling.seed,
        checks_text.n,
        checks_server.prediction,
        checks_format.parallel_tool_calls,
        checks_format.strict_tools,
        checks_server.cached_tokens,
        checks_server.error_bodies,
    )
}
