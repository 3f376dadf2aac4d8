/** Tests that decoding with a cache gives at every step the logits of reading the whole sequence at once (1e-4), for every decoder here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../trainer/engine/engine.ts';
import { MODULES_FILE } from '../../trainer/format/sentence-modules.ts';
import { contextBucket, decodeWidths, LOGITS, logitsProgram, PREFILL, PREFILL_TOKENS } from '../../trainer/generate/decode-program.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { required, valueFor } from '../../trainer/narrow.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { casesOn, casesOnFastest, describeOn, openAllOthers, openFast } from '../support/engines.ts';
import { floatsOf } from '../support/numbers/outputs.ts';

const isDecoder = (name: string): boolean => {
  const config = join(import.meta.dirname, name, 'config.json');
  // Embedding models have no head that predicts tokens.
  if (existsSync(join(import.meta.dirname, name, MODULES_FILE))) return false;
  return existsSync(config) && /CausalLM|LMHeadModel|Gemma\w+ForConditional/.test(readFileSync(config, 'utf8'));
};
const families = readdirSync(import.meta.dirname).filter(isDecoder);
/** True for the folders that are tested on every engine, one for each kind of cache: keys and values, also of a window, and two kinds of state. */
const isOne = (name: string): boolean => ['gemma4', 'qwen3_5', 'lfm2'].includes(name);
/** A prompt length of more than one prefill chunk, if the model has the positions, with an incomplete last chunk. */
const PROMPT = PREFILL_TOKENS + 7;
const STEPS = 6;

async function errors(engine: Engine, name: string): Promise<number[]> {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const tokens = Math.min(PROMPT + STEPS, model.maxPositions);
  const ids = Array.from({ length: tokens }, (_, i) => (i * 37 + 11) % model.vocabularySize);
  const wholeOf = async (length: number): Promise<Float32Array> => {
    const whole = await engine.compile(logitsProgram({ model, tokens: length }));
    await whole.load(weightStream(model, folder.weights));
    const outputs = await whole.run(LOGITS, { ids: Int32Array.from(ids.slice(0, length)) });
    await whole.dispose();
    return floatsOf(outputs, 'logits');
  };
  const { ropeRescaling } = model;
  // Beyond this length, rotary angles change, so the start of a longer text is not equivalent to a text of its own.
  const lengths = ropeRescaling ? [ropeRescaling.length, tokens] : [tokens];
  const wholes = new Map(await Promise.all(lengths.map(async length => [length, await wholeOf(length)] as const)));
  const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens });
  await folder.weights.close();
  const rowOf = (token: number) => {
    const length = required(
      lengths.find(each => token < each),
      'a length',
    );
    return [...valueFor(wholes, length).subarray(token * model.vocabularySize, (token + 1) * model.vocabularySize)];
  };
  const found: number[] = [];
  // An earlier prompt must leave no traces.
  await decoder.read(ids.slice(0, 5).reverse());
  const prompt = ropeRescaling ? ropeRescaling.length - 3 : tokens - STEPS;
  found.push(largestDifference(await decoder.read(ids.slice(0, prompt)), rowOf(prompt - 1)));
  // Dynamic scaling rotates each longer text differently but does not change cached keys, so no text read at once has these logits.
  const end = ropeRescaling && !ropeRescaling.isReread ? ropeRescaling.length : prompt + STEPS;
  for (let token = prompt; token < end; token++) found.push(largestDifference(await decoder.next(ids[token] as number), rowOf(token)));
  expect(decoder.unread(0)).toBe(0);
  await decoder.dispose();
  return found;
}

const engines = await openAllOthers();
// The other engines compare a text among others with the same text alone, below.
describeOn(engines, (engine, engineName) => {
  test.each(casesOnFastest(engines, engineName, families, isOne))('%s', async name => {
    const found = await errors(engine, name);
    expect(found.length).toBeGreaterThan(3);
    expect(Math.max(...found)).toBeLessThan(1e-4);
  });
});

test('a prompt that shares its beginning with the last one reuses the cache, with the same logits to the bit', async () => {
  const engine = await openFast();
  const folder = await openModel(join(import.meta.dirname, 'llama'));
  const model = causalModel(folder.config);
  const tokens = model.maxPositions;
  expect(tokens).toBeGreaterThanOrEqual(PREFILL_TOKENS);
  // The tiny model has positions for only one chunk. A full chunk is shared, which would leave no room for more tokens.
  const wide = { ...model, maxPositions: 3 * PREFILL_TOKENS };
  const idsOf = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => (i * 37 + seed) % model.vocabularySize);
  const begin = idsOf(11, PREFILL_TOKENS);
  const [first, second] = [
    [...begin, ...idsOf(5, 20)],
    [...begin, ...idsOf(7, 70)],
  ];
  let stretches = 0;
  const counting = countingRuns(engine, signature => {
    if (signature === PREFILL) stretches++;
  });
  const open = (on: Engine) => openDecoder({ engine: on, model: wide, weights: folder.weights, tokens: 3 * PREFILL_TOKENS });
  const [used, fresh] = [await open(counting), await open(engine)];
  await used.read(first);
  await used.next(3);
  stretches = 0;
  expect(await used.read(second)).toEqual(await fresh.read(second));
  // One of three chunks is already cached.
  expect(stretches).toBe(2);
  await Promise.all([used.dispose(), fresh.dispose(), folder.weights.close()]);
});

/** Returns the engine, which now reports each run of a signature. */
const countingRuns = (engine: Engine, onRun: (signature: string) => void): Engine => ({
  ...engine,
  compile: async (program, options) => {
    const session = await engine.compile(program, options);
    const run: typeof session.run = (signature, feeds) => {
      onRun(signature);
      return session.run(signature, feeds);
    };
    return {
      run,
      load: values => session.load(values),
      read: name => session.read(name),
      readAll: names => session.readAll(names),
      dispose: () => session.dispose(),
    };
  },
});

/** Returns the largest difference between the logits of three texts that are read and continued together and those of each text alone. */
async function togetherErrors(engine: Engine, name: string): Promise<number> {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const tokens = Math.min(PROMPT + STEPS, model.maxPositions);
  const open = (texts: number) => openDecoder({ engine, model, weights: folder.weights, tokens, texts });
  const [alone, together] = [await open(1), await open(3)];
  await folder.weights.close();
  const texts = [5, tokens - STEPS, 18].map((length, seed) =>
    Array.from({ length: length + STEPS }, (_, i) => (i * 37 + 11 + seed) % model.vocabularySize),
  );
  const promptOf = (slot: number): number[] => texts[slot]?.slice(0, -STEPS) ?? [];
  // The first slot held a longer text before, and the third starts when the others are some tokens ahead.
  await together.read(texts[1]?.slice(1, 40) ?? []);
  const found: number[][] = texts.map(() => []);
  const note = (slot: number, logits: Float32Array | undefined): void => void found[slot]?.push(...(logits ?? [Number.NaN]));
  const step = async (slots: readonly number[], at: (slot: number) => number): Promise<void> => {
    for (const slot of slots) together.push(slot, texts[slot]?.at(at(slot)) ?? Number.NaN);
    // A text whose rotary angles change at this token is read again.
    for (const slot of slots)
      while (together.unread(slot) > 1) {
        const logits = await together.readStretch(slot);
        if (logits) note(slot, logits);
      }
    const ready = slots.filter(slot => together.unread(slot) === 1);
    const all = await together.step(ready);
    ready.forEach((slot, i) => void note(slot, all[i]));
  };
  for (const slot of [0, 1]) note(slot, await together.read(promptOf(slot), slot));
  for (let i = 0; i < 3; i++) await step([0, 1], () => i - STEPS);
  note(2, await together.read(promptOf(2), 2));
  for (let i = 3; i < STEPS; i++) await step([2, 0, 1], slot => (slot === 2 ? i - 3 : i) - STEPS);
  for (let i = STEPS - 3; i < STEPS; i++) await step([2], () => i - STEPS);
  let largest = 0;
  for (const [slot, text] of texts.entries()) {
    const expected = [...(await alone.read(promptOf(slot)))];
    for (const id of text.slice(-STEPS)) expected.push(...(await alone.next(id)));
    largest = Math.max(largest, largestDifference(found[slot] ?? [], expected));
  }
  await Promise.all([alone.dispose(), together.dispose()]);
  return largest;
}

describe('several texts together', async () => {
  describeOn(engines, (engine, engineName) => {
    const all = families.filter(name => isOne(name) || engineName.startsWith('portable'));
    test.each(casesOn(engineName, all, isOne))('%s', async name => {
      expect(await togetherErrors(engine, name)).toBeLessThan(1e-5);
    });
  });
});

test('the size of the cache doubles up to the positions of the model', () => {
  expect(contextBucket(1, 8192)).toBe(256);
  expect(contextBucket(257, 8192)).toBe(512);
  expect(contextBucket(5000, 8192)).toBe(8192);
  expect(contextBucket(8000, 6000)).toBe(8000);
  expect(contextBucket(10, 64)).toBe(64);
  expect(contextBucket(10, 100)).toBe(128);
});

test('the widths of decoding steps for a number of texts', () => {
  expect([1, 2, 3, 4, 6].map(decodeWidths)).toEqual([[1], [1, 2], [1, 2, 3], [1, 2, 4], [1, 2, 4, 6]]);
});
