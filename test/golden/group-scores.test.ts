/**
 * Compares scores of coupled groups with Torch-Pruning: each measure in its fixture, with the reductions `mean` and `first` and the default
 * scale. Tolerance: 1e-5 of a group's largest score.
 */
import type { ModuleSpec } from '../../trainer/model/module-specs.ts';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type CoupledGroup, coupledGroups, type GroupMember } from '../../trainer/coupling/coupled-groups.ts';
import { groupScores } from '../../trainer/coupling/coupling.ts';
import { backward } from '../../trainer/graph/gradient.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, required, valueFor } from '../../trainer/narrow.ts';
import { feedsOfClassifier, traceClassifier } from '../../trainer/verify/classifier-reference.ts';
import { readGolden } from '../../trainer/verify/golden.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { openFast } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const TOLERANCE = 1e-5;

const groupForm = z.object({
  root: z.string(),
  members: z.array(z.object({ module: z.string(), fn: z.string() })),
  importance: z.record(z.string(), z.array(z.number())),
});
type ReferenceGroup = z.infer<typeof groupForm>;
const tensorsForm = z.record(z.string(), z.object({ shape: z.array(z.number()), data: z.array(z.number()) }));
const pruning = readGoldenJson(
  'torch_pruning.json',
  z.object({
    mlp: z.object({ state: tensorsForm, grad: tensorsForm, groups: z.array(groupForm) }),
    resnet: z.object({ groups: z.array(groupForm) }),
  }),
);

/** A group whose first member is the reference's first, with all weights and their gradients by name. */
interface Scored {
  readonly group: CoupledGroup;
  readonly weights: ReadonlyMap<string, ArrayLike<number>>;
  readonly gradients: ReadonlyMap<string, ArrayLike<number>>;
}

interface Importance {
  readonly term: (w: number, g: number) => number;
  /** Transforms the summed terms of a row, a column or an entry. */
  readonly finish?: (sum: number) => number;
  readonly of?: (members: readonly GroupMember[]) => readonly GroupMember[];
  readonly normalize?: (scores: readonly number[]) => readonly number[];
}

const overMean = (scores: readonly number[]): readonly number[] => {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return scores.map(score => score / mean);
};
/** Torch-Pruning's Taylor measure checks for group norm where it means batch norm, so it does not count entries of batch norms. */
const withoutNorms = (members: readonly GroupMember[]) => members.filter(({ part }) => part !== 'entries');

const magnitude: Importance = { term: w => w ** 2 };
const taylor: Importance = { term: (w, g) => Math.abs(w * g), of: withoutNorms };
const importances: Readonly<Record<string, Importance>> = {
  'GroupMagnitudeImportance(p=2,mean,None)': magnitude,
  'GroupMagnitudeImportance(p=2,first,None)': { ...magnitude, of: members => members.slice(0, 1) },
  'GroupMagnitudeImportance(default)': { ...magnitude, normalize: overMean },
  'GroupTaylorImportance(mean,None)': taylor,
  'GroupTaylorImportance(mean,None,multivariable)': { term: (w, g) => w * g, finish: Math.abs, of: withoutNorms },
  'GroupTaylorImportance(default)': { ...taylor, normalize: overMean },
};

/** Sums the terms of each row, column or entry of a weight [rows, columns, kernel …]. */
function sums({ module, part }: GroupMember, { weights, gradients }: Scored, { term, finish = sum => sum }: Importance): Float32Array {
  const [rows = 1, columns = 1, ...kernel] = module.weight.shape;
  const size = kernel.reduce((n, d) => n * d, 1);
  const w = valueFor(weights, module.weight.name);
  const g = valueFor(gradients, module.weight.name);
  const found = new Array<number>(part === 'columns' ? columns : rows).fill(0);
  for (let at = 0; at < w.length; at++) {
    const place = part === 'columns' ? Math.floor(at / size) % columns : Math.floor(at / (size * columns));
    found[place] = (found[place] as number) + term(w[at] as number, g[at] as number);
  }
  return Float32Array.from(found, finish);
}

function expectScores(scored: Scored, { root, importance }: ReferenceGroup, name: string): void {
  const own = required(importances[name], name);
  const members = (own.of ?? (all => all))(scored.group.members);
  const scores = [...groupScores({ ...scored.group, members }, member => sums(member, scored, own))];
  const found = (own.normalize ?? (all => all))(scores);
  const expected = required(importance[name], name);
  const far = TOLERANCE * Math.max(...expected);
  const wrong = expected.filter((score, i) => !(Math.abs(score - (found[i] as number)) <= far));
  expect({ root, channels: found.length, wrong }).toEqual({ root, channels: expected.length, wrong: [] });
}

test('the fixture has exactly the measures that are compared', () => {
  const named = [...pruning.mlp.groups, ...pruning.resnet.groups].flatMap(({ importance }) => Object.keys(importance));
  expect([...new Set(named)].sort()).toEqual(Object.keys(importances).sort());
});

describe('three linear layers', () => {
  const { state, grad, groups } = pruning.mlp;
  const numbers = (tensors: z.infer<typeof tensorsForm>) => new Map(Object.entries(tensors).map(([name, { data }]) => [name, data]));
  const linear = (name: string): ModuleSpec => {
    const weight = { name: `${name}.weight`, shape: state[`${name}.weight`]?.shape ?? [] };
    return { name, kind: 'linear', part: 'mlp', layer: 0, weight };
  };
  const groupOf = ({ members, importance }: ReferenceGroup): CoupledGroup => {
    const channels = Object.values(importance)[0]?.length ?? 0;
    const channelOf = Int32Array.from({ length: channels }, (_, i) => i);
    return {
      channels,
      members: members.map(({ module, fn }) => ({
        module: linear(module),
        part: fn === 'prune_out_channels' ? 'rows' : 'columns',
        channelOf,
      })),
    };
  };

  test.each(Object.keys(importances))('%s', name => {
    for (const reference of groups)
      expectScores({ group: groupOf(reference), weights: numbers(state), gradients: numbers(grad) }, reference, name);
  });
});

describe('a ResNet, on the groups of its graph', async () => {
  const { resnet } = await readResNet();

  test.each(Object.keys(importances))('%s', name => {
    for (const reference of pruning.resnet.groups) expectScores(resnet(reference), reference, name);
  });
});

async function readResNet(): Promise<{ readonly resnet: (reference: ReferenceGroup) => Scored }> {
  const folder = await openModel(join(import.meta.dirname, 'resnet'));
  const golden = await readGolden(join(import.meta.dirname, 'resnet', 'golden.json'));
  const model = classifierOf(folder.config, { imageSize: [32, 32] });

  const { graph, seeds } = traceClassifier(model, golden, 'frozen');
  const read = new Map(model.modules.map(({ weight }) => [weight.name, graph.read({ ...weight, dtype: 'float32' })]));
  const found = backward(graph, { seeds, wrt: new Map([...read.values()].map(node => [node, {}])), policy: 'none' });
  const outputs = Object.fromEntries([...read].map(([name, node]) => [name, valueFor(found, node)]));
  const session = await (await openFast()).compile(assemble({ gradients: { graph, outputs, effects: [] } }));
  await session.load(weightStream(model, folder.weights));
  await folder.weights.close();
  const gradients = new Map(Object.entries(await session.run('gradients', feedsOfClassifier(model, golden))));
  const names = [...gradients.keys()];
  const values = await session.readAll(names);
  await session.dispose();
  const weights = new Map(names.map((name, i) => [name, elementAt(values, i)]));

  const groups = coupledGroups(model);
  return {
    resnet: ({ root }) => {
      const isRoot = ({ module, part }: GroupMember) => part === 'rows' && `m.${module.name}` === root;
      const group = groups.find(({ members }) => members.some(isRoot));
      if (!group) throw new Error(`no group begins at ${root}`);
      const members = [...group.members.filter(isRoot), ...group.members.filter(member => !isRoot(member))];
      return { group: { ...group, members }, weights, gradients };
    },
  };
}
