/** Test cases for every operation; an operation without cases does not compile. */

import type { EngineName } from '../../../trainer/catalog/engines.ts';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import type { OpName } from '../../../trainer/graph/attributes.ts';
import type { CaseTable, OperationCase } from './operation-case.ts';
import { attentionCases } from './operation-cases/attention.ts';
import { convolutionCases } from './operation-cases/convolution.ts';
import { effectCases } from './operation-cases/effect.ts';
import { elementwiseCases } from './operation-cases/elementwise.ts';
import { expertCases } from './operation-cases/experts.ts';
import { indexingCases } from './operation-cases/indexing.ts';
import { processCases } from './operation-cases/processes.ts';
import { productCases } from './operation-cases/product.ts';
import { reductionCases } from './operation-cases/reduction.ts';
import { shapeCases } from './operation-cases/shape.ts';
import { sourceCases } from './operation-cases/source.ts';

export const caseTable: CaseTable = {
  ...sourceCases,
  ...elementwiseCases,
  ...reductionCases,
  ...shapeCases,
  ...indexingCases,
  ...productCases,
  ...expertCases,
  ...attentionCases,
  ...convolutionCases,
  ...effectCases,
  ...processCases,
};

export const allCases: readonly { readonly op: OpName; readonly test: OperationCase }[] = namesOf(caseTable).flatMap(op =>
  caseTable[op].map(test => ({ op, test })),
);

/** Returns the cases that an engine supports. */
export const casesOf = (engine: EngineName): typeof allCases =>
  allCases.filter(({ test }) => test.engine === undefined || test.engine === engine);
