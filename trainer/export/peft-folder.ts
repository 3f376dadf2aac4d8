/** The `peft` export: what was tuned as LoRA that PEFT loads. Rows of a linear layer are LoRA exactly: B selects them, A is their change. */
import { join } from 'node:path';
import { ADAPTER_WEIGHTS, type Adapter, type LoraRank } from '../adapter/adapter.ts';
import { PEFT_CONFIG, PEFT_PREFIX } from '../adapter/read-peft.ts';
import { writeTextFile } from '../hub/durable-file.ts';
import { encodeFloat32, type TensorEntry, writeSafetensors } from '../hub/safetensors-writer.ts';
import type { CausalModel, ModuleSpec } from '../model/model-spec.ts';
import type { WeightSource } from '../model/weight-stream.ts';
import { ExportError } from './export-error.ts';

export interface PeftParams {
  readonly model: CausalModel;
  readonly weights: WeightSource;
  readonly adapter: Adapter;
}

/** The size of the safetensors file. @throws ExportError as `writePeft` */
export const peftBytes = (params: PeftParams): number =>
  entriesOf(params, ranksOf(params)).reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 4), 0);

/** @throws ExportError that names what LoRA cannot express */
export async function writePeft(dir: string, params: PeftParams): Promise<void> {
  const ranks = ranksOf(params);
  await writeSafetensors(join(dir, ADAPTER_WEIGHTS), entriesOf(params, ranks), { format: 'pt' });
  await writeTextFile(join(dir, PEFT_CONFIG), `${JSON.stringify(peftConfig(params.adapter, ranks), null, 2)}\n`);
}

/** Rank and alpha of each module; of rows alpha is r, so that the scale is 1. */
function ranksOf({ model, adapter }: PeftParams): ReadonlyMap<string, LoraRank> {
  const { method, lora, rows } = adapter.description;
  switch (method) {
    case 'lora':
      return lora;
    case 'spsft':
      checkExpressible(model, adapter);
      return new Map([...rows].map(([module, { length }]) => [module, { r: length, alpha: length }]));
    case 'full':
      throw new ExportError('full fine-tuning changed every weight, which no LoRA can express: export it as merged');
  }
}

function checkExpressible(model: CausalModel, { description, tensors }: Adapter): void {
  const wrong = model.modules.flatMap(module => {
    if (!description.rows.has(module.name)) return [];
    if (module.kind !== 'linear' || module.part === 'head')
      return [`${module.name} (${module.kind === 'linear' ? 'output head' : module.kind})`];
    return module.bias && tensors.has(module.bias.name) ? [`${module.bias.name} (bias)`] : [];
  });
  if (wrong.length === 0) return;
  const shown = wrong.slice(0, 8).join(', ');
  throw new ExportError(
    `LoRA reaches the weights of the blocks' linear layers alone; also trained were ${shown}${wrong.length > 8 ? ` and ${wrong.length - 8} more` : ''}: export as merged or as adapter`,
  );
}

function entriesOf({ model, weights, adapter }: PeftParams, ranks: ReadonlyMap<string, LoraRank>): TensorEntry[] {
  const modules = new Map(model.modules.map(module => [module.name, module]));
  return [...ranks].flatMap(([name, { r }]) => {
    const module = modules.get(name) as ModuleSpec;
    const [out, width] = module.weight.shape as [number, number];
    const rows = adapter.description.rows.get(name);
    const entry = (factor: string, shape: number[], values: () => Promise<Float32Array>): TensorEntry => ({
      name: `${PEFT_PREFIX}${name}.lora_${factor}.weight`,
      dtype: 'F32',
      shape,
      data: async () => encodeFloat32(await values(), 'F32'),
    });
    return [
      entry('A', [r, width], () => (rows ? rowChange(weights, adapter, module, rows) : adapter.readFloat32(`${name}.lora_A.weight`))),
      entry('B', [out, r], async () => (rows ? selector(rows, out) : adapter.readFloat32(`${name}.lora_B.weight`))),
    ];
  });
}

/** Trained minus base rows, [r, in]. */
async function rowChange(weights: WeightSource, adapter: Adapter, { weight }: ModuleSpec, rows: Int32Array): Promise<Float32Array> {
  const base = await weights.readFloat32(weight.name);
  const trained = await adapter.readFloat32(weight.name);
  const width = trained.length / rows.length;
  return trained.map((value, i) => value - (base[(rows[Math.floor(i / width)] as number) * width + (i % width)] as number));
}

/** [out, r] with one 1 a column: column k is the row `rows[k]`. */
export function selector(rows: Int32Array, out: number): Float32Array {
  const b = new Float32Array(out * rows.length);
  rows.forEach((row, k) => {
    b[row * rows.length + k] = 1;
  });
  return b;
}

function peftConfig({ description: { base } }: Adapter, ranks: ReadonlyMap<string, LoraRank>): Record<string, unknown> {
  const [first = { r: 1, alpha: 1 }] = ranks.values();
  const differing = (pick: (rank: LoraRank) => number) =>
    Object.fromEntries([...ranks].filter(([, rank]) => pick(rank) !== pick(first)).map(([name, rank]) => [name, pick(rank)]));
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base.source,
    revision: base.revision === '' ? null : base.revision,
    r: first.r,
    lora_alpha: first.alpha,
    rank_pattern: differing(({ r }) => r),
    alpha_pattern: differing(({ alpha }) => alpha),
    target_modules: [...ranks.keys()],
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    modules_to_save: null,
    use_dora: false,
    use_rslora: false,
  };
}
