/** One rule for each operation; a missing one does not compile. */
import type { OpAttributes, OpName } from './attributes.ts';
import type { OpRule } from './op-rule.ts';
import { convolutionRules } from './ops/convolution.ts';
import { effectRules } from './ops/effect.ts';
import { elementwiseRules } from './ops/elementwise.ts';
import { expertRules } from './ops/experts.ts';
import { indexingRules } from './ops/indexing.ts';
import { productRules } from './ops/product.ts';
import { reductionRules } from './ops/reduction.ts';
import { shapeRules } from './ops/shape.ts';
import { sourceRules } from './ops/source.ts';
import { GraphError, showSpec, type TensorSpec } from './types.ts';

export type OpTable = { readonly [Op in OpName]: OpRule<Op> };

export const opTable: OpTable = {
  ...sourceRules,
  ...elementwiseRules,
  ...reductionRules,
  ...shapeRules,
  ...indexingRules,
  ...productRules,
  ...expertRules,
  ...convolutionRules,
  ...effectRules,
};

export const ruleOf = <Op extends OpName>(op: Op): OpRule<Op> => opTable[op] as unknown as OpRule<Op>;

export const isPure = (op: OpName): boolean => ruleOf(op).pure !== false;

/** The output of an operation, with the operation and its inputs named when they do not fit. */
export function inferSpec<Op extends OpName>(op: Op, inputs: readonly TensorSpec[], attrs: OpAttributes[Op]): TensorSpec {
  try {
    return ruleOf(op).infer(inputs, attrs);
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new GraphError(`${op}(${inputs.map(showSpec).join(', ')}): ${error.message}`);
  }
}
