// Vercel's AI SDK: text, an object, a stream and an agent's loop, by two providers. Prints one JSON object.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText, tool, ToolLoopAgent } from "ai";
import { z } from "zod";

const [baseURL, provider] = process.argv.slice(2);
const id = "gpt-4.1-mini";
const model =
  provider === "openai"
    ? createOpenAI({ baseURL, apiKey: "any" }).chat(id)
    : createOpenAICompatible({
        name: "minikin",
        baseURL,
        apiKey: "any",
        includeUsage: true,
        supportsStructuredOutputs: true,
      })(id);
const settings = { model, temperature: 0, maxOutputTokens: 256, maxRetries: 0 };
const prompt = "What is the capital of France?";

const { text, usage, finishReason } = await generateText({ ...settings, prompt });

const stream = streamText({ ...settings, prompt });
let streamed = "";
for await (const piece of stream.textStream) streamed += piece;

const schema = z.object({ kind: z.enum(["soup", "bread", "cake"]), plates: z.number().int() });
const { output } = await generateText({
  ...settings,
  prompt: "I had two plates of cold soup.",
  output: Output.object({ schema }),
});

const asked = [];
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.enum(["Paris", "Rome", "Oslo"]) }),
  execute: async ({ city }) => {
    asked.push(city);
    return { weather: `Sunny in ${city}.` };
  },
});
const agent = new ToolLoopAgent({ ...settings, tools: { weather } });
const loop = await agent.generate({ prompt: "What is the weather in Paris?" });

console.log(
  JSON.stringify({
    text,
    finishReason,
    streamed,
    tokens: [usage.totalTokens, (await stream.usage).totalTokens],
    output,
    asked,
    steps: loop.steps.map((step) => step.finishReason),
    said: loop.text,
  }),
);
