/** Kernels of the operations that supply tensors: feeds, constants, variables, random values. */

import { elementCount } from '../../../graph/types.ts';
import { upload } from '../host-array.ts';
import type { KernelTable } from '../kernel.ts';
import { randomMask } from '../philox.ts';

type Sources = 'feed' | 'constant' | 'read' | 'randomMask';

export const sourceKernels: Pick<KernelTable, Sources> = {
  feed: { device: ({ attrs, feeds }) => upload(feeds[attrs.name], attrs.spec, `feed ${attrs.name}`) },
  constant: { device: ({ attrs }) => upload(attrs.value, attrs, 'a constant') },
  read: { device: ({ attrs, variables }) => variables.get(attrs.variable) },
  randomMask: {
    host: ([seed], { shape, ones, skip }) => {
      const [low = 0, high = 0] = seed ?? [];
      return randomMask([low, high], elementCount(shape), ones, skip);
    },
  },
};
