/** Folds the chunks of a stream into a message, and measures it. */

/** An assistant's message without text. */
export function newAnswer() {
  return { role: "assistant", content: "", reasoning: "", tool_calls: [], tokens: [], finish: null, error: null, stats: null };
}

export class Fold {
  constructor(message) {
    this.message = message;
    this.begun = performance.now();
    this.first = null;
  }

  add(chunk) {
    if (chunk.usage) this.measure(chunk.usage);
    const choice = chunk.choices[0];
    if (!choice) return;
    const { delta, logprobs, finish_reason } = choice;
    const { message } = this;
    if (delta.content || delta.reasoning_content || delta.tool_calls) this.first ??= performance.now();
    message.content += delta.content ?? "";
    message.reasoning += delta.reasoning_content ?? "";
    for (const part of delta.tool_calls ?? []) addCall(message.tool_calls, part);
    if (logprobs?.content) message.tokens.push(...logprobs.content);
    message.finish = finish_reason ?? message.finish;
  }

  measure(usage) {
    const end = performance.now();
    const first = this.first ?? end;
    this.message.stats = {
      prompt: usage.prompt_tokens,
      cached: usage.prompt_tokens_details.cached_tokens,
      completion: usage.completion_tokens,
      reasoning: usage.completion_tokens_details.reasoning_tokens,
      first: first - this.begun,
      rate: end > first ? ((usage.completion_tokens - 1) * 1000) / (end - first) : null,
    };
  }
}

function addCall(calls, part) {
  const call = (calls[part.index] ??= { id: part.id, type: "function", function: { name: part.function.name, arguments: "" } });
  call.function.arguments += part.function.arguments;
}

/** What a person wants to know about an answer, as one line. */
export function statsText({ stats, finish }) {
  if (!stats) return finish === "stopped" ? "Stopped." : "";
  const parts = [
    `${stats.prompt} prompt tokens (${stats.cached} cached)`,
    `${stats.completion} completion tokens${stats.reasoning ? ` (${stats.reasoning} reasoning)` : ""}`,
    `first token after ${Math.round(stats.first)} ms`,
  ];
  if (stats.rate && stats.completion > 1) parts.push(`${stats.rate.toFixed(stats.rate < 10 ? 1 : 0)} tokens/s`);
  if (finish === "length") parts.push("ended by the token limit");
  return parts.join(" · ");
}
