/** Tests that our exports of tuned classifiers load in Transformers and PEFT with our logits (1e-4): new heads, norms, convolutions. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { modelOfAdapter } from '../../trainer/adapter/adapter.ts';
import { applyAdapter } from '../../trainer/adapter/apply-adapter.ts';
import { readAdapter } from '../../trainer/adapter/read-adapter.ts';
import { exportModel } from '../../trainer/artifact/export-model.ts';
import { smokeIds, smokeLogits } from '../../trainer/artifact/smoke-test.ts';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { Problem } from '../../trainer/model/model-spec.ts';
import { valueFor } from '../../trainer/narrow.ts';
import type { Pooling } from '../../trainer/protocol/pooling.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { openFast } from '../support/engines.ts';
import { temporaryFolder } from '../support/machine/temporary-folder.ts';
import { HEADLESS, type Headless, headlessBase } from '../support/models/headless-base.ts';
import { tinyClassifierAdapter } from '../support/models/tiny-classifier-adapter.ts';
import { locatePython, runOnRequest } from './python.ts';

const python = await locatePython(cacheDir);
const golden = join(import.meta.dirname, '..', 'golden');
/** Side length in pixels. For a table of positions that Transformers resamples only on request, its own size. */
const sideOf = ({ family }: Case): number => (family === 'siglip' ? 16 : 32);

interface Case {
  readonly family: string;
  readonly method: MethodName;
  readonly format: 'merged' | 'peft';
  readonly ownHead?: boolean;
  /** Single-label classification by default. */
  readonly problem?: Problem;
  /** `NEW_LABELS` by default. */
  readonly labels?: readonly string[];
  /** Set if only the encoder is the base, which gets a new head. */
  readonly headless?: Headless;
  /** Its vectors are tuned: the mean of its states, without a head. */
  readonly pooling?: Pooling;
}

const VECTORS = { problem: 'embedding', pooling: { mode: 'mean', normalize: false } } as const;

/** The head of a reward model: one number for a prompt with its answer. */
const REWARD = { problem: 'regression', labels: ['LABEL_0'] } as const;

const cases: readonly Case[] = [
  { family: 'bert', method: 'lora', format: 'peft' },
  { family: 'bert', method: 'spsft', format: 'peft' },
  { family: 'bert', method: 'bitfit', format: 'merged' },
  { family: 'roberta', method: 'lora', format: 'peft' },
  { family: 'distilbert', method: 'lora', format: 'peft' },
  { family: 'distilbert', method: 'spsft', format: 'merged' },
  { family: 'electra', method: 'lora', format: 'peft' },
  { family: 'electra', method: 'spsft', format: 'peft' },
  { family: 'electra', method: 'spsft', format: 'merged' },
  { family: 'albert', method: 'lora', format: 'peft' },
  { family: 'albert_groups', method: 'spsft', format: 'peft' },
  { family: 'albert_groups', method: 'dora', format: 'peft' },
  { family: 'albert', method: 'spsft', format: 'merged' },
  { family: 'xlm_roberta', method: 'lora', format: 'peft' },
  { family: 'camembert', method: 'spsft', format: 'merged' },
  { family: 'mpnet', method: 'lora', format: 'peft' },
  { family: 'mpnet', method: 'spsft', format: 'merged' },
  { family: 'nomic_bert', method: 'lora', format: 'peft' },
  { family: 'nomic_bert', method: 'spsft', format: 'merged' },
  { family: 'eurobert', method: 'lora', format: 'peft' },
  { family: 'ultrabert_mean', method: 'spsft', format: 'merged' },
  { family: 'ultrabert_tokens', method: 'lora', format: 'peft' },
  { family: 'esm', method: 'lora', format: 'peft' },
  { family: 'esm_tokens', method: 'spsft', format: 'merged' },
  { family: 'gte', method: 'lora', format: 'peft' },
  { family: 'modernbert', method: 'lora', format: 'peft' },
  { family: 'modernbert', method: 'spsft', format: 'merged' },
  { family: 'deberta', method: 'dora', format: 'peft' },
  { family: 'deberta', method: 'spsft', format: 'merged' },
  { family: 'vit', method: 'dora', format: 'peft' },
  { family: 'vit', method: 'vera', format: 'peft' },
  { family: 'deit', method: 'lora', format: 'merged' },
  { family: 'dinov2', method: 'lora', format: 'peft' },
  { family: 'dinov2_registers', method: 'spsft', format: 'merged' },
  { family: 'swin', method: 'lora', format: 'peft' },
  { family: 'siglip', method: 'spsft', format: 'merged' },
  { family: 'convnext', method: 'spsft', format: 'merged' },
  { family: 'convnextv2', method: 'spsft', format: 'peft' },
  { family: 'resnet', method: 'lora', format: 'peft' },
  { family: 'resnet', method: 'lora', format: 'peft', ownHead: true },
  { family: 'resnet', method: 'dora', format: 'peft' },
  { family: 'resnet', method: 'spsft', format: 'peft' },
  { family: 'resnet', method: 'spsft', format: 'merged' },
  { family: 'bert_torch', method: 'spsft', format: 'merged' },
  { family: 'bert', method: 'spsft', format: 'merged', problem: 'token_label' },
  { family: 'bert_tokens', method: 'lora', format: 'peft', problem: 'token_label' },
  { family: 'deberta_tokens', method: 'spsft', format: 'peft', problem: 'token_label' },
  { family: 'modernbert_tokens', method: 'spsft', format: 'merged', problem: 'token_label' },
  { family: 'roberta', method: 'spsft', format: 'merged', problem: 'token_label' },
  { family: 'distilbert_tokens', method: 'spsft', format: 'merged' },
  { family: 'bert', method: 'spsft', format: 'merged', ...REWARD },
  { family: 'modernbert', method: 'spsft', format: 'merged', ...REWARD },
  { family: 'deberta', method: 'lora', format: 'peft', ...REWARD },
  // Decoders without a head for texts; files have separate experts, or transposed matrices without a prefix.
  { family: 'qwen3_moe', method: 'spsft', format: 'merged', ...REWARD },
  { family: 'qwen3_moe', method: 'lora', format: 'peft', ...REWARD },
  { family: 'gpt2_bare', method: 'spsft', format: 'merged', ...REWARD },
  // A head of several layers, which are not those before the head for tokens.
  { family: 'modernbert_decoder', method: 'spsft', format: 'merged', ...REWARD },
  { family: 'modernbert_decoder', method: 'lora', format: 'peft', ...REWARD },
  { family: 'modernbert_decoder_score', method: 'lora', format: 'peft' },
  ...HEADLESS.filter(({ architecture }) => /^(Bert|Albert|ViT|Swin|ResNet)Model/.test(architecture)).map(
    headless => ({ family: headless.family, method: 'lora', format: 'peft', headless }) as const,
  ),
  { family: 'bert', method: 'spsft', format: 'peft', ...VECTORS },
  { family: 'modernbert', method: 'lora', format: 'peft', ...VECTORS },
  { family: 'qwen3', method: 'lora', format: 'peft', ...VECTORS },
  { family: 'qwen3_embedding', method: 'lora', format: 'peft', ...VECTORS },
  { family: 'qwen3_moe', method: 'lora', format: 'peft', ...VECTORS },
  { family: 'modernbert_decoder', method: 'lora', format: 'peft', ...VECTORS },
  ...HEADLESS.filter(({ architecture }) =>
    /^BertModel|^DistilBert|^Electra|^Albert|^MPNet|^NomicBert|^EuroBert|^Ultrabert|^Esm|^Gte|^ModernBert|^Deberta|^Dinov2|^ConvNext|^Swin|^ResNet/.test(
      architecture,
    ),
  ).map(headless => ({ family: headless.family, method: 'spsft', format: 'merged', headless }) as const),
];
const OF_PROBLEM: Readonly<Partial<Record<Problem, string>>> = { regression: ', a reward', embedding: ', vectors' };
const nameOf = ({ family, method, format, ownHead, headless, problem }: Case): string =>
  `${headless?.architecture ?? family} by ${method} as ${format}${ownHead ? ', its own head' : ''}${problem === undefined ? '' : (OF_PROBLEM[problem] ?? ', a label for each token')}`;

describe.skipIf('missing' in python)(`Transformers and PEFT${'missing' in python ? ` (skipped: ${python.missing})` : ''}`, () => {
  const ours = new Map<string, Float32Array>();
  let theirs: Record<string, number[]> = {};

  beforeAll(async () => {
    const engine = await openFast();
    const work = await temporaryFolder();
    const requests: object[] = [];
    for (const [i, tuning] of cases.entries()) {
      const base = tuning.headless ? await headlessBase(tuning.headless) : join(golden, tuning.family);
      const adapterPath = await tinyClassifierAdapter({ ...tuning, base });
      const outputDir = join(work, `export-${i}`);
      await exportModel({ adapterPath, format: tuning.format, outputDir, overwrite: false, engine, openBase: () => openModel(base) });
      const folder = await openModel(base);
      const adapter = await readAdapter(adapterPath);
      const known = modelOfAdapter(folder.config, adapter.description);
      if (known.kind !== 'classifier') throw new Error(tuning.family);
      const { labels, problem } = known;
      const side = sideOf(tuning);
      const model = tuning.pooling ? known : loadModel(folder.config, { labels, problem, imageSize: [side, side] });
      const tuned = await applyAdapter({ model, weights: folder.weights, fingerprint: await folder.weights.fingerprint(), adapter });
      const ids = smokeIds(model, undefined);
      ours.set(nameOf(tuning), await smokeLogits(engine, { model, ...tuned }, ids));
      await Promise.all([adapter.close(), folder.weights.close()]);
      const input = known.input.kind === 'image' ? { side } : { ids: [...ids] };
      requests.push({
        name: nameOf(tuning),
        folder: outputDir,
        format: tuning.format,
        base,
        labels: labels.length,
        tokens: problem === 'token_label',
        vectors: tuning.pooling !== undefined,
        ...input,
      });
    }
    if ('python' in python) theirs = await runOnRequest(python.python, 'load_classifiers.py', requests);
  }, 600_000);

  test.each(cases.map(nameOf))('%s', name => {
    expect(largestDifference(valueFor(ours, name), theirs[name] ?? [])).toBeLessThan(1e-4);
  });
});
