/** Sums over the processes of a run: the operations of `engine/native/group-operations.cc`. */
import type { SumType } from '../../../graph/attributes.ts';
import { EngineError } from '../../engine.ts';
import type { LoweringTable } from '../lowering.ts';
import { type Attributes, attr } from '../node-def.ts';

/** They are on the processor: where a GPU computes, trained rows are few enough to pass through the host's memory. */
function emit(operation: string, attributesOf: (as?: SumType) => Attributes): LoweringTable['beginSum'] & LoweringTable['endSum'] {
  return ({ emitter, inputs, attrs, hasSums }) => {
    if (!hasSums)
      throw new EngineError('sums over processes need the kernels of this version of Rowtune; compile them: rowtune engine install');
    let sum = '';
    emitter.onHost(() => {
      sum = emitter.emit(operation, inputs, attributesOf('as' in attrs ? attrs.as : undefined));
    });
    return sum;
  };
}

export const processLowerings: Pick<LoweringTable, 'beginSum' | 'endSum'> = {
  beginSum: emit('RowtuneBeginSum', as => ({ narrow: attr.bool(as === 'bfloat16') })),
  endSum: emit('RowtuneEndSum', () => ({})),
};
