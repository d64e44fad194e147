// LangChain JS: an agent's loop, an object, and a stream. Prints one JSON object.
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { z } from "zod";

const model = new ChatOpenAI({
  model: "gpt-4.1-mini",
  apiKey: "any",
  configuration: { baseURL: process.argv[2] },
  temperature: 0,
  maxTokens: 256,
  maxRetries: 0,
});

const asked = [];
const weather = tool(
  ({ city }) => {
    asked.push(city);
    return `Sunny in ${city}.`;
  },
  {
    name: "weather",
    description: "The weather in a city",
    schema: z.object({ city: z.enum(["Paris", "Rome", "Oslo"]) }),
  },
);
const agent = createAgent({ model, tools: [weather] });
const { messages } = await agent.invoke(
  { messages: [{ role: "user", content: "What is the weather in Paris?" }] },
  { recursionLimit: 10 },
);

const schema = z.object({ kind: z.enum(["soup", "bread", "cake"]), plates: z.number().int() });
const dish = await model.withStructuredOutput(schema).invoke("I had two plates of cold soup.");

let streamed = "";
let tokens;
for await (const chunk of await model.stream("What is the capital of France?")) {
  streamed += chunk.text;
  tokens = chunk.usage_metadata?.total_tokens ?? tokens;
}

console.log(
  JSON.stringify({ asked, types: messages.map((m) => m.type), said: messages.at(-1).text, dish, streamed, tokens }),
);
