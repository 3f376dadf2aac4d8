/** Exports of a briefly tuned tiny Llama: every form of every method opens again and computes what was trained, for all storages. */
import { existsSync } from 'node:fs';
import { cp, lstat, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Adapter } from '../../../trainer/adapter/adapter.ts';
import { applyAdapter } from '../../../trainer/adapter/apply-adapter.ts';
import { mergedWeights } from '../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { type ExportParams, exportModel } from '../../../trainer/artifact/export-model.ts';
import { compareLogits, sequenceLogits, smokeIds } from '../../../trainer/artifact/smoke-test.ts';
import { type MethodName, methodNames } from '../../../trainer/catalog/methods.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { INDEX_FILE, openSafetensors, SINGLE_FILE } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { encodePrompt } from '../../../trainer/generate/prompt.ts';
import { type ModelFolder, openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { largestDifference } from '../../../trainer/verify/verify-model.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { TINY_LLAMA, tinyAdapter, tinyWithTokenizer } from '../../support/models/tiny-adapter.ts';

let engine: Engine;
const adapters = new Map<MethodName, string>();
/** The base for a method; the tiny Llama of the golden numbers has no biases. */
const baseOf = (method: MethodName): string => (method === 'bitfit' ? join(TINY_LLAMA, '..', 'llama_biased') : TINY_LLAMA);
const inPeft: readonly MethodName[] = ['spsft', 'lora', 'dora', 'shira', 'vera', 'spsft+lora'];

beforeAll(async () => {
  engine = await openFast();
  for (const method of methodNames)
    adapters.set(
      method,
      await tinyAdapter({ engine, method, budget: method === 'spsft+lora' ? { ratio: 0.1 } : { r: 4 }, base: baseOf(method) }),
    );
});

const open: (() => Promise<void>)[] = [];
afterEach(() => Promise.all(open.splice(0).map(close => close())));

/** Opens a folder that is closed after the test. */
async function openFolder(path: string): Promise<ModelFolder> {
  const folder = await openModel(path);
  open.push(() => folder.weights.close());
  return folder;
}

async function openAdapter(path: string): Promise<Adapter> {
  const adapter = await readAdapter(path);
  open.push(() => adapter.close());
  return adapter;
}

const output = async (): Promise<string> => join(await temporaryFolder(), 'out');

const run = async (adapterPath: string, change: Partial<ExportParams> & Pick<ExportParams, 'format'>) =>
  exportModel({
    adapterPath,
    outputDir: await output(),
    overwrite: false,
    engine,
    openBase: ({ source }) => openModel(source),
    ...change,
  });

async function logitsOf(path: string): Promise<Float32Array> {
  const folder = await openFolder(path);
  const model = causalModel(folder.config);
  const logits = await sequenceLogits(engine, { model, weights: folder.weights }, smokeIds(model, undefined));
  return logits;
}

describe('every form of every method', () => {
  test.each(
    methodNames.flatMap(method =>
      (inPeft.includes(method) ? (['adapter', 'merged', 'peft'] as const) : (['adapter', 'merged'] as const)).map(
        format => [method, format] as const,
      ),
    ),
  )('%s as %s', async (method, format) => {
    const base = baseOf(method);
    const result = await run(valueFor(adapters, method), { format });
    expect(result.largestDifference).toBeLessThan(1e-4);
    expect(await readdir(result.outputDir)).toEqual(result.files);
    expect(await readdir(dirname(result.outputDir))).toEqual(['out']);
    if (format === 'merged') {
      // The training is included: the base computes something else.
      expect(largestDifference(await logitsOf(result.outputDir), [...(await logitsOf(base))])).toBeGreaterThan(1e-2);
      return;
    }
    // An export is an adapter again, which exports to the same merged weights.
    const [first, second] = await Promise.all(
      [valueFor(adapters, method), result.outputDir].map(path => run(path, { format: 'merged', openBase: () => openModel(base) })),
    );
    expect(largestDifference(await logitsOf(first?.outputDir ?? ''), [...(await logitsOf(second?.outputDir ?? ''))])).toBeLessThan(1e-5);
  });

  test.each([
    ['full', /Export it as merged/],
    ['rosa', /single elements/],
    ['bitfit', /only biases/],
    ['head', /which trained only the head/],
  ] as const)('%s as peft is refused', async (method, message) => {
    const openBase = () => openModel(baseOf(method));
    await expect(run(valueFor(adapters, method), { format: 'peft', openBase })).rejects.toThrow(message);
  });

  test.each([
    ['rows of norm, embedding, head and linear layer', { method: 'spsft', targets: ['norm', 'embed_tokens', 'q_proj', 'lm_head'] }],
    ['rows with their biases', { method: 'spsft', base: join(TINY_LLAMA, '..', 'llama_biased') }],
    ['columns', { method: 'spsft', settings: { trains: 'columns' } }],
    [
      'rows and the columns that read them',
      { method: 'spsft', base: join(TINY_LLAMA, '..', 'llama_biased'), settings: { trains: 'coupled' } },
    ],
    ['rows and factors with biases', { method: 'spsft+lora', base: join(TINY_LLAMA, '..', 'llama_biased') }],
    ['factors and a whole head and norm', { method: 'lora', settings: { modulesToSave: ['head', 'model.norm'] } }],
    ['vectors and a whole norm', { method: 'vera', settings: { modulesToSave: ['model.norm'] } }],
    ['lengths and a whole head', { method: 'dora', targets: ['q_proj', 'down_proj'], settings: { modulesToSave: ['head'] } }],
  ] as const)('%s as peft', async (_, { method, ...tuning }) => {
    const budget = method === 'spsft+lora' ? { ratio: 0.1 } : { r: 2 };
    const result = await run(await tinyAdapter({ engine, method, budget, ...tuning }), { format: 'peft' });
    expect(result.largestDifference).toBeLessThan(1e-4);
  });

  test('elements of an embedding are refused as peft, by name', async () => {
    const adapterPath = await tinyAdapter({ engine, method: 'shira', budget: { r: 2 }, targets: ['embed_tokens', 'q_proj'] });
    await expect(run(adapterPath, { format: 'peft' })).rejects.toThrow(
      /model\.embed_tokens \(PEFT has SHiRA for linear layers alone\): export/,
    );
  });

  test('rows of an embedding that is the head too are refused as peft, by name', async () => {
    const adapterPath = await tinyAdapter({
      engine,
      method: 'spsft',
      budget: { r: 2 },
      targets: ['embed_tokens', 'q_proj'],
      base: join(TINY_LLAMA, '..', 'llama3_tied'),
    });
    await expect(run(adapterPath, { format: 'peft' })).rejects.toThrow(/model\.embed_tokens \(tied to the output head/);
  });

  test.each(['llama', 'qwen3_vl'])('rows outside the selection keep every bit, as does an encoder of images: %s', async name => {
    const from = join(TINY_LLAMA, '..', name);
    const path =
      from === TINY_LLAMA ? valueFor(adapters, 'spsft') : await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base: from });
    const { outputDir } = await run(path, { format: 'merged' });
    const [base, merged, adapter] = [await openFolder(from), await openFolder(outputDir), await openAdapter(path)];
    for (const [name, { shape }] of base.weights.tensors) {
      const [before, after] = [await base.weights.readFloat32(name), await merged.weights.readFloat32(name)];
      const rows = adapter.description.rows.get(name.replace(/\.weight$/, '')) ?? [];
      const width = before.length / (shape[0] as number);
      const changed = [...before.keys()].filter(i => before[i] !== after[i]).map(i => Math.floor(i / width));
      expect(new Set(changed), name).toEqual(new Set(rows));
    }
  });
});

describe('bases', () => {
  test('sharded bfloat16: same shards, same types', async () => {
    const base = await temporaryFolder();
    const source = await openFolder(TINY_LLAMA);
    const names = [...source.weights.tensors.keys()];
    const weightMap: Record<string, string> = {};
    for (const [file, part] of [
      ['model-00001-of-00002.safetensors', names.slice(0, 9)] as const,
      ['model-00002-of-00002.safetensors', names.slice(9)] as const,
    ]) {
      const entries = part.map(name => ({
        name,
        // Includes a norm in float32, as in some models.
        dtype: name === 'model.norm.weight' ? ('F32' as const) : ('BF16' as const),
        shape: source.weights.tensors.get(name)?.shape ?? [],
        data: async () => encodeFloat32(await source.weights.readFloat32(name), name === 'model.norm.weight' ? 'F32' : 'BF16'),
      }));
      await writeSafetensors(join(base, file), entries);
      for (const name of part) weightMap[name] = file;
    }
    await writeFile(join(base, INDEX_FILE), JSON.stringify({ metadata: {}, weight_map: weightMap }));
    for (const file of ['config.json', 'generation_config.json']) await cp(join(TINY_LLAMA, file), join(base, file));
    for (const method of ['spsft', 'lora'] as const) {
      const adapterPath = await tinyAdapter({ engine, method, budget: { r: 4 }, base });
      const result = await run(adapterPath, { format: 'merged' });
      expect(result.files).toEqual([
        'config.json',
        'generation_config.json',
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        INDEX_FILE,
        'rowtune_export.json',
      ]);
      const [a, b] = [await openSafetensors(join(base, INDEX_FILE)), await openSafetensors(join(result.outputDir, INDEX_FILE))];
      open.push(a.close, b.close);
      expect(b.shards).toEqual(a.shards);
      expect([...b.tensors.values()]).toEqual([...a.tensors.values()]);
      const bytes = [...a.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(readRecord(join(result.outputDir, INDEX_FILE))).toMatchObject({ metadata: { total_size: bytes } });
    }
  });

  test('GGUF: float32 unless another type is asked for, and what travels with a model is written out', async () => {
    const base = join(TINY_LLAMA, '..', 'gguf', 'tiny-llama.gguf');
    const adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base });
    for (const [type, dtype, tolerance] of [
      [undefined, 'F32', 1e-4],
      ['bfloat16', 'BF16', 1e-4],
      ['float16', 'F16', 1e-4],
    ] as const) {
      const { outputDir, files, largestDifference: found } = await run(adapterPath, { format: 'merged', type });
      expect(files).toEqual([
        'config.json',
        'generation_config.json',
        SINGLE_FILE,
        'rowtune_export.json',
        'tokenizer.json',
        'tokenizer_config.json',
      ]);
      expect(found).toBeLessThan(tolerance);
      const merged = await openFolder(outputDir);
      expect(new Set([...merged.weights.tensors.values()].map(tensor => tensor.dtype))).toEqual(new Set([dtype]));
      expect(merged.config.torch_dtype).toBe(type ?? 'float32');
    }
  });

  test('the chat template and the tokenizer are copied', async () => {
    const base = await tinyWithTokenizer();
    const template = "{% for message in messages %}{{ message.role + ':' + message.content + '\\n' }}{% endfor %}";
    await writeFile(join(base, 'chat_template.jinja'), template);
    const { outputDir, files } = await run(await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, base }), { format: 'merged' });
    expect(files).toEqual([
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      SINGLE_FILE,
      'rowtune_export.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const [ours, theirs] = [await openFolder(outputDir), await openFolder(base)];
    for (const text of ['{"a": 1}', 'two words\n']) {
      const [a, b] = await Promise.all([ours, theirs].map(async folder => encodePrompt(await folder.loadTokenizer(), text, true)));
      expect(a).toEqual(b);
      expect(a?.chat).toBe(true);
    }
  });

  test('another base is refused, and nothing is written', async () => {
    const outputDir = await output();
    const other = join(TINY_LLAMA, '..', 'llama_biased');
    await expect(run(valueFor(adapters, 'spsft'), { format: 'merged', outputDir, openBase: () => openModel(other) })).rejects.toThrow(
      /fingerprint[\s\S]+this model needs/,
    );
    expect(existsSync(outputDir)).toBe(false);
  });
});

describe('the output folder', () => {
  test('is replaced only with --overwrite, and only if an export wrote every file in it', async () => {
    const outputDir = await output();
    const adapterPath = valueFor(adapters, 'spsft');
    const { files } = await run(adapterPath, { format: 'adapter', outputDir });
    expect(files).toEqual(['adapter_model.safetensors', 'rowtune_adapter.json', 'rowtune_export.json']);
    await expect(run(adapterPath, { format: 'adapter', outputDir })).rejects.toThrow(/not empty[\s\S]+--overwrite/);
    const merged = await run(adapterPath, { format: 'merged', outputDir, overwrite: true });
    expect(merged.files).toContain('config.json');
    expect(merged.files).not.toContain('rowtune_adapter.json');
    expect(await readdir(dirname(outputDir))).toEqual(['out']);
  });

  const foreign: [string, (dir: string) => Promise<unknown>, RegExp][] = [
    ['a file of the user next to the export', dir => writeFile(join(dir, 'notes.md'), 'precious'), /notes\.md/],
    ['a folder of the user', dir => mkdir(join(dir, 'data')), /data/],
    ['a file that the user edited', dir => writeFile(join(dir, 'rowtune_adapter.json'), '{}'), /rowtune_adapter\.json \(changed since\)/],
    ['a list of files that is damaged', dir => writeFile(join(dir, 'rowtune_export.json'), '{}'), /adapter_model\.safetensors/],
    ['weights in the place of ours', dir => writeFile(join(dir, 'adapter_model.safetensors'), 'mine'), /adapter_model/],
  ];
  test.each(foreign)('with %s is never replaced, even with --overwrite', async (_, change, named) => {
    const outputDir = await output();
    const adapterPath = valueFor(adapters, 'spsft');
    await run(adapterPath, { format: 'adapter', outputDir });
    await change(outputDir);
    const contentsOf = async () =>
      Promise.all((await readdir(outputDir)).map(async name => [name, await readFile(join(outputDir, name)).catch(() => 'folder')]));
    const before = await contentsOf();
    await expect(run(adapterPath, { format: 'adapter', outputDir, overwrite: true })).rejects.toThrow(named);
    expect(await contentsOf()).toEqual(before);
  });

  test('with files of the user is never replaced, even with --overwrite', async () => {
    const outputDir = await output();
    await mkdir(outputDir);
    for (const name of ['config.json', 'model.safetensors', 'mine.txt']) await writeFile(join(outputDir, name), 'precious');
    await expect(run(valueFor(adapters, 'spsft'), { format: 'merged', outputDir, overwrite: true })).rejects.toThrow(
      /did not write all that is in it \(config\.json, mine\.txt, model\.safetensors\)/,
    );
    expect((await readdir(outputDir)).sort()).toEqual(['config.json', 'mine.txt', 'model.safetensors']);
  });

  test('that a killed export had moved aside is restored, and its leftovers are removed', async () => {
    const outputDir = await output();
    const adapterPath = valueFor(adapters, 'spsft');
    await run(adapterPath, { format: 'adapter', outputDir });
    // No process has this number, which is above Linux's maximum.
    const left = join(dirname(outputDir), '.out.4999999-0a1b2c3d.tmp');
    await rename(outputDir, `${left}.old`);
    await mkdir(left);
    await expect(run(adapterPath, { format: 'adapter', outputDir })).rejects.toThrow(/--overwrite/);
    expect(await readdir(dirname(outputDir))).toEqual(['out']);
    expect(await readdir(outputDir)).toContain('rowtune_adapter.json');
  });

  test('given as a link: the folder that the link leads to is replaced, and the link stays', async () => {
    const outputDir = await output();
    const adapterPath = valueFor(adapters, 'spsft');
    await run(adapterPath, { format: 'adapter', outputDir });
    const link = join(dirname(outputDir), 'link');
    await symlink(outputDir, link);
    await run(adapterPath, { format: 'merged', outputDir: link, overwrite: true });
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readdir(outputDir)).toContain('config.json');
  });

  test.runIf(process.platform === 'linux').each(['/proc/nope', '/dev/null/x', '/sys/x'])(
    '%s is refused before anything is computed',
    async place => {
      await expect(run(valueFor(adapters, 'spsft'), { format: 'merged', outputDir: place })).rejects.toThrow(/nothing can be written to/);
    },
  );

  test.each([
    ['the adapter itself', (dir: string) => dir],
    ['a folder around it', (dir: string) => dirname(dir)],
  ])('is not %s', async (_, place) => {
    const adapterPath = valueFor(adapters, 'spsft');
    await expect(run(adapterPath, { format: 'adapter', outputDir: place(adapterPath), overwrite: true })).rejects.toThrow(
      /holds what is exported/,
    );
    expect(existsSync(adapterPath)).toBe(true);
  });

  test("an export whose logits differ from the run's is deleted", async () => {
    const outputDir = await output();
    const truth = engine;
    let runs = 0;
    const lying: Engine = {
      description: truth.description,
      compile: async program => {
        const session = await truth.compile(program);
        const scale = runs++ === 0 ? 1 : 1.01;
        return Object.assign(Object.create(session), {
          run: async (...given: Parameters<typeof session.run>) => {
            const { logits } = await session.run(...given);
            return { logits: Float32Array.from(logits ?? [], value => value * scale) };
          },
        });
      },
    };
    await expect(run(valueFor(adapters, 'lora'), { format: 'merged', outputDir, engine: lying })).rejects.toThrow(
      /differs from the tuned model by/,
    );
    expect(await readdir(dirname(outputDir))).toEqual([]);
  });
});

describe('merging', () => {
  test('merged LoRA gives the logits of attached LoRA', async () => {
    const folder = await openFolder(TINY_LLAMA);
    const model = causalModel(folder.config);
    const adapter = await openAdapter(join(TINY_LLAMA, '..', 'llama_lora_adapter'));
    const attached = await applyAdapter({ model, weights: folder.weights, fingerprint: 'unknown to PEFT', adapter });
    const ids = smokeIds(model, undefined);
    const [one, other] = [
      await sequenceLogits(engine, { model, ...attached }, ids),
      await sequenceLogits(engine, { model, weights: mergedWeights(folder.weights, adapter) }, ids),
    ];
    expect(compareLogits(one, other).largest).toBeLessThan(1e-5);
  });

  test('a difference is judged by the largest logit', () => {
    const expected = Float32Array.of(-20, 10);
    expect(compareLogits(Float32Array.of(-20, 10.1), expected)).toEqual({
      largest: expect.closeTo(0.1, 5),
      tolerance: expect.closeTo(1e-3, 6),
    });
    expect(compareLogits(Float32Array.of(Number.NaN, 10), expected).largest).toBe(Number.POSITIVE_INFINITY);
    expect(compareLogits(Float32Array.of(1), expected).largest).toBe(Number.POSITIVE_INFINITY);
  });
});

test('a merged export of one file has the file name that Transformers expects', async () => {
  const { files } = await run(valueFor(adapters, 'spsft'), { format: 'merged' });
  expect(files).toContain(SINGLE_FILE);
});
