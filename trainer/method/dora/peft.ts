/** Factors with magnitudes, in the form of PEFT's DoRA. */
import { groupsOf } from '../lora/attach.ts';
import { factorsFromPeft } from '../lora/from-peft.ts';
import { groupedModules } from '../lora/grouped-factors.ts';
import { refusedFactors } from '../lora/peft.ts';
import { factorsToPeft } from '../lora/to-peft.ts';
import type { PeftForm } from '../peft-form.ts';

export const magnitudesInPeft: PeftForm = {
  type: 'LORA',
  refuses: ({ description: { method, lora } }, module) =>
    groupsOf(module) > 1 && lora.has(module.name) ? `${method} of a grouped convolution` : refusedFactors(module),
  toPeft: params => {
    const { tensors, config } = factorsToPeft(params);
    return { tensors, config: { ...config, use_dora: true } };
  },
  fromPeft: {
    ...factorsFromPeft,
    reads: ({ use_dora: isDora }) => isDora === true,
    converted: async (adapter, problems) => {
      problems.push(...groupedModules(adapter).map(module => `has DoRA of the grouped convolution ${module}, ${OTHER_NORM}`));
      return new Map();
    },
  },
};

/** The reason to refuse: PEFT's norm is over rows of a product of [out / groups, R] and [R, in], which are not rows of the weight. */
const OTHER_NORM = 'because the norm in PEFT is not over the rows of this weight';
