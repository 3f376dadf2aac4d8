/** Sums over the processes of a run: the operations of `engine/native/group-operations.cc`. */
import { EngineError } from '../../engine.ts';
import type { LoweringTable } from '../lowering.ts';

/** They are on the processor: where a GPU computes, trained rows are few enough to pass through the host's memory. */
function emit(operation: string): LoweringTable['beginSum'] & LoweringTable['endSum'] {
  return ({ emitter, inputs, hasSums }) => {
    if (!hasSums)
      throw new EngineError('sums over processes need the kernels of this version of Rowtune; compile them: rowtune engine install');
    let sum = '';
    emitter.onHost(() => {
      sum = emitter.emit(operation, inputs);
    });
    return sum;
  };
}

export const processLowerings: Pick<LoweringTable, 'beginSum' | 'endSum'> = {
  beginSum: emit('RowtuneBeginSum'),
  endSum: emit('RowtuneEndSum'),
};
