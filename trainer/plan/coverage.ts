/** Reports, before a run starts, the modules that it trains, the number of rows or columns of each, and their share of the model. */

import { moduleOf } from '../adapter/adapter.ts';
import { wholeRows } from '../coupling/coupling.ts';
import type { Attachment, Trainable } from '../method/method.ts';
import { trainableCount } from '../method/method.ts';
import type { Model } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import { counted, grouped } from '../protocol/text/format.ts';

export interface ModuleCoverage {
  readonly module: string;
  /** Rows of the weight, and how many of them are trained; 0 with LoRA, which trains a product next to the weight. With `unit`, columns. */
  readonly rows: number;
  readonly trainedRows: number;
  readonly unit?: 'columns';
  readonly parameters: number;
  readonly trainable: number;
}

export interface Coverage {
  readonly method: Attachment['method'];
  readonly trainable: number;
  readonly parameters: number;
  /** trainable / parameters. */
  readonly share: number;
  readonly modules: readonly ModuleCoverage[];
}

const product = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

export function coverageOf(model: Model, attachment: Attachment): Coverage {
  const byModule = new Map<string, Trainable[]>();
  for (const trainable of attachment.trainables) {
    const module = moduleOf(trainable.name);
    byModule.set(module, [...(byModule.get(module) ?? []), trainable]);
  }
  const modules = model.modules.flatMap((module): ModuleCoverage[] => {
    const trainables = byModule.get(module.name);
    if (!trainables) return [];
    const own = trainables.find(({ name }) => name === module.weight.name);
    return [
      {
        module: module.name,
        ...unitsTrained(module, own),
        parameters: product(module.weight.shape) + product(module.bias?.shape ?? [0]),
        trainable: trainables.reduce((sum, { shape }) => sum + product(shape), 0),
      },
    ];
  });
  const trainable = trainableCount(attachment);
  const parameters = model.parameters.reduce((sum, { shape }) => sum + product(shape), 0);
  return { method: attachment.method, trainable, parameters, share: trainable / parameters, modules };
}

function unitsTrained(module: ModuleSpec, own: Trainable | undefined): Pick<ModuleCoverage, 'rows' | 'trainedRows' | 'unit'> {
  const [rows = 0, columns = 0] = module.weight.shape;
  if (own?.columns) return { rows: columns, trainedRows: own.columns.indices.length, unit: 'columns' };
  return { rows, trainedRows: own ? trainedRows(module, own) : 0 };
}

const trainedRows = (module: ModuleSpec, { rows, elements }: Trainable): number =>
  (rows?.indices ?? (elements && wholeRows(module, elements.indices)))?.length ?? (module.weight.shape[0] as number);

/** Formats a line with the totals, then a line for each kind of module. */
export function describeCoverage({ method, trainable, parameters, share, modules }: Coverage): string {
  const kinds = new Map<string, ModuleCoverage[]>();
  for (const module of modules) {
    const kind = module.module.slice(module.module.lastIndexOf('.') + 1);
    kinds.set(kind, [...(kinds.get(kind) ?? []), module]);
  }
  const lines = [...kinds].map(([kind, found]) => {
    const sum = (of: (module: ModuleCoverage) => number): number => found.reduce((total, module) => total + of(module), 0);
    const rows = sum(module => module.trainedRows);
    const ofRows = rows > 0 ? `, ${grouped(rows)} of ${grouped(sum(module => module.rows))} ${found[0]?.unit ?? 'rows'}` : '';
    return `  ${kind}: ${counted(found.length, 'module')}${ofRows}, ${grouped(sum(module => module.trainable))} parameters`;
  });
  const head = `${method} trains ${grouped(trainable)} of ${grouped(parameters)} parameters (${(100 * share).toFixed(2)}%) in ${counted(modules.length, 'module')}`;
  return [head, ...lines].join('\n');
}
