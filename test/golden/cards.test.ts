/**
 * Compares estimates of a training step with the card's own compiler, without the card. Families and generations are in
 * `cards.long.test.ts`. `ROWTUNE_TEST_CARDS=all` also compares larger steps.
 */
import path from 'node:path';
import { expect, it } from 'vitest';
import { compileCase, compiledParts, modeledTemporaries } from '../../bench/memory/cards.ts';
import { cardCatalog, cardOfEachGeneration } from '../../trainer/catalog/cards.ts';
import { type CardCompiler, openCardCompiler } from '../../trainer/engine/pjrt/card-compiler.ts';
import { openCardPrograms } from '../../trainer/engine/pjrt/card-programs.ts';
import { type LoweringTarget, lowerSignature } from '../../trainer/engine/pjrt/lower.ts';
import { decodeProgram, decodeSignature, inferenceBytes, PREFILL } from '../../trainer/generate/decode-program.ts';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { byteSize, elementCount } from '../../trainer/graph/types.ts';
import { splitSumBytes } from '../../trainer/graph/xla-split-sums.ts';
import { compilePass, compileTraining } from '../../trainer/handlers/card-memory.ts';
import { readModelHeaders } from '../../trainer/hub/open-model.ts';
import { HOSTED_FROM } from '../../trainer/model/hosted-weights.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { FLOAT32 } from '../../trainer/model/weight-storage.ts';
import { required } from '../../trainer/narrow.ts';
import { untouchedIn } from '../../trainer/objective/untouched-in.ts';
import { attentionForms } from '../../trainer/plan/choices/check-attention.ts';
import { priceRun } from '../../trainer/plan/memory/predict.ts';
import { encoderMark, largestView, priceEncoder } from '../../trainer/plan/memory/price-encoder.ts';
import { planRun, type RunPlan } from '../../trainer/plan/run-plan.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeWith } from '../support/describe-with.ts';
import { COMPILE_MS, type Config, cardPlan, compilerHere, configOf, MAX_MISSED, noCompiler } from '../support/golden/card-steps.ts';
import { recipeIn } from '../support/runs/recipe-of.ts';


const [card] = cardOfEachGeneration;
const small = configOf('llama');
/** A config with matrices large enough to be offloaded. */
const wide: Config = { ...small, hidden_size: 128, intermediate_size: 256, num_hidden_layers: 2 };
/** Masks of kernels other than that of a plain decoder. */
const otherMasks = [
  { title: 'a window of keys', config: configOf('mistral_window'), form: { causal: true, window: 5, isPadded: false } },
  { title: 'samples that are filled up', config: configOf('albert'), form: { causal: false, isPadded: true } },
];
const longPlan = (config: Config, attention: string) =>
  cardPlan({ ...config, max_position_embeddings: 512 }, `r: 2\ndtype: bfloat16\nattention: ${attention}\n`, { tokens: 512 });

type Compiled = Awaited<ReturnType<CardCompiler['compile']>>;

/** Expects that this many bytes moved from the card to the host's memory, and that the program computes nothing there. */
function expectMoved(before: Pick<Compiled, 'arguments'>, after: Pick<Compiled, 'arguments' | 'host' | 'hostOperations'>, bytes: number) {
  expect(bytes).toBeGreaterThan(0);
  expect(after.host).toBe(bytes);
  expect(before.arguments - after.arguments).toBe(bytes);
  expect(after.hostOperations).toEqual([]);
}

describeWith('a step compiled for a card', compilerHere, noCompiler, compiler => {
  const forMemory = openCardCompiler(cacheDir, 'nvidia', { forMemory: true });
  it.each(process.env.ROWTUNE_TEST_CARDS === 'all' ? compiledParts : [])(
    'of $name ($level) for $card takes the temporaries that an estimate says, within 10%',
    async one => {
      const { predicted, temporaries } = await compileCase(one, compiler);
      expect(Math.abs(predicted / temporaries - 1)).toBeLessThanOrEqual(MAX_MISSED);
    },
    COMPILE_MS,
  );

  it(
    'is found compiled the second time',
    async () => {
      await compileTraining(cardPlan(small), 'cheap', card, compiler);
      const again = await compileTraining(cardPlan(small), 'cheap', card, compiler);
      expect(again.found).toBe(true);
    },
    COMPILE_MS,
  );

  it('gives an estimate its memory', () => {
    const plan = cardPlan(small);
    const found = priceRun(plan, { known: openCardPrograms(cacheDir, card) });
    expect(found).toMatchObject({ source: 'compiler', recompute: 'cheap' });
    expect(priceRun(plan).source).toBe('model');
  });

  it.each([
    // Narrower steps of this kind are known misses (docs/decisions/xla-memory-model.md).
    { method: 'trains: columns\nr: 8\n', config: { ...small, hidden_size: 256, intermediate_size: 768, vocab_size: 1024, head_dim: 64 }, tokens: 64 },
    { method: 'method: lora\nr: 4\ndtype: bfloat16\n', config: small, tokens: 16 },
  ])(
    'that recomputes nothing takes the temporaries that an estimate says: $method',
    async ({ method, config, tokens }) => {
      const plan: RunPlan = { ...cardPlan(config, method, { tokens, card }), recompute: 'none' };
      const { temporaries } = await compileTraining(plan, 'none', card, forMemory);
      expect(Math.abs(modeledTemporaries(plan, 'none') / temporaries - 1)).toBeLessThanOrEqual(MAX_MISSED);
    },
    COMPILE_MS,
  );

  it.each(['smolvlm', 'qwen2_5_vl', 'qwen3_5_moe_vision'])(
    'of the encoder of images of %s takes the memory that an estimate says, and gives an estimate its memory',
    async folder => {
      const headers = await readModelHeaders(path.join(import.meta.dirname, folder));
      const recipe = recipeIn('model: base\ndata: {train: [train.jsonl], image_max_pixels: 4096}\nr: 2\nmax_length: 16\n');
      const plan = planRun({ recipe, headers, on: { engine: 'pjrt', device: 'gpu', card } });
      const view = required(largestView(recipe, headers, plan), 'an encoder');
      const { totalBytes, hostOperations } = await compilePass(view, { card, compiler: forMemory, mark: encoderMark(view) });
      expect(hostOperations).toEqual([]);
      expect(Math.abs(required(priceEncoder(recipe, headers, plan), 'its memory') / totalBytes - 1)).toBeLessThanOrEqual(MAX_MISSED);
      expect(priceEncoder(recipe, headers, plan, openCardPrograms(cacheDir, card))).toBe(totalBytes);
    },
    COMPILE_MS,
  );

  it(
    "keeps the optimizer's state in the memory of the host, if it is offloaded, and takes as much less of the card",
    async () => {
      const plan = (more: string) => cardPlan(wide, `method: full\n${more}`);
      const there = plan('optimizer_offload: host\n');
      const before = await compileTraining(plan(''), 'cheap', card, forMemory);
      const after = await compileTraining(there, 'cheap', card, forMemory);
      const { offloadedBytes } = priceRun(there);
      expectMoved(before, after, offloadedBytes);
      expect(after.totalBytes).toBeLessThan(before.totalBytes);
    },
    2 * COMPILE_MS,
  );

  it.each(['r: 2', 'r: 2\ntrains: columns', 'r: 2\ntrains: coupled', 'method: lora\nr: 4'])(
    'moves the weights of a block from the memory of the host, if they are offloaded, when it computes the block: %s',
    async method => {
      const blocks = 6;
      const plan = (more: string): RunPlan => {
        const settings = `${method}\nengine: pjrt\ndtype: bfloat16\n${more}`;
        return { ...cardPlan({ ...wide, hidden_size: 256, intermediate_size: 512, num_hidden_layers: blocks }, settings), recompute: 'block' };
      };
      const there = plan('base_offload: host\n');
      const here = plan('');
      const before = await compileTraining(here, 'block', card, forMemory);
      const after = await compileTraining(there, 'block', card, forMemory);
      const { offloadedBytes } = priceRun(there);
      expectMoved(before, after, offloadedBytes);
      expect(after.aliased).toBe(after.changedBytes);
      // At most the weights of two blocks are on the card at a time.
      const added = after.temporaries - before.temporaries;
      expect(added).toBeLessThanOrEqual((2 * offloadedBytes) / blocks);
      const modeled = modeledTemporaries(there, 'block') - modeledTemporaries(here, 'block');
      expect(Math.abs(modeled - added)).toBeLessThanOrEqual(MAX_MISSED * after.temporaries);
    },
    2 * COMPILE_MS,
  );

  it.each([
    { title: 'a stretch of a prompt', signature: PREFILL },
    { title: 'the next token of two texts', signature: decodeSignature(2) },
  ])(
    'moves the weights of a block from the memory of the host to read $title',
    async ({ signature }) => {
      const blocks = 6;
      const model = causalModel({ ...wide, hidden_size: 256, intermediate_size: 512, num_hidden_layers: blocks });
      const { hosted } = untouchedIn(model, FLOAT32, HOSTED_FROM);
      const { signatures, variables } = decodeProgram({ model, tokens: 256, slots: 2 });
      const specs = new Map(variables.map(spec => [spec.name, spec]));
      const textOf = (places: LoweringTarget['places']) => lowerSignature(required(signatures[signature], signature), specs, { places }).text;
      const before = await forMemory.compile(card, { text: textOf(undefined) });
      const after = await forMemory.compile(card, { text: textOf(hosted) });
      const { hostBytes } = inferenceBytes(model, { tokens: 256, slots: 2, hostFrom: HOSTED_FROM });
      expectMoved(before, after, hostBytes);
      expect(after.aliased).toBe(before.aliased);
      // At most the weights of two blocks are on the card at a time.
      const added = after.temporaries - before.temporaries;
      expect(added).toBeLessThanOrEqual((2 * hostBytes) / blocks);
    },
    2 * COMPILE_MS,
  );

  it(
    'of one of two cards has the sums of gradients within it, and takes at most what an estimate says for them',
    async () => {
      const plan = (devices: number) => cardPlan(wide, `method: full\nengine: pjrt\ndevices: ${devices}\n`);
      const both = plan(2);
      const one = await compileTraining(plan(1), 'cheap', card, forMemory);
      const two = await compileTraining(both, 'cheap', card, forMemory);
      expect(two.aliased).toBe(two.changedBytes);
      expect(two.changedBytes).toBe(one.changedBytes);
      expect(two.hostOperations).toEqual([]);
      const { exchangeBytes = 0, trainable } = priceRun(both);
      expect(exchangeBytes).toBe(2 * 4 * trainable);
      const sums = two.temporaries - one.temporaries;
      console.log(`sums on each of two cards: ${sums} bytes, ${(sums / (4 * trainable)).toFixed(2)} times the gradients`);
      expect(sums).toBeLessThanOrEqual(exchangeBytes);
      expect(priceRun(both, { known: openCardPrograms(cacheDir, card) }).source).toBe('compiler');
    },
    2 * COMPILE_MS,
  );

  const isWhole = process.env.ROWTUNE_TEST_CARDS === 'all';
  it.each(isWhole ? cardOfEachGeneration : [card])(
    'takes less memory with attention as one kernel than with chunks: %s',
    async on => {
      const planOf = (attention: string) => longPlan(small, attention);
      const fused = required(await compileTraining(planOf('fused'), 'cheap', on, compiler), 'fused');
      const chunked = await compileTraining(planOf('chunked'), 'cheap', on, forMemory);
      expect(fused.temporaries).toBeLessThan(chunked.temporaries);
      expect(fused.aliased).toBe(fused.changedBytes);
      expect(fused.hostOperations).toEqual([]);
    },
    2 * COMPILE_MS,
  );

  it.each((isWhole ? cardOfEachGeneration : [card]).flatMap(on => otherMasks.map(mask => ({ on, ...mask }))))(
    'compiles one kernel for attention with $title: $on',
    async ({ on, config, form }) => {
      const plan = longPlan(config, 'fused');
      expect(attentionForms(plan.program('cheap'))).toMatchObject([form]);
      expect((await compileTraining(plan, 'cheap', on, compiler)).hostOperations).toEqual([]);
    },
    COMPILE_MS,
  );

  it(
    'copies no head whose words do not divide for the gradient of a few logits',
    async () => {
      const [rows, words, width] = [16, 151_936, 2048];
      const graph = new Graph();
      const logits = graph.cast(graph.feed('logits', [rows, words]), 'bfloat16');
      const y = graph.matmul(logits, graph.feed('head', [words, width], 'bfloat16'));
      const { signatures } = assemble({ run: { graph, outputs: { y }, effects: [] } });
      const temporariesOf = async (target: LoweringTarget): Promise<number> => {
        const { text } = lowerSignature(required(signatures.run, 'run'), new Map(), target);
        return (await forMemory.compile(card, { text })).temporaries;
      };
      const headBytes = 2 * words * width;
      expect(await temporariesOf({})).toBeGreaterThan(headBytes);
      const filled = await temporariesOf({ card: cardCatalog[card] });
      expect(filled).toBeLessThan(headBytes / 10);
      const modeled = splitSumBytes(y, cardCatalog[card]) + byteSize(logits);
      expect(Math.abs(modeled / filled - 1)).toBeLessThanOrEqual(MAX_MISSED);
    },
    COMPILE_MS,
  );

  it('names the card and the reason where the compiler refuses a program', async () => {
    const refused = compiler.compile('h100', { text: 'module @broken { func.func @main() { return %x : tensor<f32> } }' });
    await expect(refused).rejects.toThrow(/jax-cuda1\d-pjrt .* could not compile the program for H100 80 GB: /);
  });
});
