/** Tests quick fixes: the text before and after, in YAML and JSON, with comments kept. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { formatRecipe } from '../../../server/format-recipe.ts';
import { fixDocument } from '../../../trainer/lint/lint.ts';
import { conversion, fixAll, quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { smallestChange } from '../../../trainer/lint/text-edits.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { applyChange } from '../../support/apply-change.ts';
import { lint, makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Applies the fix of the first problem with this code. */
async function fixed(text: string, code: string, name = 'a.rowtune.yaml', availableBytes = 64e9): Promise<string> {
  const view = await viewOf(text, { folder, name, availableBytes });
  const [fix] = quickFixes(
    { text, file: view.file, view },
    problemsOf(view).filter(problem => problem.code === code),
  );
  if (fix === undefined) throw new Error(`no fix for ${code} in: ${problemsOf(view).map(problem => problem.code)}`);
  return applyChange(text, fix.change);
}

const head = 'model: models/tiny # small\nr: 8\nmax_length: 32\n';
const data = 'data:\n  train: spam.jsonl # mails\n';

describe('quick fixes', () => {
  it.each([
    ['unknown-key', `${head}learning_rat: 1.0e-4 # high\n${data}`, `${head}learning_rate: 1.0e-4 # high\n${data}`],
    ['foreign-key', `${head}lr: 1.0e-4\n${data}`, `${head}learning_rate: 1.0e-4\n${data}`],
    ['foreign-key', `${head}dataset: spam.jsonl # mails\n`, `${head}data:\n  train: spam.jsonl # mails\n`],
    ['foreign-key', `${head}${data}mask_prompt: true\n`, `${head}${data}  completion_only: true\n`],
    ['misplaced-key', `${head}${data}  val_size: 0.1\n`, `${head}${data}val_size: 0.1\n`],
    ['not-a-choice', `${head}optim: adamw_torch\n${data}`, `${head}optim: adamw\n${data}`],
    ['wrong-type', `${head}packing: yes\n${data}`, `${head}packing: true\n${data}`],
    ['budget-twice', `${head}ratio: 0.1 # too\n${data}`, `${head}${data}`],
    ['number-format', `${head}learning_rate: 1e-4\n${data}`, `${head}learning_rate: 1.0e-4\n${data}`],
    ['unknown-module', `${head}target_modules:\n  - q_prj\n${data}`, `${head}target_modules:\n  - q_proj\n${data}`],
    ['model-not-found', `model: models/tinny\n${data}`, `model: models/tiny\n${data}`],
    ['data-not-found', `${head}data:\n  train: spm.jsonl\n`, `${head}data:\n  train: spam.jsonl\n`],
    ['data-not-found', `${head}data:\n  train: https://huggingface.co/datasets/org/mails\n`, `${head}data:\n  train: org/mails\n`],
    ['rank-above-layer', `model: models/tiny\nr: 5000\nmax_length: 32\n${data}`, `model: models/tiny\nr: 64\nmax_length: 32\n${data}`],
    [
      'length-above-positions',
      `model: models/tiny\nr: 8\n${data}`.replace('r: 8', 'r: 8\nmax_length: 99'),
      `model: models/tiny\nr: 8\nmax_length: 64\n${data}`,
    ],
  ])('%s', async (code, before, after) => expect(await fixed(before, code)).toBe(after));

  it('sets what is not written', async () => {
    expect(await fixed('model: models/bert\nr: 8\nmax_length: 16\ndata:\n  train: spam.jsonl # mails\n', 'task-for-model')).toBe(
      'model: models/bert\nr: 8\nmax_length: 16\ndata:\n  train: spam.jsonl # mails\ntask: sequence_classification\n',
    );
    expect(await fixed('{"model": "models/tiny", "r": 8}', 'length-above-positions', 'a.rowtune.json')).toBe(
      '{\n  "model": "models/tiny",\n  "r": 8,\n  "max_length": 64\n}',
    );
  });

  it('halves the batch and doubles the accumulation where memory is short', async () => {
    const before = `${head}per_device_train_batch_size: 8 # many\n${data}`;
    const after = `${head}per_device_train_batch_size: 4 # many\n${data}gradient_accumulation_steps: 2\n`;
    expect(await fixed(before, 'memory-above-free', 'a.rowtune.yaml', 350e6)).toBe(after);
  });

  it('keeps the samples of an update where the batch is odd', async () => {
    const before = `${head}per_device_train_batch_size: 9\n${data}gradient_accumulation_steps: 2\n`;
    const after = `${head}per_device_train_batch_size: 3\n${data}gradient_accumulation_steps: 6\n`;
    expect(await fixed(before, 'memory-above-free', 'a.rowtune.yaml', 350e6)).toBe(after);
  });

  it('keeps a JSON recipe valid JSON', async () => {
    const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
    const base = { model: 'models/tiny', r: 8, max_length: 32 };
    const name = 'a.rowtune.json';
    const part = { data: { train: 'spam.jsonl' } };
    expect(await fixed(json({ ...base, lr: 1e-4, ...part }), 'foreign-key', name)).toBe(json({ ...base, learning_rate: 1e-4, ...part }));
    expect(await fixed(json({ ...base, dataset: 'spam.jsonl' }), 'foreign-key', name)).toBe(json({ ...base, ...part }));
    expect(await fixed(json({ ...base, optim: 'adamw_torch', ...part }), 'not-a-choice', name)).toBe(
      json({ ...base, optim: 'adamw', ...part }),
    );
    expect(await fixed(json({ ...base, ratio: 0.5, ...part }), 'budget-twice', name)).toBe(json({ ...base, ...part }));
  });
});

describe('fix all', () => {
  const all = (text: string): string => {
    return applyChange(text, fixAll({ text, file: 'a.rowtune.yaml' }));
  };

  it('renames and moves the keys of other tools in a recipe of ours', () =>
    expect(all('model: m # the base\nlora_r: 8\nlr: 1.0e-4\ndataset: spam.jsonl\noptimizer: adamw_torch\n')).toBe(
      'model: m # the base\nr: 8\nlearning_rate: 1.0e-4\noptim: adamw\ndata:\n  train: spam.jsonl\n',
    ));

  it.each([
    [
      'Axolotl',
      'base_model: m\nload_in_8bit: false\nadapter: lora\nlora_r: 8\nlora_target_linear: true\nsequence_len: 32\ndatasets:\n  - path: a.jsonl\n    type: alpaca\nmicro_batch_size: 2\ngradient_checkpointing: true\nbf16: auto\ntrain_on_inputs: false\nevals_per_epoch: 4\nwandb_project:\nflash_attention: true\n',
    ],
    [
      'LLaMA-Factory',
      'model_name_or_path: m\nstage: sft\ndo_train: true\nfinetuning_type: lora\nlora_rank: 8\ndataset: identity\ntemplate: llama3\nfp16: true\n',
    ],
    [
      'torchtune',
      'model: {_component_: a.lora_llama3_8b, lora_rank: 8}\noptimizer: {_component_: torch.optim.AdamW, lr: 3.0e-4}\ncheckpointer: {checkpoint_dir: m}\n',
    ],
    ['mlx-lm', 'model: m\ntrain: true\niters: 10\nlora_parameters: {rank: 8, scale: 20.0}\ngrad_checkpoint: true\n'],
  ])('converts a recipe of %s whole, as rowtune lint --fix does, and leaves no error', (_, text) => {
    const fixed = all(text);
    expect(fixed).toBe(conversion({ text, file: 'a.rowtune.yaml' })?.text);
    expect(fixed).toBe(fixDocument({ text, file: 'a.rowtune.yaml' }));
    expect(parseRecipe(fixed).problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  it.each([
    'load_in_8bit: false',
    'load_in_4bit: no',
    'quantization_bit:',
    'bf16: false',
    'fp16: null',
    'flash_attention: false',
    'deepspeed:',
  ])('takes out %s, which says what holds without it', line => {
    const text = `model: m\n${line}\nr: 8\n`;
    const [problem] = parseRecipe(text).problems.filter(({ code }) => code === 'foreign-key');
    expect(problem?.message).toContain('is off here by default');
    expect(problem?.message).not.toContain('write');
    expect(all(text)).toBe('model: m\nr: 8\n');
  });

  it('leaves a switch that is on to the user', () => {
    for (const line of ['load_in_8bit: true', 'bf16: true', 'gradient_checkpointing: false', 'train_on_inputs: false']) {
      const text = `model: m\n${line}\n`;
      expect(all(text)).toBe(text);
      expect(parseRecipe(text).problems.find(({ code }) => code === 'foreign-key')?.message).not.toContain('off here by default');
    }
  });

  it('leaves what means something else here', () => {
    const text = 'model: m\ntrain_on_inputs: true\ndata:\n  train: spam.jsonl\n';
    expect(all(text)).toBe(text);
  });

  it('leaves text that does not parse', () => expect(all('model: [')).toBe('model: ['));
});

describe('the text around a fix', () => {
  const all = (text: string): string => {
    return applyChange(text, fixAll({ text, file: 'a.rowtune.yaml' }));
  };

  it('keeps the comment above a key that moves', () =>
    expect(all('model: m\n# mails of March, cleaned\ndataset: spam.jsonl\n')).toBe(
      'model: m\ndata:\n  # mails of March, cleaned\n  train: spam.jsonl\n',
    ));

  it('keeps its line ends, and comments in their column', () => {
    const text = 'model: m      # small\nr: 8          # rows\ndataset: a.jsonl\n';
    expect(all(text.replaceAll('\n', '\r\n'))).toBe(all(text).replaceAll('\n', '\r\n'));
    expect(formatRecipe('model: m      # small\r\nr: 8          # rows\r\n', 'a.rowtune.yaml')).toBeUndefined();
  });

  it('a key is renamed in a recipe with an alias that leads nowhere, and nothing is thrown', () => {
    for (const text of ['model: m\nlr: 1.0e-4\ndata:\n  train: *.jsonl\n', 'model: *a\nlr: &a 1\n']) {
      expect(all(text)).toBe(text.replace('lr:', 'learning_rate:'));
      expect(formatRecipe(text, 'a.rowtune.yaml')).toBeUndefined();
      expect(conversion({ text, file: 'a.rowtune.yaml' })).toBeUndefined();
    }
  });

  it('a key whose value means another thing is no certain fix', () => {
    for (const text of ['model: m\nvalidation_split_percentage: 5\n', 'model: m\nmax_steps_per_epoch: 50\n']) expect(all(text)).toBe(text);
  });
});

describe('the recipe of another tool, whole', () => {
  const converted = (text: string, file = 'a.rowtune.yaml'): string => conversion({ text, file })?.text ?? 'no conversion';

  it('Axolotl', () =>
    expect(
      converted(`# my run
base_model: models/tiny # small
load_in_4bit: false
adapter: qlora
lora_r: 8
lora_alpha: 16
lora_target_linear: true
sequence_len: 32
sample_packing: true
datasets:
  - path: spam.jsonl
    type: alpaca
val_set_size: 0.1
micro_batch_size: 2
num_epochs: 3
optimizer: adamw_bnb_8bit
learning_rate: 0.0002
train_on_inputs: false
gradient_checkpointing: true
bf16: auto
evals_per_epoch: 4
flash_attention: true
`),
    ).toBe(`# my run
model: models/tiny # small
dtype: auto
quantize: nf4
method: lora
r: 8
lora_alpha: 16
target_modules: all-linear
data:
  train: spam.jsonl
  format: alpaca
  completion_only: true
val_size: 0.1
max_length: 32
packing: true
per_device_train_batch_size: 2
num_train_epochs: 3
learning_rate: 0.0002
lr_scheduler_type: cosine
warmup_ratio: 0.03 # there it is at most 100 updates
optim: adamw_8bit
recompute: block
eval_strategy: steps
eval_steps: 0.08333 # 4 times per epoch

# Settings of Axolotl without a counterpart:
# load_in_4bit: false  # off
# flash_attention: true  # write attention: auto, fused or chunked
`));

  it('LLaMA-Factory', () =>
    expect(
      converted(`### model
model_name_or_path: models/tiny
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: q_proj,v_proj
dataset: identity,alpaca_en_demo
max_samples: 1000
template: llama3
cutoff_len: 32
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
`),
    ).toMatch(
      /^### model\nmodel: models\/tiny\ndtype: bfloat16\nmethod: lora\nr: 8\nlora_alpha: 16\ntarget_modules:\n {2}- q_proj\n {2}- v_proj\ndata:\n {2}train:\n {4}# guessed from the name; data\/dataset_info.json says which file it is\n {4}- data\/identity.json\n {4}- data\/alpaca_en_demo.json\n {2}max_samples: 2000 # it was 1000 per data set\n/,
    ));

  it('torchtune', () => {
    const text = converted(`output_dir: /tmp/out
tokenizer: {_component_: torchtune.models.llama3.llama3_tokenizer, path: /tmp/m/tokenizer.model, max_seq_len: 64}
model:
  _component_: torchtune.models.llama3_2.lora_llama3_2_1b
  lora_attn_modules: [q_proj, v_proj, output_proj]
  apply_lora_to_mlp: true
  lora_rank: 8
  lora_alpha: 16
checkpointer: {_component_: torchtune.training.FullModelHFCheckpointer, checkpoint_dir: models/tiny}
dataset: {_component_: torchtune.datasets.alpaca_dataset, source: json, data_files: spam.jsonl, packed: false}
seed: null
batch_size: 4
optimizer: {_component_: torch.optim.AdamW, lr: 3.0e-4, weight_decay: 0.01}
lr_scheduler: {_component_: torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup, num_warmup_steps: 100}
loss: {_component_: torchtune.modules.loss.LinearCrossEntropyLoss}
epochs: 1
max_steps_per_epoch: null
enable_activation_checkpointing: true
dtype: bf16
`);
    expect(text).toContain(
      'model: models/tiny\ndtype: bfloat16\nmethod: lora\nr: 8\nlora_alpha: 16\ntarget_modules:\n  - q_proj\n  - v_proj\n  - o_proj\n  - gate_proj\n',
    );
    expect(text).toContain('learning_rate: 0.0003\n');
    expect(text).toContain('warmup_steps: 100\n');
    expect(text).toContain('max_length: 64\n');
  });

  it.each([
    ['paged', 'base_model: m\nmicro_batch_size: 2\noptimizer: paged_adamw_8bit\n', 'optim: adamw_8bit'],
    ['of DeepSpeed', 'model_name_or_path: m\nfinetuning_type: full\ndeepspeed: ds_z3_offload_config.json\n', 'method: full'],
    [
      'of torchtune',
      'model: {_component_: a.llama3_8b}\noptimizer: {_component_: bitsandbytes.optim.PagedAdamW8bit}\n',
      'optim: adamw_8bit',
    ],
  ])('optimizer state on the host: %s', (_, text, other) => {
    const found = converted(text);
    expect(found).toContain(`${other}\n`);
    expect(found).toMatch(/^optimizer_offload: host/m);
  });

  it('mlx-lm', () => {
    const text = converted(
      'model: models/tiny\ntrain: true\nfine_tune_type: lora\ndata: mails/\nlora_parameters: {rank: 8, scale: 20.0, dropout: 0.0}\niters: 600\nbatch_size: 4\ngrad_checkpoint: true\nsteps_per_eval: 200\nlr_schedule: {name: cosine_decay, warmup: 10, arguments: [1.0e-5, 1000, 1.0e-7]}\n',
    );
    expect(text).toContain('r: 8\nlora_alpha: 160\n');
    expect(text).toContain('data:\n  train: mails/train.jsonl\n  eval: mails/valid.jsonl\n');
    expect(text).toContain('eval_strategy: steps\neval_steps: 200\n');
    expect(text).toMatch(/lr_scheduler_type: cosine\nmin_learning_rate: 1.0e-7\nwarmup_steps: 10\n/);
    // The rate at the start of the schedule, not the other one.
    expect(text).toMatch(/^learning_rate: 0.00001$/m);
    expect(
      converted(`learning_rate: 1.0e-3\niters: 10\nmodel: m\nlr_schedule: {arguments: [1.0e-5]}\ngrad_checkpoint: true\n`),
    ).not.toContain('0.001');
  });

  it('has the line ends of the text', () => {
    const text = 'base_model: m\nmicro_batch_size: 2\nadapter: lora\nflash_attention: true\n';
    expect(converted(text.replaceAll('\n', '\r\n'))).toBe(converted(text).replaceAll('\n', '\r\n'));
  });

  it('in JSON', () =>
    expect(
      converted('{"model_name_or_path": "m", "finetuning_type": "full", "cutoff_len": 64, "dataset": "a.json"}', 'a.rowtune.json'),
    ).toBe(
      JSON.stringify(
        {
          model: 'm',
          method: 'full',
          data: { train: 'a.json' },
          max_length: 64,
          group_by_length: false,
          per_device_train_batch_size: 8,
          learning_rate: 5e-5,
        },
        undefined,
        2,
      ),
    ));

  it('the result has no new error', async () => {
    const text = converted('base_model: models/tiny\nadapter: lora\nlora_r: 8\nsequence_len: 32\ndatasets: [{path: spam.jsonl}]\n');
    expect((await lint(text, { folder })).filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  it('a Rowtune recipe, and text that does not parse, are left alone', () => {
    expect(converted(`${head}${data}`)).toBe('no conversion');
    expect(converted(`${head}lr: 1.0e-4\n${data}`)).toBe('no conversion');
    expect(converted('base_model: [')).toBe('no conversion');
  });
});

describe('changes', () => {
  it('cover only the lines that differ', () => {
    expect(smallestChange('a\nb\nc\n', 'a\nx\nc\n')).toEqual({
      range: { start: { line: 1, column: 0 }, end: { line: 1, column: 1 } },
      newText: 'x',
    });
    expect(smallestChange('a', 'a')).toBeUndefined();
  });

  it.each([
    ['a\nb\nc', 'a\nc'],
    ['a\nc', 'a\nb\nc'],
    ['', 'a\n'],
    ['a\na\na', 'a\na'],
    ['x\ny', 'y\nx'],
  ])('bring %j to %j', (before, after) => {
    const change = smallestChange(before, after);
    expect(change && applyChange(before, change)).toBe(after);
  });
});

describe('formatting', () => {
  const format = (text: string, name = 'a.rowtune.yaml'): string => {
    return applyChange(text, formatRecipe(text, name));
  };

  it('keeps comments, order and blank lines', () => {
    expect(format('# top\nmodel:    m   # here\n\nlearning_rate:  1.0e-4\nr: 0x10\ndata:\n     train:   [ a.jsonl,b.jsonl ]\n')).toBe(
      '# top\nmodel: m # here\n\nlearning_rate: 1.0e-4\nr: 0x10\ndata:\n  train: [a.jsonl, b.jsonl]\n',
    );
  });

  it('leaves the examples alone, aligned comments included', () => {
    const examples = path.join(import.meta.dirname, '..', '..', '..', 'examples');
    for (const name of readdirSync(examples).filter(file => file.endsWith('.yaml')))
      expect(formatRecipe(readFileSync(path.join(examples, name), 'utf8'), name)).toBeUndefined();
  });

  it('leaves alone what does not parse, and what is in shape', () => {
    expect(formatRecipe('model: [', 'a.rowtune.yaml')).toBeUndefined();
    expect(formatRecipe('model: m\nr: 8\n', 'a.rowtune.yaml')).toBeUndefined();
  });

  it('indents JSON', () => expect(format('{"model":"m"}', 'a.rowtune.json')).toBe('{\n  "model": "m"\n}\n'));
});
