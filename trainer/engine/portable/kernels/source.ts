/** Kernels of the operations that bring tensors in. */
import type { HostArray } from '../../../graph/types.ts';
import { upload } from '../host-array.ts';
import type { KernelTable } from '../kernel.ts';
import { uniform } from '../philox.ts';

type Sources = 'feed' | 'constant' | 'read' | 'randomUniform';

export const sourceKernels: Pick<KernelTable, Sources> = {
  feed: { device: ({ attrs, feeds }) => upload(feeds[attrs.name] as HostArray, attrs.spec, `feed ${attrs.name}`) },
  constant: { device: ({ attrs }) => upload(attrs.value, attrs, 'a constant') },
  read: { device: ({ attrs, variables }) => variables.get(attrs.variable) },
  randomUniform: {
    host: ([seed], { shape }) => {
      const [low = 0, high = 0] = seed ?? [];
      return uniform(
        [low, high],
        shape.reduce((n, d) => n * d, 1),
      );
    },
  },
};
