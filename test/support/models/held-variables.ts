/** Variables of types that take less memory than float32. */
import { expect } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';

const given = {
  half: { dtype: 'bfloat16', data: Uint16Array.of(0x3f80, 0xc040, 0x7f80, 0x0001) },
  small: { dtype: 'int8', data: Int8Array.of(-128, -1, 0, 127) },
  byte: { dtype: 'uint8', data: Uint8Array.of(0, 1, 128, 255) },
  flag: { dtype: 'bool', data: Uint8Array.of(0, 1, 1, 0) },
} as const;

/** Expects an engine to return them unchanged, read one by one and together. */
export async function expectHeldAsGiven(engine: Engine): Promise<void> {
  const variables = Object.entries(given).map(([name, { dtype }]) => ({ name, shape: [4], dtype }));
  const session = await engine.compile({ variables, signatures: {} });
  await session.load(Object.entries(given).map(([name, { data }]) => ({ name, data })));
  for (const [name, { data }] of Object.entries(given)) expect(await session.read(name)).toEqual(data);
  expect(await session.readAll(Object.keys(given))).toEqual(Object.values(given).map(({ data }) => data));
  await session.dispose();
}
