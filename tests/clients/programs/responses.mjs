// The Responses API from Node: the AI SDK's default model, and openai-node. Each does a job of two
// turns with a tool, streamed. Prints one JSON object.
import { createOpenAI } from "@ai-sdk/openai";
import { streamText, tool, ToolLoopAgent } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const [baseURL] = process.argv.slice(2);
const model = "gpt-4.1-mini";
const question = "What is the weather in Paris?";
const cities = ["Paris", "Rome", "Oslo"];

// What the AI SDK sends: earlier texts of the assistant as item_reference.
const sent = [];
const openai = createOpenAI({
  baseURL,
  apiKey: "any",
  fetch: (url, request) => {
    sent.push(JSON.parse(request.body));
    return fetch(url, request);
  },
});
const asked = [];
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.enum(cities) }),
  execute: async ({ city }) => {
    asked.push(city);
    return { weather: `Sunny in ${city}.` };
  },
});
const agent = new ToolLoopAgent({
  model: openai(model),
  tools: { weather },
  temperature: 0,
  maxOutputTokens: 256,
  maxRetries: 0,
});
const stream = await agent.stream({ prompt: question });
let streamed = "";
const kinds = new Set();
for await (const part of stream.fullStream) {
  kinds.add(part.type);
  if (part.type === "text-delta") streamed += part.text;
}
const steps = await stream.steps;
const thanked = { role: "user", content: "Thank you. Is that good?" };
const further = streamText({
  model: openai(model),
  messages: [{ role: "user", content: question }, ...(await stream.response).messages, thanked],
  temperature: 0,
  maxOutputTokens: 64,
  maxRetries: 0,
});
const thanks = await further.text;

// openai-node: the call is answered in a second response that continues the first.
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
const settings = { model, temperature: 0, max_output_tokens: 256 };
const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: cities } },
  required: ["city"],
};
const tools = [{ type: "function", name: "weather", description: "The weather in a city", parameters }];
const first = await client.responses
  .stream({ ...settings, input: question, tools, tool_choice: "required" })
  .finalResponse();
const call = first.output.find((item) => item.type === "function_call");
const input = [{ type: "function_call_output", call_id: call.call_id, output: "Sunny." }];
const events = [];
const second = client.responses.stream({ ...settings, input, tools, previous_response_id: first.id });
for await (const event of second) events.push(event.type);
const last = await second.finalResponse();

console.log(
  JSON.stringify({
    asked,
    steps: steps.map((step) => step.finishReason),
    text: await stream.text,
    streamed,
    kinds: [...kinds],
    thanks,
    referred: sent.map((body) => body.input.filter((item) => item.type === "item_reference").length),
    node: { city: JSON.parse(call.arguments).city, text: last.output_text, last: events.at(-1) },
  }),
);
