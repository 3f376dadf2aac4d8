/** Problems of a generation_config.json: values out of range, settings without effect, nonexistent tokens. Pure. */
import type { ModelConfig } from '../../format/model-config.ts';
import { sizeKeyIn } from '../../model/size-keys.ts';
import type { ConfigReport } from './config-codes.ts';
import { tokenProblems } from './model-config-rules.ts';

interface Bounds {
  readonly min: number;
  readonly max?: number;
  /** Whether the minimum itself is excluded. */
  readonly above?: boolean;
  readonly integer?: boolean;
}

/** Bounds as in Transformers. */
const bounds: Readonly<Record<string, Bounds>> = {
  temperature: { min: 0 },
  top_p: { min: 0, max: 1, above: true },
  min_p: { min: 0, max: 1 },
  typical_p: { min: 0, max: 1, above: true },
  top_k: { min: 0, integer: true },
  repetition_penalty: { min: 0, above: true },
  encoder_repetition_penalty: { min: 0, above: true },
  no_repeat_ngram_size: { min: 0, integer: true },
  num_beams: { min: 1, integer: true },
  num_return_sequences: { min: 1, integer: true },
  max_length: { min: 1, integer: true },
  min_length: { min: 0, integer: true },
  max_new_tokens: { min: 1, integer: true },
  min_new_tokens: { min: 0, integer: true },
};

/** Settings that are read only while sampling, with their neutral values, which many tools write. */
const SAMPLING: Readonly<Record<string, unknown>> = { temperature: 1, top_p: 1, top_k: 50, min_p: null, typical_p: 1 };

export function* generationProblems(generation: ModelConfig, config: ModelConfig | undefined): Generator<ConfigReport> {
  for (const [key, bound] of Object.entries(bounds)) {
    const value = generation[key];
    if (value === undefined || value === null) continue;
    if (typeof value === 'number' && isWithin(value, bound)) continue;
    yield { code: 'generation-range', path: [key], message: `${key} must be ${rangeText(bound)}, not ${JSON.stringify(value)}` };
  }
  if (generation.do_sample !== true)
    for (const [key, neutral] of Object.entries(SAMPLING)) {
      const value = generation[key];
      if (value === undefined || value === null || value === neutral) continue;
      yield { code: 'generation-ignored', severity: 'info', path: [key], message: `${key} has no effect without "do_sample": true` };
    }
  const { max_length: longest } = generation;
  const positions = config?.[sizeKeyIn(config, 'max_position_embeddings')];
  if (typeof longest === 'number' && typeof positions === 'number' && longest > positions)
    yield {
      code: 'generation-length',
      severity: 'warning',
      path: ['max_length'],
      message: `max_length (${longest}) is larger than the model's ${positions} positions`,
      replaceBy: String(positions),
    };
  if (config !== undefined) yield* tokenProblems(generation, config);
}

const isWithin = (value: number, { min, max = Number.POSITIVE_INFINITY, above = false, integer = false }: Bounds): boolean =>
  (above ? value > min : value >= min) && value <= max && (!integer || Number.isInteger(value));

function rangeText({ min, max, above = false, integer = false }: Bounds): string {
  const kind = integer ? 'a whole number' : 'a number';
  const least = above ? `above ${min}` : `from ${min}`;
  return max === undefined ? `${kind} ${above ? least : `${least} up`}` : `${kind} ${least} to ${max}`;
}
