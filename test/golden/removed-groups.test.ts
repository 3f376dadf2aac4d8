/**
 * Tests the law of coupled groups for every classifier: if one channel of each group is zero (its rows, biases, norm entries and table
 * features), nothing that reads the channel has any effect, so that it could be cut out of every weight.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CoupledGroup, coupledGroups, type GroupMember } from '../../trainer/coupling/coupled-groups.ts';
import { elementsOf } from '../../trainer/coupling/coupling.ts';
import { backward } from '../../trainer/graph/gradient.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { withStacks } from '../../trainer/model/stored-form.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { lastOf, required, valueFor } from '../../trainer/narrow.ts';
import { feedsOfClassifier, traceClassifier } from '../../trainer/verify/classifier-reference.ts';
import { imageSizeOf, readGolden } from '../../trainer/verify/golden.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { openFast } from '../support/engines.ts';

const engine = await openFast();
const folders = [
  ...['bert', 'roberta', 'xlm_roberta', 'camembert', 'distilbert', 'electra', 'albert', 'albert_groups', 'mpnet', 'nomic_bert', 'eurobert', 'ultrabert', 'gte', 'esm', 'modernbert', 'deberta', 'deberta_own_keys'],
  ...['vit', 'deit_teacher', 'dinov2', 'dinov2_resized', 'dinov2_registers', 'dinov3', 'dinov3_gated', 'convnext', 'convnext_plain', 'convnextv2', 'swin', 'swin_uneven', 'siglip', 'resnet', 'resnet_basic', 'timm_resnext'],
  ...['timm_vit', 'timm_dinov2', 'timm_dinov2_registers', 'timm_convnext', 'timm_convnextv2', 'timm_swin'],
];

const isTable = ({ module, part }: GroupMember): boolean => part === 'columns' && module.kind !== 'linear' && module.kind !== 'conv';
const indicesOf = ({ channelOf }: GroupMember, channel: number): Int32Array =>
  Int32Array.from([...channelOf.keys()].filter(i => channelOf[i] === channel));

/** Returns the flat indices of a weight's elements that belong to a channel. */
function numbersOf(member: GroupMember, channel: number): Int32Array {
  const { module, part } = member;
  const places = indicesOf(member, channel);
  const none = new Int32Array();
  if (part === 'columns' && !isTable(member)) return elementsOf(module, none, places);
  const width = lastOf(module.weight.shape);
  if (part === 'columns') return everyRow(module.weight.shape.reduce((n, d) => n * d, 1) / width, width, places);
  const [rows = 1, ...rest] = part === 'entries' ? [width] : module.weight.shape;
  const size = rest.reduce((n, d) => n * d, 1);
  expect(places.every(row => row < rows)).toBe(true);
  return Int32Array.from([...places].flatMap(row => Array.from({ length: size }, (_, i) => row * size + i)));
}

const everyRow = (rows: number, width: number, places: Int32Array): Int32Array =>
  Int32Array.from(Array.from({ length: rows }, (_, row) => [...places].map(place => row * width + place)).flat());

/** The last channel of a group, because the first one may be special by chance. */
const removedOf = ({ channels }: CoupledGroup): number => channels - 1;

test.each(folders)('%s', async name => {
  const dir = join(import.meta.dirname, name);
  const folder = await openModel(dir);
  const golden = await readGolden(join(dir, 'golden.json'));
  const model = classifierOf(folder.config, { imageSize: imageSizeOf(golden) });
  // Keep groups with a maker and a reader, or with two makers whose product is computed. The rows of two heads are the output itself.
  const isAnswer = ({ members }: CoupledGroup) => members.every(({ module }) => model.heads.includes(module));
  const groups = coupledGroups(model).filter(group => group.members.length > 1 && !isAnswer(group));
  const zeros = new Map<string, Int32Array[]>();
  for (const group of groups)
    for (const member of group.members) {
      if (member.part === 'columns' && !isTable(member)) continue;
      const { weight, bias } = member.module;
      zeros.set(weight.name, [...(zeros.get(weight.name) ?? []), numbersOf(member, removedOf(group))]);
      if (bias) zeros.set(bias.name, [...(zeros.get(bias.name) ?? []), indicesOf(member, removedOf(group))]);
    }
  const whole = withStacks(model.parameters, folder.weights);
  const removed = {
    tensors: whole.tensors,
    readFloat32: async (tensor: string) => {
      const values = Float32Array.from(await whole.readFloat32(tensor));
      for (const place of zeros.get(tensor)?.flatMap(places => [...places]) ?? []) values[place] = 0;
      return values;
    },
  };

  const { graph, seeds, loss } = traceClassifier(model, golden, 'frozen');
  const weights = [...new Set(groups.flatMap(({ members }) => members.map(({ module }) => module.weight)))];
  const read = new Map(weights.map(weight => [weight.name, graph.read({ ...weight, dtype: 'float32' })]));
  const found = backward(graph, { seeds, wrt: new Map([...read.values()].map(node => [node, {}])), policy: 'none' });
  const outputs = Object.fromEntries([...read].map(([weight, node]) => [weight, valueFor(found, node)]));
  const session = await engine.compile(assemble({ step: { graph, outputs: { loss, ...outputs }, effects: [] } }));
  await session.load(weightStream(model, removed));
  const gradients = await session.run('step', feedsOfClassifier(model, golden));
  await session.dispose();
  await folder.weights.close();

  const wrong: string[] = [];
  for (const group of groups) {
    const readers = group.members.filter(member => member.part === 'columns' && !isTable(member));
    // Queries and keys have no reader; without one of them, the other has no effect.
    for (const member of readers.length > 0 ? readers : group.members) {
      const gradient = required(gradients[member.module.weight.name], member.module.weight.name);
      const largest = Math.max(...[...numbersOf(member, removedOf(group))].map(place => Math.abs(gradient[place] as number)));
      if (!(largest === 0)) wrong.push(`${member.module.name} ${member.part} ${largest}`);
    }
  }
  expect(wrong).toEqual([]);
  const others = weights.filter(({ name: weight }) => Array.from(gradients[weight] ?? []).some(value => value !== 0));
  expect(others.length).toBe(weights.length);
});
