// A small server around npm's build of llama.cpp, which has variants for AMX and AVX-512. llama.cpp's
// own server is not among npm's packages. `bench/peers.py` starts it:
//     node llama_server.mjs MODEL PORT SEQUENCES CONTEXT THREADS
// It streams chat completions of models with ChatML, and reuses the sequence with the longest prefix.
import http from "node:http";
import {getLlama, TokenBias} from "node-llama-cpp";

const [file, ...numbers] = process.argv.slice(2);
const [port, sequences, contextSize, threads] = numbers.map(Number);
const llama = await getLlama({gpu: false, build: "never", maxThreads: threads});
console.log(llama.systemInfo);
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({sequences, contextSize, threads: {ideal: threads, min: threads}});
const idle = Array.from({length: sequences}, () => context.getSequence());
const waiting = [];

function shared(sequence, tokens) {
    const known = sequence.contextTokens;
    let count = 0;
    while (count < known.length && known[count] === tokens[count]) count++;
    return count;
}

async function takeSequence(tokens) {
    if (idle.length === 0) await new Promise(resolve => waiting.push(resolve));
    idle.sort((one, other) => shared(one, tokens) - shared(other, tokens));
    return idle.pop();
}

function giveBack(sequence) {
    idle.push(sequence);
    waiting.shift()?.();
}

function options(body) {
    const tokenBias = new TokenBias(model.tokenizer);
    for (const [token, bias] of Object.entries(body.logit_bias ?? {}))
        tokenBias.set(Number(token), bias <= -100 ? "never" : {logit: bias});
    const {temperature = 1, top_p: topP = 1, seed} = body;
    return {temperature, topP, topK: 0, minP: 0, seed, tokenBias, yieldEogToken: true};
}

// Whether the end is banned. The library ignores a bias for it, so answers go on behind it.
function isEndless(body) {
    const banned = Object.keys(body.logit_bias ?? {}).filter(token => body.logit_bias[token] <= -100);
    return banned.some(token => model.isEogToken(Number(token)));
}

// Gives the text of the answer in pieces, and its usage at last.
async function* answer(body) {
    const turns = body.messages.map(({role, content}) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
    const tokens = model.tokenize(`${turns.join("")}<|im_start|>assistant\n`, true);
    const sequence = await takeSequence(tokens);
    try {
        await sequence.adaptStateToTokens(tokens.slice(0, -1), false);
        const rest = tokens.slice(sequence.nextTokenIndex);
        const found = [];
        for await (const token of sequence.evaluate(rest, options(body))) {
            found.push(token);
            const ends = model.isEogToken(token);
            if (!ends) yield model.detokenize([token], false, found.slice(-4, -1));
            if ((ends && !isEndless(body)) || found.length >= body.max_tokens) break;
        }
        yield {prompt_tokens: tokens.length, completion_tokens: found.length};
    } finally {
        giveBack(sequence);
    }
}

async function reply(request, response) {
    let data = "";
    for await (const piece of request) data += piece;
    const body = JSON.parse(data);
    if (body.response_format || body.prediction) throw new Error("not supported");
    let text = "", usage = null;
    const event = value => response.write(`data: ${JSON.stringify(value)}\n\n`);
    for await (const piece of answer(body)) {
        if (typeof piece !== "string") usage = piece;
        else if (body.stream) event({choices: [{index: 0, delta: {content: piece}}]});
        else text += piece;
    }
    if (!body.stream) return response.end(JSON.stringify({choices: [{message: {content: text}}], usage}));
    event({choices: [], usage});
    response.end("data: [DONE]\n\n");
}

http.createServer((request, response) => {
    reply(request, response).catch(error => {
        response.statusCode = 400;
        response.end(JSON.stringify({error: {message: String(error)}}));
    });
}).listen(port, "127.0.0.1");
