/**
 * The tools for agents, each of which is a command of the command line. The MCP server and the editor's language model tools read this
 * table.
 */
import { isRecord } from '../narrow.ts';
import { namesOf } from './entries.ts';

/** The kinds of parameters: a path on this machine, other text, or an integer. */
export type ToolParameterKind = 'path' | 'text' | 'number';

export interface ToolParameter {
  readonly kind: ToolParameterKind;
  /** Present if the parameter takes a list of values. */
  readonly isList?: true;
  readonly isOptional?: true;
  readonly description: string;
}

export interface AgentTool {
  readonly title: string;
  /** The description, written for the model that chooses a tool. */
  readonly description: string;
  /** Present for a tool that starts or stops something: the question that it asks the user first. */
  readonly changes?: { readonly question: string };
  /** A tool that must succeed first with the same parameters. Its `warning` is part of the answer. */
  readonly checkedBy?: 'estimate_memory';
  readonly parameters: Readonly<Record<string, ToolParameter>>;
  /** The command and its options, without parameters. */
  readonly command: readonly string[];
  /** The options that pass parameters; other parameters follow the command in the order of the table. */
  readonly options?: Readonly<Record<string, string>>;
}

const recipe: ToolParameter = { kind: 'path', description: 'The recipe file, for example spam.rowtune.yaml.' };
const run: ToolParameter = { kind: 'path', description: 'The folder of the run, for example runs/spam.' };
const overrides: ToolParameter = {
  kind: 'text',
  isList: true,
  isOptional: true,
  description: 'Settings that override the recipe, each as key=value, for example learning_rate=1e-4.',
};

export const agentTools = {
  lint_recipe: {
    title: 'Lint a Recipe',
    description:
      'Checks a training recipe (or a model config) against its model and data. Returns every problem with its code, line, column and, where there is one, a suggestion that replaces the marked text. A recipe with an error cannot be trained.',
    parameters: { recipe },
    command: ['lint'],
  },
  explain_diagnostic: {
    title: 'Explain a Diagnostic',
    description: 'Explains a code that lint_recipe reported: the problem, its consequence, and how to fix it.',
    parameters: { code: { kind: 'text', description: 'The code, for example unknown-key.' } },
    command: ['explain'],
  },
  estimate_memory: {
    title: 'Estimate Memory',
    description:
      'Predicts the memory of a training in bytes, by part, next to the free memory of this machine, and compares recompute levels and other methods. Nothing is loaded.',
    parameters: { recipe, overrides },
    command: ['estimate'],
  },
  list_runs: {
    title: 'List Runs',
    description: 'Lists the training runs in a folder, newest first, with state, step, losses and metrics.',
    parameters: { folder: { kind: 'path', isOptional: true, description: 'The folder to search; the current one if left out.' } },
    command: ['runs'],
  },
  read_metrics: {
    title: 'Read Metrics',
    description: 'Returns the newest lines of metrics of a run: step, loss, learning rate, held-out losses and metrics.',
    parameters: { run, last: { kind: 'number', isOptional: true, description: 'The number of lines; 20 if left out.' } },
    command: ['metrics'],
    options: { last: '--last' },
  },
  compare_runs: {
    title: 'Compare Runs',
    description: 'Compares finished or running runs: their results, and the settings in which they differ.',
    parameters: { runs: { kind: 'path', isList: true, description: 'The folders of the runs.' } },
    command: ['compare'],
  },
  start_training: {
    title: 'Start Training',
    description:
      'Starts to train a recipe in the background and returns its run folder and job. Lint the recipe and estimate its memory first. Follow it with list_runs and read_metrics.',
    changes: { question: 'Start training this recipe?' },
    checkedBy: 'estimate_memory',
    parameters: { recipe, overrides },
    command: ['train', '--detach'],
  },
  stop_run: {
    title: 'Stop a Run',
    description: 'Stops a run of the daemon after its current step. It saves a checkpoint and can be resumed.',
    changes: { question: 'Stop this run? It saves a checkpoint and can be resumed.' },
    parameters: { run },
    command: ['runs', '--stop'],
  },
} as const satisfies Readonly<Record<string, AgentTool>>;

export type AgentToolName = keyof typeof agentTools;

export const agentToolNames = namesOf(agentTools);

export const isAgentToolName = (name: string): name is AgentToolName => Object.hasOwn(agentTools, name);

/** The sentence with which a check warns, if it does. */
export const warningOf = (result: unknown): readonly string[] =>
  isRecord(result) && typeof result.warning === 'string' ? [`warning: ${result.warning}`] : [];

/** The JSON Schema of a tool's input. */
export function inputSchemaOf({ parameters }: AgentTool) {
  const entries = Object.entries(parameters);
  return {
    type: 'object' as const,
    properties: Object.fromEntries(
      entries.map(([name, { kind, isList, description }]) => {
        const value = kind === 'number' ? { type: 'integer', minimum: 1 } : { type: 'string' };
        return [name, isList ? { type: 'array', items: value, description } : { ...value, description }];
      }),
    ),
    required: entries.filter(([, { isOptional }]) => !isOptional).map(([name]) => name),
    additionalProperties: false,
  };
}

/**
 * Returns the command-line arguments for an input.
 * @param pathOf resolves a path of the input
 * @throws Error that names a parameter that is missing, unknown or of the wrong kind
 */
export function argumentsOf(name: AgentToolName, input: Readonly<Record<string, unknown>>, pathOf: (path: string) => string): string[] {
  const { parameters, command, options = {} }: AgentTool = agentTools[name];
  const unknown = Object.keys(input).find(key => !Object.hasOwn(parameters, key));
  if (unknown !== undefined) throw new Error(`${name} has no parameter '${unknown}'; it takes ${Object.keys(parameters).join(', ')}`);
  const values = Object.entries(parameters).flatMap(([key, parameter]) => {
    const texts = textsOf(`${name}: ${key}`, parameter, input[key]).map(text => (parameter.kind === 'path' ? pathOf(text) : text));
    return Object.hasOwn(options, key) ? texts.flatMap(text => [String(options[key]), text]) : texts;
  });
  return [...command, ...values];
}

function textsOf(what: string, { kind, isList, isOptional }: ToolParameter, value: unknown): string[] {
  if (value === undefined && isOptional) return [];
  const items: readonly unknown[] = isList && Array.isArray(value) ? value : [value];
  if (isList && !Array.isArray(value)) throw new Error(`${what} must be a list`);
  return items.map(item => {
    if (kind === 'number' ? !Number.isSafeInteger(item) || Number(item) < 1 : typeof item !== 'string' || item === '')
      throw new Error(
        `${what} must be ${kind === 'number' ? 'a whole number from 1' : 'text'}${value === undefined ? ', but is missing' : ''}`,
      );
    // It would be read as an option of the command line.
    if (String(item).startsWith('-')) throw new Error(`${what} must not begin with a hyphen`);
    return String(item);
  });
}
