/** Tests that tracing a few blocks gives the same numbers, byte for byte, as the graph of all blocks. */
import { expect, test } from 'vitest';
import { namesOf } from '../../../../trainer/catalog/entries.ts';
import type { MethodName } from '../../../../trainer/catalog/methods.ts';
import { planner } from '../../../../trainer/graph/fusion/plan.ts';
import type { RecomputePolicy } from '../../../../trainer/graph/recompute.ts';
import { headersOf } from '../../../../trainer/plan/config-headers.ts';
import { PassTracer } from '../../../../trainer/plan/memory/traced-passes.ts';
import { planRun } from '../../../../trainer/plan/run-plan.ts';
import { eightBlocks } from '../../../support/models/llama-sizes.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

const BLOCKS = 19;

const bert = {
  architectures: ['BertForSequenceClassification'],
  hidden_size: 16,
  num_attention_heads: 4,
  intermediate_size: 24,
  vocab_size: 40,
  max_position_embeddings: 64,
  type_vocab_size: 2,
  id2label: { 0: 'no', 1: 'yes' },
};
const vit = {
  architectures: ['ViTForImageClassification'],
  hidden_size: 16,
  num_attention_heads: 4,
  intermediate_size: 24,
  image_size: 32,
  patch_size: 8,
  num_channels: 3,
  id2label: { 0: 'no', 1: 'yes' },
};
const families = {
  llama: { config: eightBlocks, task: 'causal_lm' },
  bert: { config: bert, task: 'sequence_classification' },
  vit: { config: vit, task: 'image_classification' },
} as const;
const forms = { ...families, judged: { config: eightBlocks, task: 'kto' } } as const;

function tracer(
  family: keyof typeof forms,
  text: string,
  config: Readonly<Record<string, unknown>> & { readonly num_hidden_layers?: number } = {},
  engine: 'tensorflow' | 'portable' = 'tensorflow',
) {
  const { task } = forms[family];
  const recipe = recipeIn(`model: base\ntask: ${task}\ndata: {train: [train.jsonl]}\nmax_length: 24\n${text}`);
  const whole = { ...forms[family].config, num_hidden_layers: BLOCKS, ...config };
  const plan = planRun({ recipe, headers: headersOf(whole), on: { engine, device: 'cpu' } });
  const of = (as: Readonly<Record<string, unknown>>) => {
    const passes = new PassTracer({ ...plan, config: as }, planner());
    return (level: RecomputePolicy) => [
      ...plan.trainShapes.map(shape => passes.training(shape, level)),
      ...plan.evalShapes.map(shape => passes.evaluation(shape, level)),
    ];
  };
  // A list with one entry per block prevents the tracer from using fewer.
  return { few: of(whole), all: of({ ...whole, anything: new Array(whole.num_hidden_layers).fill(0) }) };
}

const methods: readonly { readonly method: MethodName; readonly text: string }[] = [
  { method: 'spsft', text: 'r: 2\n' },
  { method: 'spsft', text: 'r: 2\nmax_grad_norm: 0\n' },
  { method: 'spsft', text: 'r: 2\ngradient_accumulation_steps: 2\n' },
  { method: 'spsft', text: 'r: 2\ndtype: bfloat16\n' },
  { method: 'lora', text: 'r: 2\nlora_dropout: 0.1\n' },
  { method: 'lora', text: 'r: 2\ndtype: bfloat16\n' },
  { method: 'dora', text: 'r: 2\nlora_dropout: 0.1\n' },
  { method: 'full', text: '' },
  { method: 'head', text: '' },
];
const levels: readonly RecomputePolicy[] = ['none', 'cheap', 'block', 'sqrt'];

test.each(namesOf(families))('%s: every method at every level', family => {
  for (const { method, text } of methods) {
    const { few, all } = tracer(family, `method: ${method}\n${text}`);
    for (const level of levels) expect(few(level), `${method} ${text} ${level}`).toEqual(all(level));
  }
});

test('groups of blocks under sqrt, the last smaller than the others', () => {
  for (const { text, blocks } of [
    { text: 'r: 2\n', blocks: 22 },
    { text: 'method: lora\nr: 2\ngradient_accumulation_steps: 2\n', blocks: 26 },
    { text: 'method: full\n', blocks: 36 },
  ]) {
    const { few, all } = tracer('llama', text, { num_hidden_layers: blocks });
    expect(few('sqrt'), `${blocks} blocks`).toEqual(all('sqrt'));
  }
});

test('packed rows, and attention over a window', () => {
  for (const { text, config } of [
    { text: 'r: 2\npacking: true\n', config: {} },
    { text: 'r: 2\n', config: { architectures: ['MistralForCausalLM'], sliding_window: 8 } },
    { text: 'r: 2\nfreeze: [attention]\n', config: { tie_word_embeddings: true } },
  ]) {
    const { few, all } = tracer('llama', text, config);
    for (const level of levels) expect(few(level), `${text} ${level}`).toEqual(all(level));
  }
});

test('a pass that goes through all blocks twice', () => {
  const { few, all } = tracer('judged', 'r: 2\n', { num_hidden_layers: 7 });
  for (const level of levels) expect(few(level), level).toEqual(all(level));
});

test('if only some blocks are trained, all blocks are traced', () => {
  const { few, all } = tracer('llama', 'r: 2\ntarget_modules: [model.layers.3.mlp.up_proj]\n');
  expect(few('cheap')).toEqual(all('cheap'));
});

test('as the portable engine holds it', () => {
  const { few, all } = tracer('llama', 'r: 2\n', {}, 'portable');
  for (const level of levels) expect(few(level), level).toEqual(all(level));
});
