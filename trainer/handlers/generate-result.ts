/** The result of the job 'generate'. */
import type { TextLabel } from '../generate/classify-text.ts';
import type { GeneratedText } from '../generate/generate-text.ts';
import type { TextEntity } from '../generate/label-text.ts';
import type { ComparedSample } from '../protocol/view/compared-sample.ts';
import type { NearText } from './inference/nearest-texts.ts';

export interface GenerateResult extends GeneratedText {
  readonly engine: string;
  /** The entities of the prompt, from a token classifier; `text` is then the prompt with its labels. */
  readonly entities?: readonly TextEntity[];
  /** The labels of the prompt and their probabilities, from a classifier of texts; `text` lists them. */
  readonly labels?: readonly TextLabel[];
  /** From an embedding model: the texts of the run's data that are nearest to the prompt; `text` lists them. */
  readonly nearest?: readonly NearText[];
  /** The scores of a sample's answers, if the request names a sample; `text` lists them. */
  readonly compared?: ComparedSample;
}
