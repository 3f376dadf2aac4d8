/** Reads the factors of a PEFT adapter: their ranks and scales. */
import { linearPattern, PatternError } from '../../protocol/text/linear-pattern.ts';
import type { FromPeft, PeftConfig, PeftFile } from '../peft-form.ts';
import { possibleNames } from '../peft-names.ts';
import type { AdapterRank } from '../trained-parts.ts';
import { fitToModel } from './experts-from-peft.ts';
import { convertedFactors } from './grouped-factors.ts';

export const factorsFromPeft: FromPeft = {
  reads: ({ use_dora: isDora }) => !isDora,
  partsOf: (file, problems) => {
    if (typeof file.config.lora_alpha !== 'number') problems.push('adapter_config.json: lora_alpha is missing');
    const lora = ranksOf(file, problems);
    return { modules: [...lora.keys()], lora };
  },
  converted: convertedFactors,
  fitToModel,
};

function ranksOf({ config, shapes, stacks }: PeftFile, problems: string[]): Map<string, AdapterRank> {
  const lora = new Map<string, AdapterRank>();
  const rankPatterns = patternsOf('rank_pattern', config, problems);
  const alphaPatterns = patternsOf('alpha_pattern', config, problems);
  for (const name of shapes.keys()) {
    const [, module, infix, factor, ending = ''] = /^(.+)\.(lora_|lora_embedding_)([AB])(\.weight)?$/.exec(name) ?? [];
    if (module === undefined) continue;
    const other = `${module}.${infix}${factor === 'A' ? 'B' : 'A'}${ending}`;
    if (!shapes.has(other)) problems.push(`${name} has no ${other} next to it`);
    if (factor !== 'A') continue;
    const found = shapes.get(name)?.[0] ?? 0;
    const expected = patternValue(rankPatterns, module) ?? config.r;
    // A stack has this many factors per expert.
    const r = stacks.has(module) && found % expected === 0 ? expected : found;
    if (r !== expected) problems.push(`${name} has rank ${r}; adapter_config.json says ${expected}`);
    const alpha = patternValue(alphaPatterns, module) ?? config.lora_alpha ?? 0;
    // Rank-stabilized LoRA scales by alpha / √r.
    const scaled = config.use_rslora ? alpha * Math.sqrt(r) : alpha;
    lora.set(module, shapes.has(`${module}.lora_B.bias`) ? { r, alpha: scaled, hasBias: true } : { r, alpha: scaled });
  }
  return lora;
}

interface ModulePattern {
  readonly matches: (name: string) => boolean;
  readonly value: number;
}

/**
 * Reads patterns for module names. Keys are regular expressions for the end of a module's name, as in PEFT's get_pattern_key; the first
 * match counts.
 */
function patternsOf(key: 'rank_pattern' | 'alpha_pattern', config: PeftConfig, problems: string[]): ModulePattern[] {
  return Object.entries(config[key] ?? {}).flatMap(([expression, value]) => {
    const shown = expression.length > 100 ? `${expression.slice(0, 100)}…` : expression;
    try {
      // Checked separately first, so that its parentheses cannot close those added here.
      linearPattern(expression);
      return [{ matches: linearPattern(`^(.*\\.)?(${expression})$`), value }];
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      problems.push(`adapter_config.json: ${key}: ${shown} can't be read as a regular expression: it ${error.message}`);
      return [];
    }
  });
}

function patternValue(patterns: readonly ModulePattern[], module: string): number | undefined {
  const names = [...possibleNames({ name: module }), `${module}.weight`];
  return patterns.find(({ matches }) => names.some(matches))?.value;
}
