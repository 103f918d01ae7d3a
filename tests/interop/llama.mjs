// llama.cpp as an oracle. Reads one JSON request from standard input:
//   model       a GGUF file
//   texts       strings to tokenise (none where absent)
//   special     true: the text of control tokens becomes their ids
//   prompts     lists of ids to continue greedily (none where absent)
//   new_tokens  ids per continuation, fewer where the model ends its reply
//   lora        a LoRA GGUF to load beside the model (none where absent)
// and prints {ids: [[...], ...], replies: [{ids, text}, ...]}, in their order.
import {getLlama} from "node-llama-cpp";

async function reply(model, sequence, prompt, count) {
  await sequence.clearHistory();
  const ids = [];
  for await (const id of sequence.evaluate(prompt, {temperature: 0})) {
    if (ids.length >= count || model.isEogToken(id)) break;
    ids.push(id);
  }
  return {ids, text: model.detokenize(ids)};
}

// A synchronous read fails (EAGAIN) once a request outgrows the pipe's buffer.
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const request = JSON.parse(Buffer.concat(chunks).toString("utf8"));
const {texts = [], prompts = [], special = false, new_tokens = 32, lora} = request;
const llama = await getLlama(
    {gpu: false, build: "never", skipDownload: true, logLevel: "error"});
const model = await llama.loadModel({modelPath: request.model});
const ids = texts.map((text) => [...model.tokenize(text, special)]);
const replies = [];
if (prompts.length > 0) {
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  const context = await model.createContext(
      {contextSize: longest + new_tokens + 8, threads: 1, lora});
  const sequence = context.getSequence();
  for (const prompt of prompts) {
    replies.push(await reply(model, sequence, prompt, new_tokens));
  }
}
// Leaving at once would cut an answer that outgrows the pipe's buffer.
process.stdout.write(JSON.stringify({ids, replies}) + "\n", () => process.exit(0));
