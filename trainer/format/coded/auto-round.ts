/**
 * Weights of AutoRound (names that end in `-int4-AutoRound` on the hub), which are stored in the words of GPTQ or AWQ. `packing_format` says
 * in which, and whether a zero is stored minus one; `extra_config` has the settings of layers with their own.
 */
import { isRecord } from '../../narrow.ts';
import { currentName } from '../current-name.ts';
import { awq } from './awq.ts';
import type { CodedForm } from './coded-form.ts';
import { gptqWords } from './gptq.ts';

export const autoRound: CodedForm = (tensors, how) => {
  const packing = String(how.packing_format);
  if (packing.endsWith('awq')) return awq(tensors, how);
  const own = new Map(
    Object.entries(isRecord(how.extra_config) ? how.extra_config : {}).map(([name, found]) => [currentName(name), found]),
  );
  const settingsOf = (layer: string): Readonly<Record<string, unknown>> => {
    const found = own.get(layer);
    return isRecord(found) ? { ...how, ...found } : how;
  };
  return gptqWords(tensors, settingsOf, packing === 'auto_round' || packing === 'auto_round:gptqmodel');
};
