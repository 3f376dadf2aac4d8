/** One rule per operation; a missing one is a compile error. */
import type { OpName } from './attributes.ts';
import type { OpRule, OpTable } from './op-rule.ts';
import { attentionRules } from './ops/attention.ts';
import { convolutionRules } from './ops/convolution.ts';
import { effectRules } from './ops/effect.ts';
import { elementwiseRules } from './ops/elementwise.ts';
import { expertRules } from './ops/experts.ts';
import { indexingRules } from './ops/indexing.ts';
import { processRules } from './ops/processes.ts';
import { productRules } from './ops/product.ts';
import { reductionRules } from './ops/reduction.ts';
import { shapeRules } from './ops/shape.ts';
import { sourceRules } from './ops/source.ts';

export const opTable: OpTable = {
  ...sourceRules,
  ...elementwiseRules,
  ...reductionRules,
  ...shapeRules,
  ...indexingRules,
  ...productRules,
  ...expertRules,
  ...attentionRules,
  ...convolutionRules,
  ...effectRules,
  ...processRules,
};

export const ruleOf = <Op extends OpName>(op: Op): OpRule<Op> => opTable[op];

export const isPure = (op: OpName): boolean => ruleOf(op).pure !== false;
