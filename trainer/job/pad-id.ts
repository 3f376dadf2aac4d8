/** The token that pads rows: it is masked everywhere, and only has to exist in the model. */
import type { CausalModel } from '../model/model-spec.ts';
import type { TextBase } from './open-base.ts';

export function padIdOf({ tokenizer, model }: Pick<TextBase<CausalModel>, 'tokenizer' | 'model'>): number {
  const id = tokenizer.padId ?? tokenizer.eosIds[0] ?? 0;
  return id < model.vocabularySize ? id : 0;
}
