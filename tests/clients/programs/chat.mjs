// What users of openai-node write: a chat, a stream, and a tool loop. Prints one JSON object.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "any", maxRetries: 0 });
const model = "gpt-4.1-mini";
const messages = [{ role: "user", content: "What is the capital of France?" }];
const ask = { model, messages, temperature: 0, max_tokens: 24 };

const { data: plain, request_id } = await client.chat.completions.create(ask).withResponse();

let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true }))
  streamed += chunk.choices[0]?.delta?.content ?? "";

const called = [];
const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: ["Paris", "Rome", "Oslo"] } },
  required: ["city"],
};
const weather = ({ city }) => {
  called.push(city);
  return `Sunny in ${city}.`;
};
const runner = client.chat.completions.runTools({
  model,
  messages: [{ role: "user", content: "What is the weather in Paris?" }],
  tools: [{ type: "function", function: { name: "weather", parameters, function: weather, parse: JSON.parse } }],
  tool_choice: { type: "function", function: { name: "weather" } },
  parallel_tool_calls: false,
  temperature: 0,
  max_tokens: 100,
});
const after = [];
runner.on("message", (message) => after.push(message.role));
await runner.done();

let error;
try {
  await client.chat.completions.create({ ...ask, n: 0 });
} catch (caught) {
  error = { status: caught.status, param: caught.param, code: caught.code };
}

const models = [];
for await (const each of await client.models.list()) models.push(each.id);

const content = plain.choices[0].message.content;
console.log(JSON.stringify({ request_id, content, streamed, called, after, error, models }));
