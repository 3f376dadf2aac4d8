/** An adapter folder as PEFT writes it (adapter_config.json): LoRA, DoRA and VeRA, with modules_to_save, in our words. */
import { join } from 'node:path';
import { z } from 'zod';
import { fileSize, readConfigFile } from '../../format/model-config.ts';
import { openSafetensors } from '../../format/safetensors/safetensors-source.ts';
import { TORCH } from '../../format/torch/torch-source.ts';
import { openWeightFiles, type WeightFiles } from '../../format/weight-files.ts';
import type { AdapterRank, VeraShape } from '../../method/trained-parts.ts';
import { linearPattern, PatternError } from '../../protocol/linear-pattern.ts';
import { ADAPTER_WEIGHTS, type Adapter, type AdapterDescription, AdapterError, moduleOf, PEFT_TORCH_WEIGHTS } from './adapter.ts';
import { withOwnFactors } from './grouped-factors.ts';
import { nameInFile, nameInMemory } from './peft-names.ts';

export const PEFT_CONFIG = 'adapter_config.json';

/** PEFT puts the wrapped model's own path before every name. */
export const PEFT_PREFIX = 'base_model.model.';
/** Before the names of what is not in the model. */
export const PEFT_SHARED_PREFIX = 'base_model.';

const pattern = z.record(z.string(), z.number()).nullish();
const configSchema = z.looseObject({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  revision: z.string().nullish(),
  r: z.int().positive(),
  lora_alpha: z.number().nullish(),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  projection_prng_key: z.int().nonnegative().nullish(),
});
type PeftConfig = z.infer<typeof configSchema>;

/** Switches that change what the factors mean; each must be off. */
export const UNSUPPORTED_SWITCHES = [
  'fan_in_fan_out',
  'layer_replication',
  'trainable_token_indices',
  'target_parameters',
  'alora_invocation_tokens',
] as const;

/** Initializations with which PEFT takes the first factors out of the base's weights, each time that it loads the adapter. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/i;
export const changesBase = (init: unknown): init is string => typeof init === 'string' && CHANGES_BASE.test(init);

/** The kinds of PEFT that are read. */
export const PEFT_TYPES: readonly string[] = ['LORA', 'VERA'];

const REMEDY = 'LoRA, DoRA and VeRA are read; merge this adapter with PEFT instead.';

/** Safetensors, else the file of torch.save that PEFT wrote earlier. @throws ModelFileError */
export async function openPeftWeights(dir: string): Promise<WeightFiles> {
  const older = join(dir, PEFT_TORCH_WEIGHTS);
  const hasOnlyOlder = (await fileSize(join(dir, ADAPTER_WEIGHTS))) === undefined && (await fileSize(older)) !== undefined;
  return hasOnlyOlder ? openWeightFiles(older, TORCH) : openSafetensors(join(dir, ADAPTER_WEIGHTS));
}

/** @throws AdapterError for another kind of adapter, a switch that is not supported, or tensors that do not belong together */
export async function readPeft(dir: string): Promise<Adapter> {
  const config = await readConfigFile(join(dir, PEFT_CONFIG));
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(issue => `${PEFT_CONFIG}: ${issue.path.join('.')}: ${issue.message}`);
    throw new AdapterError(dir, problems, 'LoRA, DoRA and VeRA adapters of PEFT are read; save this one again with a current version.');
  }
  const problems: string[] = UNSUPPORTED_SWITCHES.filter(key => isOn(config[key])).map(key => `${PEFT_CONFIG} sets ${key}`);
  const { peft_type: type } = parsed.data;
  if (!PEFT_TYPES.includes(type)) problems.push(`is of the type ${type}`);
  if (type === 'LORA' && typeof parsed.data.lora_alpha !== 'number') problems.push(`${PEFT_CONFIG}: lora_alpha is missing`);
  if (typeof config.bias === 'string' && config.bias !== 'none') problems.push(`${PEFT_CONFIG} sets bias to ${config.bias}`);
  if (changesBase(config.init_lora_weights))
    problems.push(
      `${PEFT_CONFIG} sets init_lora_weights to ${config.init_lora_weights}, with which PEFT changes the base's weights too: save it as plain LoRA (save_pretrained with path_initial_model_for_weight_conversion)`,
    );
  const source = await openPeftWeights(dir);
  try {
    const names = namesOf(source);
    const description = describe(source, names, parsed.data, problems);
    const read = (name: string): Promise<Float32Array> => source.readFloat32(names.get(name) ?? name);
    const tensors = new Map([...names].map(([name, inFile]) => [name, { name, shape: source.tensors.get(inFile)?.shape ?? [] }]));
    const adapter: Adapter = {
      dir,
      description: { ...description, createdBy: `peft ${typeof config.peft_version === 'string' ? config.peft_version : ''}`.trim() },
      tensors,
      readFloat32: read,
      close: () => source.close(),
    };
    if (problems.length > 0) throw new AdapterError(dir, problems, REMEDY);
    return await withOwnFactors(adapter);
  } catch (error) {
    await source.close();
    throw error;
  }
}

const isOn = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0);

/** Our name → PEFT's. The base's own weights, which PEFT adds where an embedding or head is a target, are left out. */
function namesOf({ tensors }: WeightFiles): Map<string, string> {
  const names = [...tensors.keys()].filter(name => !/\.base_layer\.(weight|bias)$/.test(name));
  const prefixOf = (name: string): string => (name.startsWith(PEFT_PREFIX) ? PEFT_PREFIX : PEFT_SHARED_PREFIX);
  return new Map(names.map(name => [nameInFile(name.startsWith(PEFT_SHARED_PREFIX) ? name.slice(prefixOf(name).length) : name), name]));
}

function describe(
  source: WeightFiles,
  names: ReadonlyMap<string, string>,
  config: PeftConfig,
  problems: string[],
): Omit<AdapterDescription, 'createdBy'> {
  const shapeOf = (name: string): readonly number[] => source.tensors.get(names.get(name) ?? '')?.shape ?? [];
  const isVera = config.peft_type === 'VERA';
  const lora = isVera ? new Map<string, AdapterRank>() : ranksOf(names, shapeOf, config, problems);
  const whole = new Set(
    [...names.keys()].filter(name => name === `${moduleOf(name)}.weight` || name === `${moduleOf(name)}.bias`).map(moduleOf),
  );
  const vera = isVera ? veraShapeOf(names, shapeOf, config, problems) : undefined;
  const ofVera = [...names.keys()].filter(name => name.endsWith('.vera_lambda_b')).map(moduleOf);
  const known = new Set([...lora.keys(), ...whole, ...ofVera]);
  for (const name of names.keys())
    if (!known.has(moduleOf(name)) && !(isVera && (name === 'vera_A' || name === 'vera_B')))
      problems.push(`${name} is nothing that is read`);
  return {
    method: isVera ? 'vera' : config.use_dora ? 'dora' : 'lora',
    base: { source: config.base_model_name_or_path ?? '', revision: config.revision ?? '' },
    modules: [...known],
    rows: new Map(),
    elements: new Map(),
    lora,
    vera,
    whole: [...whole],
  };
}

type ShapeOf = (name: string) => readonly number[];

function ranksOf(names: ReadonlyMap<string, string>, shapeOf: ShapeOf, config: PeftConfig, problems: string[]): Map<string, AdapterRank> {
  const lora = new Map<string, AdapterRank>();
  const rankPatterns = patternsOf('rank_pattern', config, problems);
  const alphaPatterns = patternsOf('alpha_pattern', config, problems);
  for (const name of names.keys()) {
    const [, module, infix, factor, ending = ''] = /^(.+)\.(lora_|lora_embedding_)([AB])(\.weight)?$/.exec(name) ?? [];
    if (module === undefined) continue;
    const other = `${module}.${infix}${factor === 'A' ? 'B' : 'A'}${ending}`;
    if (!names.has(other)) problems.push(`${name} has no ${other} next to it`);
    if (factor !== 'A') continue;
    const r = shapeOf(name)[0] ?? 0;
    const expected = patternValue(rankPatterns, module) ?? config.r;
    if (r !== expected) problems.push(`${name} has rank ${r}; ${PEFT_CONFIG} says ${expected}`);
    const alpha = patternValue(alphaPatterns, module) ?? config.lora_alpha ?? 0;
    // Rank-stabilized LoRA scales by alpha / √r.
    const scaled = config.use_rslora ? alpha * Math.sqrt(r) : alpha;
    lora.set(module, names.has(`${module}.lora_B.bias`) ? { r, alpha: scaled, hasBias: true } : { r, alpha: scaled });
  }
  return lora;
}

/** The size of the shared matrices: as they are in the file, else as PEFT would make them for these vectors. */
function veraShapeOf(names: ReadonlyMap<string, string>, shapeOf: ShapeOf, config: PeftConfig, problems: string[]): VeraShape {
  const projectionKey = config.projection_prng_key ?? 0;
  const [r = 0, input = 0] = shapeOf('vera_A');
  const [output = 0, columns] = shapeOf('vera_B');
  if (names.has('vera_A') !== names.has('vera_B')) problems.push('has one of vera_A and vera_B, not both');
  if (names.has('vera_A')) {
    if (r !== config.r || columns !== config.r)
      problems.push(`vera_A and vera_B have the ranks ${r} and ${columns}; ${PEFT_CONFIG} says ${config.r}`);
    return { r: config.r, input, output, projectionKey };
  }
  // Their width is that of the base's widest target, which is not in the file.
  const widest = [...names.keys()].filter(name => name.endsWith('.vera_lambda_b')).map(name => shapeOf(name)[0] ?? 0);
  return { r: config.r, input: 0, output: Math.max(0, ...widest), projectionKey };
}

interface ModulePattern {
  readonly matches: (name: string) => boolean;
  readonly value: number;
}

/** Keys are regular expressions over the end of a module's name, as PEFT's get_pattern_key reads them; the first that matches counts. */
function patternsOf(key: 'rank_pattern' | 'alpha_pattern', config: PeftConfig, problems: string[]): ModulePattern[] {
  return Object.entries(config[key] ?? {}).flatMap(([expression, value]) => {
    const shown = expression.length > 100 ? `${expression.slice(0, 100)}…` : expression;
    try {
      // By itself first, so that parentheses in it do not close ours.
      linearPattern(expression);
      return [{ matches: linearPattern(`^(.*\\.)?(${expression})$`), value }];
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      problems.push(`${PEFT_CONFIG}: ${key}: ${shown} can't be read as a regular expression: it ${error.message}`);
      return [];
    }
  });
}

function patternValue(patterns: readonly ModulePattern[], module: string): number | undefined {
  const names = [module, nameInMemory(module)];
  return patterns.find(({ matches }) => names.some(matches))?.value;
}
