/** The token for padding rows: it is masked everywhere, and only has to exist in the model. */
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { CausalModel } from '../model/model-spec.ts';

interface PaddedText {
  readonly tokenizer: Pick<Tokenizer, 'padId' | 'eosIds'>;
  readonly model: Pick<CausalModel, 'vocabularySize'>;
}

export function padIdOf({ tokenizer, model }: PaddedText): number {
  const id = tokenizer.padId ?? tokenizer.eosIds[0] ?? 0;
  return id < model.vocabularySize ? id : 0;
}
