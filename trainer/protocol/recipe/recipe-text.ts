/**
 * Writes the text of a new recipe from the answers of the wizard or of `rowtune init`: the settings that people usually change, with a
 * sentence about each. Pure.
 */

import { labelIn } from '../../catalog/labels.ts';
import { needsData } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { type ObjectiveEntry, objectiveCatalog, objectiveOfArchitecture } from '../../catalog/objectives.ts';
import { shellWord } from '../text/shell-word.ts';
import { parseRecipe } from './parse-recipe.ts';
import { type Recipe, settings } from './recipe-schema.ts';
import { type PartialRecipe, stringifyRecipe } from './stringify-recipe.ts';

export interface RecipeAnswers {
  readonly name: string;
  /** The model as the recipe should name it: a folder, a file, or a name on the hub. */
  readonly model: string;
  readonly task: Recipe['task'];
  readonly method: Recipe['method'];
  /** The training data as the recipe should name it; missing if the user has no data yet. */
  readonly train?: string;
  /** The held-out data as the recipe should name it; if left out, a share of the training data is held out. */
  readonly evaluation?: string | undefined;
  /** Our column names → the names in the data. */
  readonly columns?: Readonly<Record<string, string>>;
  /** Maximum input length of the model in tokens, if known. */
  readonly maxPositions?: number | undefined;
  /** Number of rows or columns per layer, if a layer of the model has fewer than the default; if left out, the method's default. */
  readonly r?: number | undefined;
  /** The prompts in the model's folder for search queries and for documents. */
  readonly prompts?: { readonly query?: string | undefined; readonly document?: string | undefined } | undefined;
}

/** The choices for a new recipe, made before its model and data are read. */
export interface NewRecipeParams {
  readonly model: string;
  /** The data; left out if there is none yet, or if it is on another machine. */
  readonly data?: string | undefined;
  /** The task; if left out, it is detected from the model and the data. */
  readonly task?: Recipe['task'] | undefined;
  readonly method: Recipe['method'];
  /** The folder that relative paths start from. */
  readonly baseDir: string;
}

/** The answers that follow from the model and the data; or the problem that prevents writing a recipe, and how to fix it. */
export type NewRecipeAnswer<More = unknown> =
  | { readonly problem: { readonly message: string; readonly hint: string } }
  | { readonly fitting: Pick<RecipeAnswers, 'task' | 'columns' | 'maxPositions' | 'r' | 'prompts'> & More };

/** The task that a model is made for, by its architecture class. @param config the parsed config.json, which may be anything */
export function taskOfConfig(config: unknown): Recipe['task'] | undefined {
  if (typeof config !== 'object' || config === null || !('architectures' in config)) return undefined;
  const { architectures } = config;
  return objectiveOfArchitecture(Array.isArray(architectures) ? String(architectures[0]) : '');
}

/** A placeholder path for data that does not exist yet. */
const EXAMPLE_DATA = 'data/train.jsonl';

/** A sample for each kind of target. */
const EXAMPLE_SAMPLES: Readonly<Record<ObjectiveEntry['target'], string>> = {
  tokens: '{"prompt": "…", "completion": "…"}',
  preference: '{"prompt": "…", "chosen": "…", "rejected": "…"}',
  judgment: '{"prompt": "…", "completion": "…", "label": true}',
  label: '{"text": "…", "label": "…"}',
  labels: '{"text": "…", "labels": ["…"]}',
  number: '{"text": "…", "label": 1.5}',
  similarity: '{"anchor": "…", "positive": "…"}',
  tags: '{"tokens": ["Ada", "sleeps"], "tags": ["B-PER", "O"]}',
};

/** Placeholder for a model that the reader replaces. */
const EXAMPLE_TEACHER = 'models/teacher';

/** The share of the training data to hold out for evaluation. */
const VAL_SIZE = 0.1;

export function recipeText({
  name,
  model,
  task,
  method,
  train,
  evaluation,
  columns = {},
  maxPositions = Number.POSITIVE_INFINITY,
  r,
  prompts: { query, document } = {},
}: RecipeAnswers): string {
  const { target, hasTeacher } = objectiveCatalog[task];
  const given: PartialRecipe = {
    name,
    model,
    task,
    method,
    data: { train: [train ?? EXAMPLE_DATA], ...(evaluation !== undefined && { eval: [evaluation] }) },
    ...(evaluation === undefined && { val_size: VAL_SIZE }),
    ...(r !== undefined && { r }),
    ...(hasTeacher && { distillation: { teacher: EXAMPLE_TEACHER } }),
  };
  const { recipe, problems } = parseRecipe(stringifyRecipe(given));
  if (recipe === undefined)
    throw new Error(`These answers do not make a valid recipe: ${problems.map(({ message }) => message).join('; ')}`);
  const isImages = objectiveCatalog[task].reads === 'images';
  const shown: PartialRecipe = {
    ...given,
    engine: recipe.engine,
    ...('r' in recipe && recipe.r !== undefined ? { r: recipe.r } : {}),
    ...(methodCatalog[method].lowRank === 'factors' ? { lora_alpha: recipe.lora_alpha, lora_dropout: recipe.lora_dropout } : {}),
    ...(methodCatalog[method].trainsColumns ? { trains: recipe.trains } : {}),
    target_modules: recipe.target_modules,
    data: { ...given.data, format: recipe.data.format, ...(Object.keys(columns).length > 0 && { columns }) },
    ...(methodCatalog[method].chooses === 'rows'
      ? {
          importance: {
            measure: recipe.importance.measure,
            ...(needsData(recipe.importance.measure) && { samples: recipe.importance.samples }),
          },
        }
      : {}),
    ...(isImages ? {} : { max_length: Math.min(recipe.max_length, maxPositions) }),
    per_device_train_batch_size: recipe.per_device_train_batch_size,
    gradient_accumulation_steps: recipe.gradient_accumulation_steps,
    num_train_epochs: recipe.num_train_epochs,
    learning_rate: recipe.learning_rate,
    lr_scheduler_type: recipe.lr_scheduler_type,
    ...(objectiveCatalog[task].compares?.beta !== undefined ? { preference: { beta: recipe.preference.beta } } : {}),
    ...((query !== undefined || document !== undefined) && {
      embedding: { ...(query !== undefined && { query_prompt: query }), ...(document !== undefined && { document_prompt: document }) },
    }),
    ...(hasTeacher && {
      distillation: { teacher: EXAMPLE_TEACHER, top_k: recipe.distillation.top_k, alpha: recipe.distillation.alpha },
    }),
    seed: recipe.seed,
    recompute: recipe.recompute,
  };
  const head = [
    `# ${settings.method?.type.choices?.[method] ?? method}`,
    `# Train it with the link above, or run: rowtune train ${shellWord(recipeFileName(name))}`,
    ...(train === undefined
      ? [`# This data file does not exist yet. Write one JSON object per line, such as ${EXAMPLE_SAMPLES[target]}.`]
      : []),
    ...(hasTeacher ? ['# Set distillation.teacher to a larger model, or a tuned one, with the same vocabulary.'] : []),
  ];
  return `${head.join('\n')}\n\n${spaced(stringifyRecipe(shown, { comments: true }))}`;
}

/** Adds a blank line before each comment that follows a setting. */
const spaced = (text: string): string => text.replace(/^(?!#)(.*)\n(?=#)/gm, '$1\n\n');

export const recipeFileName = (name: string): string => `${name}.rowtune.yaml`;

/** A free name for a recipe: smollm2-135m-spsft, smollm2-135m-spsft-2. */
export function freeName(model: string, method: string, taken: ReadonlySet<string>): string {
  const last =
    model
      .replace(/[\\/]+$/, '')
      .split(/[\\/]/)
      .at(-1) ?? '';
  const base = last
    .replace(/\.gguf$/i, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '');
  return freeStem(`${base === '' ? 'model' : base.slice(0, 60)}-${method}`, taken);
}

/** The stem, or the stem with a number appended: spam, spam-2. */
export function freeStem(stem: string, taken: ReadonlySet<string>): string {
  for (let count = 1; ; count++) {
    const name = count === 1 ? stem : `${stem}-${count}`;
    if (!taken.has(name)) return name;
  }
}

/** The choices of a setting, each with its label and a sentence, for a list to pick from. */
export function choicesOf(
  setting: 'task' | 'method',
): readonly { readonly word: string; readonly label: string; readonly doc: string; readonly isDefault: boolean }[] {
  const { type, fixedDefault } = settings[setting] ?? { type: { choices: {} }, fixedDefault: undefined };
  return Object.entries(type.choices ?? {}).map(([word, doc]) => ({
    word,
    label: labelIn(setting === 'task' ? 'objective' : 'method', word),
    doc,
    isDefault: word === fixedDefault,
  }));
}
