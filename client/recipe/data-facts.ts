/** Describes a data file next to its name in a list. Pure. */
import { byteSize } from '../../trainer/protocol/text/format.ts';
import type { DataFileInfo } from '../../trainer/protocol/view/data.ts';

/** "12.3 MB · instructions with answers", and the first sample or the problem below it. */
export function dataFacts(info: DataFileInfo | undefined): { readonly description?: string; readonly detail?: string } {
  if (info === undefined) return {};
  const { bytes, format, sample, problem } = info;
  const facts = [bytes === undefined ? undefined : byteSize(bytes), problem === undefined ? format : 'cannot be read'];
  const description = facts.filter(fact => fact !== undefined).join(' · ');
  const detail = problem ?? sample;
  return { ...(description !== '' && { description }), ...(detail !== undefined && { detail }) };
}
