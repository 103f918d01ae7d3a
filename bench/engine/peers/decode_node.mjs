// Greedy decoding by the prebuilt llama.cpp of node-llama-cpp, whose kernels are
// chosen for the processor. The protocol is that of ../repetitions.h.
//
//   node --v8-pool-size=0 decode_node.mjs --model F.gguf --input F.json
//        --threads N --warm-up N --repetitions N [--take-turns]
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {createInterface} from "node:readline";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const NEW_TOKENS = 128;
const text = {type: "string"};
const {values: flags} = parseArgs({options: {
  model: text, input: text, packages: text,
  threads: {type: "string", default: "1"},
  "warm-up": {type: "string", default: "1"},
  repetitions: {type: "string", default: "3"},
  "take-turns": {type: "boolean", default: false},
}});
// From the folder that scripts/test.sh installs it in.
const resolve = createRequire(flags.packages + "/").resolve;
const {getLlama} = await import(pathToFileURL(resolve("node-llama-cpp")));

const threads = Number(flags.threads);
const prompt = JSON.parse(readFileSync(flags.input, "utf8")).documents[0];
const llama = await getLlama({gpu: false, build: "never", skipDownload: true,
                              logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath: flags.model});
const context = await model.createContext({contextSize: 1024, threads});
const sequence = context.getSequence();

// Seconds for the tokens after the first.
async function decode() {
  await sequence.clearHistory();
  let count = 0, start = 0;
  for await (const _ of sequence.evaluate(prompt, {temperature: 0})) {
    if (count === 0) start = performance.now();
    if (++count === NEW_TOKENS) break;
  }
  return [count - 1, (performance.now() - start) / 1000];
}

const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]();
for (let i = 0; i < Number(flags["warm-up"]); ++i) await decode();
if (flags["take-turns"]) console.log("ready");
const units = [], seconds = [];
for (let i = 0; i < Number(flags.repetitions); ++i) {
  if (flags["take-turns"] && (await lines.next()).done) break;
  const [did, took] = await decode();
  units.push(did);
  seconds.push(took);
  if (flags["take-turns"]) console.log("done");
}
// Not resourceUsage(): a process inherits maxRSS from the one that starts it.
const peak =
    /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1] * 1024;
process.stdout.write(
    JSON.stringify({unit: "tokens", units, seconds, peak_rss_bytes: peak,
                    settings: {threads}}) + "\n",
    () => process.exit(0));
