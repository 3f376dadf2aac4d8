/** One kernel per operation; a missing one is a compile error. */
import type { OpName } from '../../graph/attributes.ts';
import type { Kernel, KernelTable } from './kernel.ts';
import { attentionKernels } from './kernels/attention.ts';
import { convolutionKernels } from './kernels/convolution.ts';
import { effectKernels } from './kernels/effect.ts';
import { elementwiseKernels } from './kernels/elementwise.ts';
import { expertKernels } from './kernels/experts.ts';
import { indexingKernels } from './kernels/indexing.ts';
import { processKernels } from './kernels/processes.ts';
import { productKernels } from './kernels/product.ts';
import { reductionKernels } from './kernels/reduction.ts';
import { shapeKernels } from './kernels/shape.ts';
import { sourceKernels } from './kernels/source.ts';

const kernelTable: KernelTable = {
  ...sourceKernels,
  ...elementwiseKernels,
  ...reductionKernels,
  ...shapeKernels,
  ...indexingKernels,
  ...productKernels,
  ...expertKernels,
  ...attentionKernels,
  ...convolutionKernels,
  ...effectKernels,
  ...processKernels,
};

export const kernelOf = <Op extends OpName>(op: Op): Kernel<Op> => kernelTable[op];
