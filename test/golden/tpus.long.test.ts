/**
 * Tests the law of TPUs: the smallest training step of a family, compiled for a TPU without the TPU, updates every variable in place and
 * leaves nothing on the host, and libtpu describes each TPU with the memory of the catalog. The families that cover every operation are
 * compiled, each for one generation in turn. Those with convolutions take minutes, so they and all others are only compiled with
 * `ROWTUNE_TEST_CARDS=all`, for a TPU v5e.
 */
import { expect, it } from 'vitest';
import { type TpuName, tpuCatalog, tpuNames } from '../../trainer/catalog/tpus.ts';
import { openCardCompiler } from '../../trainer/engine/pjrt/card-compiler.ts';
import { compileTraining } from '../../trainer/handlers/card-memory.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { trainingStep } from '../../trainer/plan/memory/counted-passes.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeWith } from '../support/describe-with.ts';
import { COMPILE_MS, cardPlan, compilesFor, configOf, families, familiesOfAllOperations, noTpuCompiler } from '../support/golden/card-steps.ts';

const isAll = process.env.ROWTUNE_TEST_CARDS === 'all';
const isHere = compilesFor('google');

const hasConvolutions = (folder: string): boolean =>
  trainingStep(cardPlan(configOf(folder)), 'cheap').signature.schedule.some(({ op }) => op.startsWith('conv'));

const chosen = isHere
  ? familiesOfAllOperations()
      .filter(folder => !hasConvolutions(folder))
      .map((folder, i): readonly [string, TpuName] => [folder, elementAt(tpuNames, i % tpuNames.length)])
  : [];
const cases = isAll && isHere ? families().map(({ folder }): readonly [string, TpuName] => [folder, 'tpu-v5e']) : chosen;

/** Forms of the recipe whose steps have operations of their own: unpacked codes, masks of dropout, weights and moments in host memory. */
const forms = [
  'trains: columns\nr: 2\nbase_offload: host\nengine: pjrt',
  'r: 2\nquantize: nf4\ndtype: bfloat16',
  'method: lora\nr: 2\nlora_dropout: 0.1',
] as const;

/** Bytes of the smallest buffer: results that are no variables are scalars. */
const SMALLEST_BUFFER = 512;
/** Bytes of each entry of the table of results. */
const POINTER = 8;

describeWith('a step compiled for a TPU', isHere || undefined, noTpuCompiler, () => {
  const compiler = openCardCompiler(cacheDir, 'google');

  async function expectLaw(folder: string, tpu: TpuName, more?: string): Promise<void> {
    const plan = cardPlan(configOf(folder), more);
    const { signature, variables } = trainingStep(plan, 'cheap');
    const results = Object.keys(signature.outputs).length;
    const table = POINTER * (results + variables.length);
    const found = await compileTraining(plan, 'cheap', tpu, compiler);
    // Variables are padded to tiles, so each takes at least its own bytes.
    expect(found.aliased).toBeGreaterThanOrEqual(found.changedBytes);
    expect(found.outputs - found.aliased).toBeLessThanOrEqual((results + Math.ceil(table / SMALLEST_BUFFER)) * SMALLEST_BUFFER);
    expect(found.host > 0).toBe(plan.places !== undefined && plan.places.size > 0);
    expect(found.hostOperations).toEqual([]);
    expect(found.temporaries).toBeGreaterThan(0);
    expect(found.totalBytes).toBe(found.arguments + found.outputs - found.aliased + found.temporaries + found.code);
  }

  it.each(cases)('of %s for %s updates every variable in place', (folder, tpu) => expectLaw(folder, tpu), COMPILE_MS);

  it.each(forms)('of a Llama (%j) updates every variable in place', more => expectLaw('llama', 'tpu-v5e', `${more}\n`), COMPILE_MS);

  it.each(tpuNames)('%s has the memory that libtpu says', async tpu => {
    const { kind, attributes } = await compiler.describe(tpu);
    expect(kind).toMatch(/^TPU v\d/);
    expect(attributes.device_memory_bytes_limit).toBe(tpuCatalog[tpu].usableBytes);
  });
});
