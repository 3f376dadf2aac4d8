/** The trained modules as a grid of module kinds by blocks. */
import type { CoverageView } from '../../trainer/protocol/view/run.ts';

type Module = CoverageView['modules'][number];

export interface CoverageKind {
  /** The name of a module without its block: "self_attn.q_proj". */
  readonly kind: string;
  /** Modules by the index of their block in `blocks`. */
  readonly modules: readonly (Module | undefined)[];
  readonly count: number;
  readonly rows: number;
  readonly trainedRows: number;
  /** The counted unit. */
  readonly unit: 'rows' | 'columns';
  readonly parameters: number;
  readonly trainable: number;
}

export interface CoverageGrid {
  /** Block numbers in ascending order; '' stands for modules outside the blocks. */
  readonly blocks: readonly string[];
  /** Kinds in the order of the model. */
  readonly kinds: readonly CoverageKind[];
}

/** Splits a name: "model.layers.3.mlp.up_proj" → "model.layers", "3", "mlp.up_proj". The first number in a name is its block. */
export function placeOf(module: string): { readonly stack: string; readonly block: string; readonly kind: string } {
  const parts = module.split('.');
  const at = parts.findIndex(part => /^\d+$/.test(part));
  if (at < 0) return { stack: '', block: '', kind: module };
  const stack = parts.slice(0, at).join('.');
  return { stack, block: parts[at] ?? '', kind: parts.slice(at + 1).join('.') || (parts[at - 1] ?? module) };
}

export function coverageGrid({ modules }: Pick<CoverageView, 'modules'>): CoverageGrid {
  const found = modules.map(module => ({ ...placeOf(module.module), module }));
  const stacks = new Set(found.map(({ stack }) => stack).filter(Boolean));
  // If there are several stacks, prefix the kind: an encoder and a decoder both have a block 0.
  const placed = found.map(place => (stacks.size > 1 && place.stack ? { ...place, kind: `${place.stack}.*.${place.kind}` } : place));
  const blocks = [...new Set(placed.map(({ block }) => block))].sort((a, b) => (a === '' ? 1 : b === '' ? -1 : Number(a) - Number(b)));
  const kinds = [...new Set(placed.map(({ kind }) => kind))].map((kind): CoverageKind => {
    const own = placed.filter(place => place.kind === kind);
    const sum = (of: (module: Module) => number): number => own.reduce((total, { module }) => total + of(module), 0);
    return {
      kind,
      modules: blocks.map(block => own.find(place => place.block === block)?.module),
      count: own.length,
      rows: sum(({ rows }) => rows),
      trainedRows: sum(({ trainedRows }) => trainedRows),
      unit: own[0]?.module.unit ?? 'rows',
      parameters: sum(({ parameters }) => parameters),
      trainable: sum(({ trainable }) => trainable),
    };
  });
  return { blocks, kinds };
}

/** The trained share of a module's rows, or of its parameters if no row is trained on its own. */
export const shareOf = ({ rows, trainedRows, parameters, trainable }: Omit<Module, 'module'>): number =>
  trainedRows > 0 ? trainedRows / rows : parameters > 0 ? trainable / parameters : 0;

/** The part of each weight that is trained, with the names of the recipe's `trains`. */
export function trainedPart({ modules }: Pick<CoverageView, 'modules'>): 'rows' | 'columns' | 'coupled' {
  const units = new Set(modules.map(({ unit = 'rows' }) => unit));
  return units.size > 1 ? 'coupled' : units.has('columns') ? 'columns' : 'rows';
}
