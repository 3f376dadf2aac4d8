/** The tokenizer of the tiny model, with and without a chat template. */
import type { Tokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { tinyWithTokenizer } from './tiny-adapter.ts';

/** @param chatTemplate in Jinja */
export async function tinyTokenizers(chatTemplate: string): Promise<{ readonly plain: Tokenizer; readonly chatting: Tokenizer }> {
  const folder = await openModel(await tinyWithTokenizer());
  try {
    const of = async (template: string | undefined) => ({ ...(await folder.loadTokenizer()), chatTemplate: template });
    return { plain: await of(undefined), chatting: await of(chatTemplate) };
  } finally {
    await folder.weights.close();
  }
}
