/** The body of a request, from the settings and messages of a lane. */

/**
 * `seed` is used if the settings have none. With `continues`, the answer continues the last message.
 * Throws an Error that names the field if a text of the settings is not JSON.
 */
export function requestOf(settings, messages, { seed = null, continues = false } = {}) {
  const system = settings.system.trim();
  const body = {
    model: settings.model,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages.map(sent)],
    ...given(settings.values),
  };
  if (seed !== null) body.seed ??= seed;
  if (settings.heat) Object.assign(body, { logprobs: true, top_logprobs: settings.alternatives });
  const tools = toolsOf(settings.tools);
  if (continues) body.continue_final_message = true;
  else if (tools.length) Object.assign(body, { tools, tool_choice: settings.toolChoice });
  if (settings.format === "json_schema" && !continues) body.response_format = formatOf(settings.schema);
  return { ...body, stream: true, stream_options: { include_usage: true, include_obfuscation: false } };
}

/** The parameters that OpenAI has too, and the others. */
export function parted(body, extensions) {
  const isOwn = ([name]) => extensions.includes(name);
  const all = Object.entries(body);
  return [Object.fromEntries(all.filter((each) => !isOwn(each))), Object.fromEntries(all.filter(isOwn))];
}

/** The tools in a text: a JSON array of tools, or of functions. */
export function toolsOf(text) {
  if (!text.trim()) return [];
  const tools = [parsed(text, "Tools")].flat();
  return tools.map((tool) => (tool.function ? tool : { type: "function", function: tool }));
}

function formatOf(text) {
  const schema = parsed(text, "Schema");
  return { type: "json_schema", json_schema: { name: "answer", schema, strict: false } };
}

/** The JSON in a text. Throws an Error that names the `field`. */
export function parsed(text, field) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${field}: this is not valid JSON. ${error.message}.`);
  }
}

function sent({ role, content, tool_calls, tool_call_id }) {
  return {
    role,
    content: tool_calls?.length && !content ? null : content,
    ...(tool_calls?.length ? { tool_calls } : {}),
    ...(tool_call_id ? { tool_call_id } : {}),
  };
}

function given(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== ""));
}
