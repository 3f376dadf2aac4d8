/** The objectives: what a model is tuned for (`task` in a recipe). Code asks for a capability of an entry, not for a name. */
import { answerMetrics } from './answer-checks.ts';
import { entryOf, namesOf } from './entries.ts';

/** Properties of an objective whose answers were compared or judged by people or a checker. */
export interface Comparison {
  /** The samples: a better and a worse answer to each prompt, or one answer that was judged good or bad. */
  readonly answers: 'pairs' | 'judged';
  /** Whether the loss compares log-probabilities with those of the base model. */
  readonly usesReference: boolean;
  /** Whether the loss has several forms (`preference.loss_type`). */
  readonly hasLossTypes: boolean;
  /** The default of `preference.beta`; left out if the loss has no such factor. */
  readonly beta?: number;
  /** Present if the loss reads the margin by which an answer is better, if the data has it (`margin`), and can keep rewards near 0. */
  readonly readsMargin?: true;
  /** Present if the loss has a target margin by which the better answer should lead (`preference.gamma`). */
  readonly hasTargetMargin?: true;
  /** Present if the loss includes the next-token loss of the prompt and the better answer. */
  readonly learnsChosen?: true;
}

export interface ObjectiveEntry {
  readonly label: string;
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /** The kind of model: a language model, or a model with a head for labels or a number, or an encoder that embeds. */
  readonly model: 'causal' | 'classifier';
  /**
   * Present if it can also start from a language model, which gets a head for whole texts in place of the one for tokens, or no head if it
   * embeds.
   */
  readonly startsFrom?: 'causal';
  readonly reads: 'texts' | 'images';
  /** Present if the images in its texts are read, for models that see them. */
  readonly seesImages?: true;
  /**
   * The target of a sample: the next tokens, one of several labels, any number of labels, a number, a label for each word, the better of
   * two answers, whether an answer is good, or which texts are similar.
   */
  readonly target: 'tokens' | 'label' | 'labels' | 'number' | 'tags' | 'preference' | 'judgment' | 'similarity';
  /** The kind of problem that an encoder solves. */
  readonly problem?: 'single_label' | 'multi_label' | 'regression' | 'token_label' | 'embedding';
  /** Present if the samples are answers that were compared or judged. */
  readonly compares?: Comparison;
  /** Present if it also learns from the next-token probabilities of another model, the teacher (`distillation`). */
  readonly hasTeacher?: true;
  /** Present if it scores a text for another text: numbers are from 0 to 1, and the texts of each held-out query are ranked. */
  readonly ranks?: true;
  /** Present if samples are texts whose vectors are compared with each other. */
  readonly embeds?: true;
  /** The unit of throughput. */
  readonly unit: 'tokens' | 'images';
  /** The metrics of an evaluation that can choose the best checkpoint. */
  readonly metrics: readonly string[];
  /** The ending of the architectures in config.json that are made for the objective. */
  readonly architectures: string;
}

const ofLabels = ['loss', 'accuracy', 'f1', 'matthews'] as const;

/** The values that objectives with compared or judged answers share. */
const preference = {
  model: 'causal',
  reads: 'texts',
  seesImages: true,
  target: 'preference',
  unit: 'tokens',
  metrics: ['loss', 'accuracy', 'margin', ...answerMetrics],
  architectures: 'ForCausalLM',
} as const;

const entries = {
  causal_lm: {
    label: 'Language model',
    summary: 'Predict the next token, as language models do.',
    model: 'causal',
    reads: 'texts',
    seesImages: true,
    target: 'tokens',
    unit: 'tokens',
    metrics: ['loss', 'accuracy', ...answerMetrics],
    architectures: 'ForCausalLM',
  },
  distillation: {
    label: 'Distillation',
    summary: 'Predict the next token as another model, the teacher, predicts it.',
    model: 'causal',
    reads: 'texts',
    target: 'tokens',
    hasTeacher: true,
    unit: 'tokens',
    metrics: ['loss', 'accuracy', 'teacher_divergence', ...answerMetrics],
    architectures: 'ForCausalLM',
  },
  dpo: {
    ...preference,
    label: 'Preferences (DPO)',
    summary: 'Prefer the better of two answers, compared with the base model.',
    compares: { answers: 'pairs', usesReference: true, hasLossTypes: true, beta: 0.1 },
  },
  orpo: {
    ...preference,
    label: 'Preferences (ORPO)',
    summary: 'Learn the better of two answers, and make it likelier than the worse one.',
    compares: { answers: 'pairs', usesReference: false, hasLossTypes: false, beta: 0.1, learnsChosen: true },
  },
  simpo: {
    ...preference,
    label: 'Preferences (SimPO)',
    summary: 'Make the better of two answers likelier per token than the worse one, by a margin.',
    compares: { answers: 'pairs', usesReference: false, hasLossTypes: false, beta: 2, hasTargetMargin: true },
  },
  kto: {
    ...preference,
    label: 'Good and bad answers (KTO)',
    summary: 'Prefer answers that were judged good to those that were judged bad, one judgment each, compared with the base model.',
    target: 'judgment',
    compares: { answers: 'judged', usesReference: true, hasLossTypes: true, beta: 0.1 },
    metrics: ['loss', 'margin', ...answerMetrics],
  },
  reward: {
    label: 'Reward model',
    summary: 'Give answers a number that is higher for the better of two.',
    model: 'classifier',
    startsFrom: 'causal',
    reads: 'texts',
    target: 'preference',
    problem: 'regression',
    compares: { answers: 'pairs', usesReference: false, hasLossTypes: false, readsMargin: true },
    unit: 'tokens',
    metrics: ['loss', 'accuracy', 'margin'],
    architectures: 'ForSequenceClassification',
  },
  sequence_classification: {
    label: 'Text classification',
    summary: 'Predict one label for a text, or for a pair of texts.',
    model: 'classifier',
    reads: 'texts',
    target: 'label',
    problem: 'single_label',
    unit: 'tokens',
    metrics: ofLabels,
    architectures: 'ForSequenceClassification',
  },
  multi_label_classification: {
    label: 'Multi-label classification',
    summary: 'Predict any number of labels for a text, each by itself.',
    model: 'classifier',
    reads: 'texts',
    target: 'labels',
    problem: 'multi_label',
    unit: 'tokens',
    metrics: ['loss', 'accuracy', 'f1', 'precision', 'recall'],
    architectures: 'ForSequenceClassification',
  },
  sequence_regression: {
    label: 'Text regression',
    summary: 'Predict a number for a text, or for a pair of texts.',
    model: 'classifier',
    reads: 'texts',
    target: 'number',
    problem: 'regression',
    unit: 'tokens',
    metrics: ['loss', 'pearson'],
    architectures: 'ForSequenceClassification',
  },
  reranker: {
    label: 'Reranker (cross-encoder)',
    summary: 'Score how well a document answers a query, to sort what a search has found.',
    model: 'classifier',
    reads: 'texts',
    target: 'number',
    problem: 'multi_label',
    ranks: true,
    unit: 'tokens',
    metrics: ['loss', 'ndcg_at_10', 'mrr_at_10', 'map', 'recall_at_1'],
    architectures: 'ForSequenceClassification',
  },
  token_classification: {
    label: 'Token classification',
    summary: 'Predict a label for each word of a text: names of persons and places, parts of speech.',
    model: 'classifier',
    reads: 'texts',
    target: 'tags',
    problem: 'token_label',
    unit: 'tokens',
    metrics: ['loss', 'accuracy', 'f1', 'precision', 'recall'],
    architectures: 'ForTokenClassification',
  },
  image_classification: {
    label: 'Image classification',
    summary: 'Predict one label for an image.',
    model: 'classifier',
    reads: 'images',
    target: 'label',
    problem: 'single_label',
    unit: 'images',
    metrics: ofLabels,
    architectures: 'ForImageClassification',
  },
  embedding: {
    label: 'Sentence embeddings',
    summary: 'Give texts of similar meaning similar vectors, for search and clustering.',
    model: 'classifier',
    reads: 'texts',
    target: 'similarity',
    startsFrom: 'causal',
    problem: 'embedding',
    embeds: true,
    unit: 'tokens',
    metrics: ['loss', 'ndcg_at_10', 'mrr_at_10', 'recall_at_1', 'recall_at_10', 'accuracy', 'spearman', 'pearson'],
    architectures: 'ForSequenceClassification',
  },
} as const satisfies Readonly<Record<string, ObjectiveEntry>>;

export type ObjectiveName = keyof typeof entries;

export const objectiveCatalog: Readonly<Record<ObjectiveName, ObjectiveEntry>> = entries;

export const objectiveNames = namesOf(entries);

/** Metadata of an objective's models on the Hugging Face Hub. */
export interface HubTask {
  /** The name of the task (`pipeline_tag`). */
  readonly pipeline: string;
  /** The library made for this task, with the tags of its own model cards; if left out, it is Transformers. */
  readonly own?: { readonly library: string; readonly tags: readonly string[] };
}

export function hubTaskOf({ model, reads, target, embeds, ranks }: ObjectiveEntry): HubTask {
  if (model === 'causal') return { pipeline: 'text-generation' };
  if (reads === 'images') return { pipeline: 'image-classification' };
  // The tags of sentence-transformers 6.2, of its class SentenceTransformer and of CrossEncoder.
  const library = 'sentence-transformers';
  if (embeds)
    return { pipeline: 'sentence-similarity', own: { library, tags: [library, 'sentence-similarity', 'feature-extraction', 'dense'] } };
  if (ranks) return { pipeline: 'text-ranking', own: { library, tags: [library, 'cross-encoder', 'reranker'] } };
  return { pipeline: target === 'tags' ? 'token-classification' : 'text-classification' };
}

/** True if its models have one output, whatever labels their config names. */
export const hasOneOutput = ({ problem, ranks }: ObjectiveEntry): boolean => problem === 'regression' || ranks === true;

/** The objectives for a kind of model and input; those for only this kind come first. */
export function objectivesOf(model: ObjectiveEntry['model'], reads: ObjectiveEntry['reads']): readonly ObjectiveName[] {
  const startOf = (name: ObjectiveName): ObjectiveEntry['startsFrom'] => objectiveCatalog[name].startsFrom;
  const found = objectiveNames.filter(
    name => objectiveCatalog[name].reads === reads && [objectiveCatalog[name].model, startOf(name)].includes(model),
  );
  return [...found.filter(name => startOf(name) === undefined), ...found.filter(name => startOf(name) !== undefined)];
}

/** The objectives whose language models get a head for labels, or for a number, of a whole text. */
export const objectivesOfScoreHead: readonly ObjectiveName[] = objectiveNames.filter(name => {
  const { model, reads, target, embeds }: ObjectiveEntry = objectiveCatalog[name];
  return model === 'classifier' && reads === 'texts' && target !== 'tags' && !embeds;
});

/** True if a model tuned for this task gives a number to an answer, higher for the better of two. */
export const givesRewards = (task: string): boolean => {
  const entry = entryOf(objectiveCatalog, task);
  return entry?.model === 'classifier' && entry.compares !== undefined;
};

/** True if a class in Transformers has this ending. The name of GPT-2's class with a head is older than the endings. */
export const isOfEnding = (architecture: string, ending: string): boolean =>
  architecture.replace(/LMHeadModel$/, 'ForCausalLM').endsWith(ending);

/** The objective for the first architecture in a config.json. */
export const objectiveOfArchitecture = (architecture: string): ObjectiveName | undefined =>
  objectiveNames.find(name => {
    const entry: ObjectiveEntry = objectiveCatalog[name];
    return !entry.startsFrom && isOfEnding(architecture, entry.architectures);
  });

/** True if an objective teaches a language model the tokens of texts; also for a missing or misspelled objective. */
export function learnsTokens(task: unknown): boolean {
  const { model, target } = entryOf(objectiveCatalog, task) ?? objectiveCatalog.causal_lm;
  return model === 'causal' && target === 'tokens';
}

/** True if a class in Transformers generates text, judging by its name; classes that also read images are named after their inputs. */
export const classWritesText = (architecture: string): boolean =>
  objectiveNames.some(
    name => objectiveCatalog[name].model === 'causal' && isOfEnding(architecture, objectiveCatalog[name].architectures),
  ) || architecture.endsWith('ForConditionalGeneration');

/** True if its models have a head for labels or a number. */
export const hasHead = (task: string): boolean => {
  const entry = entryOf(objectiveCatalog, task);
  return entry?.model === 'classifier' && entry.embeds === undefined;
};

/** True if a model tuned for this task labels the words of a text. */
export const labelsWords = (task: string | undefined): boolean => entryOf(objectiveCatalog, task)?.target === 'tags';

/** True if a model tuned for this task gives a single text one label or several. */
export const labelsTexts = (task: string | undefined): boolean => {
  const { target, reads } = entryOf(objectiveCatalog, task) ?? {};
  return reads === 'texts' && (target === 'label' || target === 'labels');
};

/** True if a model tuned for this task answers a text: by a text, by labels, or by similar texts. */
export const answersText = (task: string | undefined): boolean => writesText(task) || givesLabels(task) || comparesTexts(task);

/** True if a model tuned for this task labels a text or its words. */
export const givesLabels = (task: string | undefined): boolean => labelsTexts(task) || labelsWords(task);

/** True if a model tuned for this task can be tried out: on a text, or on the answers of a sample. */
export const canBeTried = (task: string | undefined): boolean => answersText(task) || comparesAnswers(task);

/** True if a model tuned for this task scores the compared or judged answers of samples. */
export const comparesAnswers = (task: string | undefined): boolean => entryOf(objectiveCatalog, task)?.compares !== undefined;

/** True if a model tuned for this task measures the similarity of texts. */
export const comparesTexts = (task: string | undefined): boolean => entryOf(objectiveCatalog, task)?.embeds === true;

/** True if a model tuned for this task generates text; also for runs of older versions, which do not record their task. */
export const writesText = (task: string | undefined): boolean => task === undefined || entryOf(objectiveCatalog, task)?.model === 'causal';
