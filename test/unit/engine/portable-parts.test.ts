/** Tests the parts of the portable engine that need no backend. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { philox4x32, randomMask } from '../../../trainer/engine/portable/philox.ts';
import { releasePlan } from '../../../trainer/engine/portable/release-plan.ts';
import { resolveWasmFolder, WASM_FILES } from '../../../trainer/engine/portable/wasm-folder.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { toBfloat16 } from '../../../trainer/graph/types.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';

describe('Philox4x32-10', () => {
  // Known answers of the authors' Random123 library (kat_vectors), those whose two upper counter words are 0.
  it('gives the known answer for zeros', () =>
    expect(philox4x32([0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]));

  it.each([0.1, 0.5, 0.9])('gives masks of the share %d', share => {
    const mask = randomMask([3, 4], 40_000, share * 2 ** 16);
    const ones = mask.reduce((sum, bit) => sum + bit, 0);
    // One standard deviation is at most 100; six of them are allowed.
    expect(Math.abs(ones - 40_000 * share)).toBeLessThan(600);
  });

  it('gives entry i whatever the count', () =>
    expect(randomMask([3, 4], 20, 2 ** 15).slice(0, 13)).toEqual(randomMask([3, 4], 13, 2 ** 15)));
});

it('rounds to bfloat16 to nearest, ties to even', () => {
  const bits = toBfloat16(Float32Array.of(1, 1.00390625, 1.01171875, -1.004, Number.POSITIVE_INFINITY, Number.NaN, 3.4e38));
  expect(Array.from(bits, b => b.toString(16))).toEqual(['3f80', '3f80', '3f82', 'bf81', '7f80', '7fc0', '7f80']);
});

describe('the release plan', () => {
  const graph = new Graph();
  const x = graph.feed('x', [2]);
  const hidden = graph.exp(x);
  const y = graph.add(graph.mul(hidden, hidden), x);
  const effect = graph.assign('w', hidden);
  graph.declare({ name: 'w', shape: [2], dtype: 'float32' });
  const signature = signatureOf({ graph, outputs: { y }, effects: [effect] });
  const plan = releasePlan(signature);

  it('frees each tensor once, right after its last reader', () => {
    const freed = plan.flat();
    expect(new Set(freed).size).toBe(freed.length);
    const readersOf = (node: Node) =>
      signature.schedule.flatMap((other, at) => (other === node || other.inputs.includes(node) ? [at] : []));
    plan.forEach((nodes, at) => {
      for (const node of nodes) expect(Math.max(...readersOf(node))).toBe(at);
    });
  });

  it('keeps the outputs and frees all else', () =>
    expect(new Set(plan.flat())).toEqual(new Set(signature.schedule.filter(node => node !== y))));
});

describe('the folder of the wasm files', () => {
  it('is the installed package when run from source', () => expect(resolveWasmFolder()).toMatch(/tfjs-backend-wasm.dist.$/));

  it('is wasm/ next to the bundle where that is whole', async () => {
    const dist = await mkdtemp(join(tmpdir(), 'rowtune-wasm-'));
    try {
      const url = pathToFileURL(join(dist, 'trainer.mjs')).href;
      expect(() => resolveWasmFolder(url)).toThrow(/npm run build/);
      await mkdir(join(dist, 'wasm'));
      for (const file of WASM_FILES) await writeFile(join(dist, 'wasm', file), '');
      expect(resolveWasmFolder(url)).toBe(join(dist, 'wasm') + sep);
    } finally {
      await rm(dist, { recursive: true });
    }
  });
});
