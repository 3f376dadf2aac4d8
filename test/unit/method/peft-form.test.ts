/** Tests the methods in PEFT: each has a form there or says why not, and each PEFT adapter is read by one method. */
import { expect, test } from 'vitest';
import { methodCatalog, methodNames } from '../../../trainer/catalog/methods.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { peftConfigSchema } from '../../../trainer/method/peft-form.ts';

test.each(methodNames)('%s has a form of PEFT, or the catalog says why not', name => {
  expect(methods[name].peft === undefined).toBe(methodCatalog[name].noPeft !== undefined);
});

test.each([
  { method: 'lora', config: { peft_type: 'LORA', r: 4 } },
  { method: 'lora', config: { peft_type: 'LORA', r: 4, use_dora: false } },
  { method: 'dora', config: { peft_type: 'LORA', r: 4, use_dora: true } },
  { method: 'shira', config: { peft_type: 'SHIRA', r: 4 } },
  { method: 'vera', config: { peft_type: 'VERA', r: 4 } },
])('$config is read by $method alone', ({ method, config }) => {
  const parsed = peftConfigSchema.parse(config);
  const readers = methodNames.filter(name => {
    const { peft } = methods[name];
    return peft?.type === config.peft_type && peft.fromPeft?.reads(parsed);
  });
  expect(readers).toEqual([method]);
});
