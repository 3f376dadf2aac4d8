/** A LoRA folder as PEFT writes it (adapter_config.json), in our words. */
import { join } from 'node:path';
import { z } from 'zod';
import { readConfigFile } from '../hub/model-config.ts';
import { openSafetensors, type SafetensorsSource } from '../hub/safetensors-source.ts';
import { ADAPTER_WEIGHTS, type Adapter, AdapterError, type LoraRank } from './adapter.ts';

export const PEFT_CONFIG = 'adapter_config.json';

/** PEFT puts the wrapped model's own path before every name. */
export const PEFT_PREFIX = 'base_model.model.';

const pattern = z.record(z.string(), z.number()).nullish();
const configSchema = z.looseObject({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  revision: z.string().nullish(),
  r: z.int().positive(),
  lora_alpha: z.number(),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  use_rslora: z.boolean().nullish(),
});

/** Switches that change what the two factors mean; each must be off. */
export const UNSUPPORTED_SWITCHES = [
  'use_dora',
  'fan_in_fan_out',
  'lora_bias',
  'modules_to_save',
  'layer_replication',
  'trainable_token_indices',
  'target_parameters',
];

/** @throws AdapterError for another kind of adapter, a switch that is not supported, or factors that do not pair */
export async function readPeft(dir: string): Promise<Adapter> {
  const config = await readConfigFile(join(dir, PEFT_CONFIG));
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(issue => `${PEFT_CONFIG}: ${issue.path.join('.')}: ${issue.message}`);
    throw new AdapterError(dir, problems, 'LoRA adapters of PEFT are read; save this one again with a current version.');
  }
  const problems = UNSUPPORTED_SWITCHES.filter(key => isOn(config[key])).map(key => `${PEFT_CONFIG} sets ${key}`);
  if (parsed.data.peft_type !== 'LORA') problems.push(`is of the type ${parsed.data.peft_type}`);
  if (typeof config.bias === 'string' && config.bias !== 'none') problems.push(`${PEFT_CONFIG} sets bias to ${config.bias}`);
  const source = await openSafetensors(join(dir, ADAPTER_WEIGHTS));
  try {
    const fileNames = new Map([...source.tensors.keys()].map(name => [name.replace(PEFT_PREFIX, ''), name]));
    const lora = ranksOf(source, fileNames, parsed.data, problems);
    if (problems.length > 0)
      throw new AdapterError(dir, problems, 'Plain LoRA of linear layers is read; merge this adapter with PEFT instead.');
    return {
      dir,
      description: {
        method: 'lora',
        base: { source: parsed.data.base_model_name_or_path ?? '', revision: parsed.data.revision ?? '' },
        modules: [...lora.keys()],
        rows: new Map(),
        lora,
        createdBy: `peft ${typeof config.peft_version === 'string' ? config.peft_version : ''}`.trim(),
      },
      tensors: new Map([...fileNames].map(([name, inFile]) => [name, { name, shape: source.tensors.get(inFile)?.shape ?? [] }])),
      readFloat32: name => source.readFloat32(fileNames.get(name) ?? name),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

const isOn = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0);

function ranksOf(
  source: SafetensorsSource,
  fileNames: ReadonlyMap<string, string>,
  config: z.infer<typeof configSchema>,
  problems: string[],
): Map<string, LoraRank> {
  const lora = new Map<string, LoraRank>();
  for (const [name, inFile] of fileNames) {
    const [, module, factor] = /^(.+)\.lora_([AB])\.weight$/.exec(name) ?? [];
    if (module === undefined) {
      problems.push(`${inFile} is no factor of a linear layer`);
      continue;
    }
    const other = `${module}.lora_${factor === 'A' ? 'B' : 'A'}.weight`;
    if (!fileNames.has(other)) problems.push(`${inFile} has no ${other} beside it`);
    if (factor !== 'A') continue;
    const r = source.tensors.get(inFile)?.shape[0] ?? 0;
    const expected = patternValue(config.rank_pattern, module) ?? config.r;
    if (r !== expected) problems.push(`${inFile} has rank ${r}; ${PEFT_CONFIG} says ${expected}`);
    const alpha = patternValue(config.alpha_pattern, module) ?? config.lora_alpha;
    // Rank-stabilised LoRA scales by alpha / √r.
    lora.set(module, { r, alpha: config.use_rslora ? alpha * Math.sqrt(r) : alpha });
  }
  return lora;
}

/** PEFT matches a key as a regular expression over the end of a module's name; dots mean dots in practice. */
function patternValue(patterns: Readonly<Record<string, number>> | null | undefined, module: string): number | undefined {
  return Object.entries(patterns ?? {}).find(([key]) => module === key || module.endsWith(`.${key}`))?.[1];
}
