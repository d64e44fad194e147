// Elements, numbers and the rows of the search's data, for the scripts after this one.
"use strict";

// An element with properties (or attributes, if a name has a dash or the element is of SVG).
function h(name, properties = {}, ...children) {
  const isSvg = ["svg", "g", "line", "text", "circle", "a:svg"].includes(name);
  const node = isSvg
    ? document.createElementNS("http://www.w3.org/2000/svg", name.split(":")[0])
    : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (isSvg || key.includes("-")) node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children);
  return node;
}

const UNKNOWN = "—";

function tokens(count) {
  if (!count) return UNKNOWN;
  if (count >= 999500) return `${(count / 1e6).toFixed(1)}M`;
  if (count < 1000) return `${count}`;
  return `${(count / 1000).toFixed(count >= 99950 ? 0 : 1).replace(/\.0$/, "")}k`;
}

function dollars(price) {
  if (typeof price === "string") return price;
  if (price < 0) return UNKNOWN;
  if (price === 0) return "free";
  const exact = price.toFixed(6).replace(/0+$/, "");
  return `$${exact.split(".")[1].length < 2 ? price.toFixed(2) : exact}`;
}

function pricePair(model) {
  if (typeof model.input === "string") return model.input;
  if (model.input < 0 && model.output < 0) return UNKNOWN;
  if (model.input === 0 && model.output === 0) return "free";
  return `${dollars(model.input)} / ${dollars(model.output)}`;
}

// The price of a job in US dollars, as in facts/prices.py: null if there is none, or it does not fit.
function jobPrice(model, input, output) {
  const limits = [[model.context, input + output], [model.maxInput, input], [model.maxOutput, output]];
  if (limits.some(([limit, wanted]) => limit && wanted > limit)) return null;
  const side = (count, base, at) => {
    const tier = model.tiers.findLast((row) => input > row[0] && row[at] >= 0);
    const price = tier ? tier[at] : base;
    if (!count) return 0;
    return typeof price === "number" && price >= 0 ? (price * count) / 1e6 : null;
  };
  const sides = [side(input, model.input, 1), side(output, model.output, 2)];
  return sides.includes(null) ? null : sides[0] + sides[1];
}

function amount(usd) {
  return usd === 0 ? "free" : `$${usd < 5e-7 ? usd.toPrecision(2) : usd.toFixed(6)}`;
}

const DATA = JSON.parse(document.getElementById("data").textContent);

function asModel(row) {
  const [id, name, path, author, released, context, maxOutput, input, output, open, offerings, pattern, chats, speed, proven, maxInput, ...tiers] = row;
  const model = { id, context, maxOutput, input, output, open, offerings, chats, speed, proven, maxInput, tiers, released: released || "" };
  model.name = name || id;
  model.page = `models/${path || id}.html`;
  model.author = DATA.authors[author];
  model.pattern = DATA.patterns[pattern];
  model.text = `${id} ${model.name} ${model.author}`.toLowerCase();
  return model;
}

const MODELS = DATA.rows.map(asModel);
const plain = (name) => name.trim().toLowerCase().replaceAll(".", "-");
const BY_NAME = new Map(MODELS.flatMap((model) => [[plain(model.name), model], [plain(model.id), model]]));

// The model with this id or name, whatever its case, with dots or dashes.
function modelNamed(name) {
  return BY_NAME.get(plain(name));
}

const CAPABILITIES = DATA.capabilities.map(([id, words, observable], at) => ({ id, words, observable, at }));

// verified, declared, stale, failed, absent or unknown: the best of the model's offerings.
function stateOf(model, capability) {
  return DATA.states[model.pattern[capability.at] ?? DATA.states.length - 1];
}

const WEIGHTS = { 1: "open", 0: "closed", [-1]: UNKNOWN };
