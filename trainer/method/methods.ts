/** The folder of each method of the catalog. Written by `npm run registries` from the folders of this room. */

import type { MethodName } from '../catalog/methods.ts';
import { method as bitfit } from './bitfit/method.ts';
import { method as dora } from './dora/method.ts';
import { method as full } from './full/method.ts';
import { method as head } from './head/method.ts';
import { method as lora } from './lora/method.ts';
import type { Method } from './method.ts';
import { method as rosa } from './rosa/method.ts';
import { method as shira } from './shira/method.ts';
import { method as spsft } from './spsft/method.ts';
import { method as spsftLora } from './spsft+lora/method.ts';
import { method as vera } from './vera/method.ts';

export const methods: Readonly<Record<MethodName, Method>> = {
  bitfit,
  dora,
  full,
  head,
  lora,
  rosa,
  shira,
  spsft,
  'spsft+lora': spsftLora,
  vera,
};
