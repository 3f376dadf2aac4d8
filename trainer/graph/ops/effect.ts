/** Operations that change a variable. Each returns a scalar token, so that a signature can request it. */
import type { OpRule, OpTable } from '../op-rule.ts';
import { elementCount, GraphError } from '../types.ts';

type Effects = 'assign' | 'assignAdd' | 'updateRows' | 'updateElements' | 'updateColumns' | 'adam' | 'group';

const effect = { gradient: null, buffer: 'fresh', pure: false } as const;
const token = () => ({ shape: [], dtype: 'bool' }) as const;
const perElement: OpRule<'assignAdd'>['flops'] = ([x]) => elementCount(x?.shape ?? []);

export const effectRules: Pick<OpTable, Effects> = {
  assign: { ...effect, infer: token, flops: () => 0 },
  assignAdd: { ...effect, infer: token, flops: perElement },
  updateRows: {
    ...effect,
    infer: ([rows, values]) => {
      if (rows?.dtype !== 'int32' || rows.shape.length !== 1) throw new GraphError('rows must be int32[r]');
      if (values?.shape[0] !== rows.shape[0]) throw new GraphError('one value a row is needed');
      return token();
    },
    flops: () => 0,
  },
  updateElements: {
    ...effect,
    infer: ([indices, values]) => {
      if (indices?.dtype !== 'int32' || indices.shape.length !== 1) throw new GraphError('indices must be int32[k]');
      if (values?.shape.length !== 1 || values.shape[0] !== indices.shape[0]) throw new GraphError('one number an element is needed');
      return token();
    },
    flops: () => 0,
  },
  updateColumns: {
    ...effect,
    infer: ([columns, values]) => {
      if (columns?.dtype !== 'int32' || columns.shape.length !== 1) throw new GraphError('columns must be int32[c]');
      if (values?.shape.length !== 2 || values.shape[1] !== columns.shape[0]) throw new GraphError('one value a row and column is needed');
      return token();
    },
    flops: () => 0,
  },
  /**
   * Inputs: gradient, learning rate, β₁ᵗ, β₂ᵗ, ε. As in TensorFlow's ResourceApplyAdam, ε is added to √v before the bias correction:
   * change = rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε). PyTorch corrects first; feeding ε · √(1 − β₂ᵗ) makes the two equal.
   */
  adam: { ...effect, infer: token, flops: ([g]) => 12 * elementCount(g?.shape ?? []) },
  group: { ...effect, infer: token, flops: () => 0 },
};
