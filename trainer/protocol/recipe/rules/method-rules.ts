/** Rules about the method and the trained parameters. */
import { engineCatalog, hostingEngines, plannedEngine } from '../../../catalog/engines.ts';
import { isOneOf, orList } from '../../../catalog/entries.ts';
import { measureCatalog, measureOfRows, measuresThat, movesWeights, needsData } from '../../../catalog/measures.ts';
import { methodCatalog } from '../../../catalog/methods.ts';
import { readsBase } from '../live-reference.ts';
import { loraStart } from '../lora-start.ts';
import type { Recipe } from '../recipe-schema.ts';
import { couplesLayers, hasDependencies, scoredUnit } from '../rows-budget.ts';
import { modelParts } from '../settings/model-settings.ts';
import type { Rule } from './rule.ts';

export const methodRules: readonly Rule[] = [
  {
    code: 'budget-twice',
    severity: 'error',
    doc: 'The budget of spsft is rows per layer or a ratio, not both.',
    reads: ['method', 'r', 'ratio'],
    check: ({ method }, given) =>
      methodCatalog[method].r?.counts === 'rows' && given('r') && given('ratio')
        ? { at: 'ratio', on: 'key', message: "'r' and 'ratio' are mutually exclusive; keep one", suggestion: { kind: 'remove-key' } }
        : undefined,
  },
  {
    code: 'fused-attention',
    severity: 'error',
    doc: 'Kernels of attention are for 16 bits.',
    reads: ['attention', 'dtype'],
    check: ({ attention, dtype }) =>
      attention === 'fused' && dtype === 'float32'
        ? {
            at: 'attention',
            message: 'kernels of attention compute in bfloat16: set dtype: bfloat16, or attention: auto',
            suggestion: { kind: 'replace-value', to: 'auto' },
          }
        : undefined,
  },
  {
    code: 'quantized-base',
    severity: 'error',
    doc: 'A quantized base stays frozen.',
    reads: ['quantize', 'method', 'trains', 'dependencies'],
    check: recipe => {
      const { quantize, method } = recipe;
      if (quantize === 'none') return undefined;
      const { needsFullWeights } = methodCatalog[method];
      if (needsFullWeights !== undefined)
        return {
          at: 'quantize',
          message: `${method} ${needsFullWeights}, but weights held as ${quantize} are frozen; use lora or spsft, or quantize: none`,
          suggestion: { kind: 'replace-value', to: 'none' },
        };
      return hasDependencies(recipe)
        ? {
            at: 'dependencies',
            message: `'dependencies' trains single elements of weights, but weights held as ${quantize} are frozen; remove one of the two, or use trains: coupled`,
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined;
    },
  },
  {
    code: 'base-not-held',
    severity: 'error',
    doc: 'A base that is read while it trains is held as a whole.',
    reads: ['method', 'init_lora_weights', 'task', 'preference.reference'],
    check: recipe =>
      loraStart(recipe) === 'pissa' && readsBase(recipe)
        ? {
            at: 'preference.reference',
            message: "with init_lora_weights: pissa the run holds the weights without the start of the factors, so it can't read the base",
            suggestion: { kind: 'replace-value', to: 'cached' },
          }
        : undefined,
  },
  {
    code: 'measure-of-columns',
    severity: 'error',
    doc: 'Columns are chosen by a measure that scores columns.',
    reads: ['method', 'trains', 'importance.measure', 'importance.scores'],
    check: recipe => {
      const { measure, scores } = recipe.importance;
      if (scoredUnit(recipe) !== 'columns' || scores !== undefined || measureCatalog[measure].scoresColumns) return undefined;
      return {
        at: 'importance.measure',
        message: `'${measure}' scores rows alone; with trains: columns use ${measuresThat(({ scoresColumns }) => scoresColumns)}`,
        suggestion: { kind: 'replace-value', to: measureOfRows(needsData(measure)) },
      };
    },
  },
  {
    code: 'second-choice',
    severity: 'error',
    doc: 'A second choice moves single rows, with moments in 32 bits, in one process.',
    reads: ['method', 'trains', 'dependencies', 'quantize', 'optim', 'processes', 'importance.choose_again_after'],
    check: recipe => {
      if (recipe.importance.choose_again_after === undefined || methodCatalog[recipe.method].chooses !== 'rows') return undefined;
      const reason = whyNoSecondChoice(recipe);
      return reason === undefined
        ? undefined
        : {
            at: 'importance.choose_again_after',
            on: 'key',
            message: `rows can't be chosen a second time ${reason}`,
            suggestion: { kind: 'remove-key' },
          };
    },
  },
  {
    code: 'precision-on-portable',
    severity: 'warning',
    doc: 'The portable engine holds every number in 32 bits.',
    reads: ['engine', 'dtype', 'quantize'],
    check: ({ engine, dtype, quantize }) => {
      const message = 'the portable engine holds every number in 32 bits, so this saves no memory';
      if (engine === 'auto' || engineCatalog[engine].holdsFewerBits) return undefined;
      if (dtype === 'bfloat16') return { at: 'dtype', message, suggestion: { kind: 'replace-value', to: 'float32' } };
      return quantize === 'none' ? undefined : { at: 'quantize', message, suggestion: { kind: 'replace-value', to: 'none' } };
    },
  },
  {
    code: 'base-offload-of-engine',
    severity: 'error',
    doc: 'The weights of the base are kept in host memory only on an engine whose programs move them.',
    reads: ['base_offload', 'engine'],
    check: ({ base_offload, engine }) =>
      base_offload === 'none' || engineCatalog[plannedEngine(engine)].hostsWeights
        ? undefined
        : {
            at: 'base_offload',
            message: `engine: ${engine} keeps all weights in the memory of the compute device; to keep those of the base in host memory, set engine: ${orList(hostingEngines)}`,
            suggestion: { kind: 'replace-value', to: 'none' },
          },
  },
  {
    code: 'base-offload-of-method',
    severity: 'error',
    doc: 'Weights are kept in host memory if no update changes them, or changes only a part of them.',
    reads: ['base_offload', 'method', 'importance.measure', 'importance.scores'],
    check: recipe => {
      if (recipe.base_offload === 'none') return undefined;
      const reason = whyOnDevice(recipe);
      return reason === undefined
        ? undefined
        : {
            at: 'base_offload',
            message: `weights in host memory are frozen, or have rows, columns or elements that are trained, but ${reason}`,
            suggestion: { kind: 'replace-value', to: 'none' },
          };
    },
  },
  {
    code: 'everything-frozen',
    severity: 'error',
    doc: 'Something is left to train.',
    reads: ['freeze'],
    check: ({ freeze }) =>
      Object.keys(modelParts).every(part => isOneOf(freeze, part))
        ? { at: 'freeze', on: 'key', message: 'every part of the model is frozen, so nothing would be trained' }
        : undefined,
  },
];

/** The reason why the trained weights must be on the device; undefined if they need not be. */
export function whyOnDevice(recipe: Recipe): string | undefined {
  const { trainsWhole, targets, chooses } = methodCatalog[recipe.method];
  if (trainsWhole && targets === 'required') return `${recipe.method} trains whole weights`;
  const { measure, scores } = recipe.importance;
  if (chooses !== 'rows' || scores !== undefined || !movesWeights(measure)) return undefined;
  return `importance.measure: ${measure} trains all of them for a pass; choose another measure`;
}

function whyNoSecondChoice(recipe: Recipe): string | undefined {
  if (couplesLayers(recipe) || scoredUnit(recipe) !== 'rows')
    return 'where columns or coupled channels are trained; set trains: rows, without dependencies';
  if (methodCatalog[recipe.method].lowRank !== 'none') return `with ${recipe.method}, which trains a product too; set method: spsft`;
  if (recipe.quantize !== 'none') return `with quantize: ${recipe.quantize}, which holds the first rows apart; set quantize: none`;
  if (recipe.optim.endsWith('_8bit'))
    return `with optim: ${recipe.optim}, whose moments are kept in blocks; use ${recipe.optim.replace('_8bit', '')}`;
  return recipe.processes > 1 ? 'in several processes; set processes: 1' : undefined;
}
