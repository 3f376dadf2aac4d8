/** What fills the end of a row: nothing looks at it, it only has to be a token of the model. */
import type { CausalModel } from '../model/model-spec.ts';
import type { TextBase } from './open-base.ts';

export function padIdOf({ tokenizer, model }: Pick<TextBase<CausalModel>, 'tokenizer' | 'model'>): number {
  const id = tokenizer.padId ?? tokenizer.eosIds[0] ?? 0;
  return id < model.vocabularySize ? id : 0;
}
