/** Examples for the panes. */

export const QUESTIONS = [
  "What is the capital of France?",
  "Write a haiku about the sea.",
  "Explain in two sentences why the sky is blue.",
];

export const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: {
        type: "object",
        properties: {
          city: { type: "string", enum: ["Paris", "Rome", "Oslo"] },
          days: { type: "integer", minimum: 1, maximum: 7 },
        },
        required: ["city", "days"],
        additionalProperties: false,
      },
    },
  },
];

export const SCHEMAS = {
  "A person": {
    type: "object",
    properties: {
      name: { type: "string", maxLength: 40 },
      age: { type: "integer", minimum: 0, maximum: 120 },
      city: { type: "string", maxLength: 40 },
    },
    required: ["name", "age", "city"],
    additionalProperties: false,
  },
  "A review": {
    type: "object",
    properties: {
      mood: { enum: ["good", "bad"], description: "Whether the guest was happy." },
      dishes: { type: "array", maxItems: 3, items: { type: "string", maxLength: 30 } },
      price: { type: ["number", "null"], description: "Euros." },
    },
    required: ["mood", "dishes", "price"],
    additionalProperties: false,
  },
  "A list of tasks": {
    type: "object",
    properties: {
      tasks: {
        type: "array",
        minItems: 1,
        maxItems: 4,
        items: {
          type: "object",
          properties: {
            title: { type: "string", maxLength: 60 },
            urgent: { type: "boolean" },
          },
          required: ["title", "urgent"],
          additionalProperties: false,
        },
      },
    },
    required: ["tasks"],
    additionalProperties: false,
  },
};
