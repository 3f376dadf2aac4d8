/**
 * Weights of NVIDIA's Model Optimizer (names that end in `-FP8` and `-NVFP4` on the hub): `weight` in 8 bits, or two codes of NVFP4 in a
 * byte, with `weight_scale` as in compressed-tensors, and for NVFP4 a scale of all, `weight_scale_2`. Layers that the config ignores are
 * plain tensors.
 */
import type { TensorInfo } from '../tensor-source.ts';
import { type CodedForm, type Found, foundWeight } from './coded-form.ts';
import { eightBits, nvfp4, OF_ACTIVATIONS } from './compressed-tensors.ts';
import type { Tensors } from './part-checks.ts';

/** Tensors of forms that compute more than a product with a weight. */
const OF_INPUTS = /\.(?:pre_quant_scale|svdquant_lora_[ab])$/;

export const modelopt: CodedForm = tensors => ({
  layers: [...tensors.values()].flatMap(info => findWeight(tensors, info)),
  others: [...tensors.keys()].filter(name => OF_ACTIVATIONS.test(name)),
});

function findWeight(tensors: Tensors, info: TensorInfo): Found[] {
  const { name, dtype } = info;
  const refused = (message: string): Found[] => [{ weight: undefined, problems: [{ tensor: name, message }] }];
  if (OF_INPUTS.test(name)) return refused('changes the inputs of a layer, which is not computed');
  if (!name.endsWith('.weight')) return [];
  switch (dtype) {
    case 'F8_E4M3':
      return [foundWeight(tensors, parts => eightBits({ parts, base: name, info, schemes: [] }))];
    case 'U8':
      return [
        foundWeight(tensors, parts =>
          nvfp4({ parts, base: name, info, schemes: [] }, parts.needed(`${name}_scale_2`, ['F32']), (scale, whole) => scale * whole),
        ),
      ];
    default:
      return tensors.has(`${name}_scale`) ? refused(`is ${dtype}, but has a scale of codes`) : [];
  }
}
