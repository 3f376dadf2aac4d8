/**
 * Writes token ids and greedy continuations of a GGUF file by llama.cpp, with the two largest logits of each step.
 *
 * With quantized weights, llama.cpp also rounds activations to blocks of 8 bits, which changes logits of Gemma 3 270M by up to 1.3. So
 * convert the file with gguf_to_float32.py first. Run this in a folder that has the npm package node-llama-cpp (made with 3.22.1):
 * node PATH/make_llama_cpp_greedy.mjs gemma-f32.gguf > PATH/../gemma_llama_cpp.json
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(path.join(process.cwd(), 'here.js'));
const entry = require.resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);

const STEPS = 24;
const PROMPTS = [
  'The capital of France is',
  'def fibonacci(n):\n    ',
  'Question: What is 12 + 30?\nAnswer:',
  'Dear Sir or Madam,\n\nI am writing to',
  'Die Hauptstadt von Deutschland ist',
  'The river, in 1927 — naïve café 😀',
  'SELECT name FROM users WHERE',
  '日本の首都は',
];

const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: LlamaLogLevel.error, maxThreads: 1 });
const model = await llama.loadModel({ modelPath: path.resolve(process.argv[2]), gpuLayers: 0 });
const whole = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' };
const context = await model.createContext({ contextSize: 256, threads: 1, flashAttention: false, batchSize: 256, ...whole });
const sequence = context.getSequence();

async function continued(prompt) {
  const ids = [model.tokens.bos, ...model.tokenize(prompt, false)];
  await sequence.clearHistory();
  const [tokens, largest] = [[], []];
  let input = ids;
  for (let step = 0; step < STEPS; step++) {
    const asked = input.map((id, i) => (i === input.length - 1 ? [id, { generateNext: { token: true, logits: true, options: { temperature: 0 } } }] : id));
    const { token, logits } = (await sequence.controlledEvaluate(asked)).at(-1).next;
    // Sorted by size.
    const [first, second] = [...logits.values()].slice(0, 2);
    tokens.push(token);
    largest.push([first, second].map(logit => Number(logit.toFixed(4))));
    input = [token];
  }
  return { prompt, ids, tokens, largest };
}

const found = [];
for (const prompt of PROMPTS) found.push(await continued(prompt));
const { version } = JSON.parse(readFileSync(path.join(path.dirname(entry), '..', 'package.json'), 'utf8'));
const meta = { file: path.basename(process.argv[2]), 'node-llama-cpp': version, 'llama.cpp': llama.llamaCppRelease?.release };
console.log(`{"meta":${JSON.stringify(meta)},"cases":[\n${found.map(one => JSON.stringify(one)).join(',\n')}]}`);
await context.dispose();
await model.dispose();
await llama.dispose();
