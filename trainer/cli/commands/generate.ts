/** `rowtune generate`: streams text from a base model, a run or an exported folder. */
import path from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import type { GenerateOptions } from '../../protocol/messages/job-messages.ts';
import { jobContext } from '../../settings.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { baseOffloadOption, engineOption, numberOption, precisionOptions } from '../job-command.ts';
import { modelAndAdapter } from '../model-and-adapter.ts';
import { runWorker } from '../run-worker.ts';
import { answerNote } from '../show/answer-note.ts';

interface Options extends Omit<GenerateOptions, 'chat'> {
  /** Undefined if neither --chat nor --no-chat is given. */
  readonly chat?: boolean;
  readonly prompt?: string;
  readonly image?: readonly string[];
  readonly adapter?: string;
  readonly revision: string;
}

export const addGenerate: AddCommand = (program, surroundings) => {
  const command = program
    .command('generate')
    .description('generate text from a prompt (--prompt or stdin), or the labels or nearest texts if the model gives those')
    .argument('<model>', 'a run folder, a model folder, a .gguf file or a name on the hub')
    .option('--prompt <text>', 'the prompt; read from stdin if omitted')
    .option('--image <file...>', 'images that the prompt is about, for a model that reads images; <image> in the prompt marks their places')
    .option('--adapter <dir>', 'a run, a checkpoint or an exported adapter to apply to the model')
    .option('--revision <name>', 'branch, tag or commit of a model on the hub', 'main')
    .option('--temperature <number>', 'sampling temperature; 0 always picks the most likely token', numberOption({ min: 0, max: 100 }), 0)
    .option('--top-p <number>', 'sample from the most likely tokens with this total probability', numberOption({ min: 0, max: 1 }), 1)
    .option('--top-k <count>', 'sample from this many most likely tokens; 0 for all', numberOption({ min: 0, integer: true }), 0)
    .option('--max-new-tokens <count>', 'maximum number of generated tokens', numberOption({ min: 1, max: 1_000_000, integer: true }), 128)
    .option('--seed <number>', 'random seed', numberOption({ min: 0, max: 2 ** 32 - 1, integer: true }), 42)
    .option('--chat', "apply the model's chat template, if it has one (the default, except for runs)")
    .option('--no-chat', 'use the prompt unchanged; without either option, a run formats it as in training')
    .addOption(engineOption())
    .addOption(baseOffloadOption());
  for (const option of precisionOptions()) command.addOption(option);
  const examples = [
    'rowtune generate runs/spam --prompt "Is this e-mail spam or ham? …"',
    'rowtune generate HuggingFaceTB/SmolLM2-135M-Instruct --temperature 0.7 --top-p 0.9 < prompt.txt',
  ];
  withCommonOptions(command, examples).action((model: string) =>
    runCommandWork(command, surroundings, context => generate(context, model, command.opts<Options>())),
  );
};

async function generate(context: CommandContext, model: string, options: Options): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const {
    prompt: given,
    image = [],
    adapter,
    revision,
    engine,
    baseOffload,
    dtype,
    quantize,
    chat,
    maxNewTokens,
    temperature,
    topP,
    topK,
    seed,
  } = options;
  const source = await modelAndAdapter(model, { adapter, revision, cwd });
  const prompt = given ?? (await promptFromStdin());
  const request = {
    kind: 'generate',
    context: jobContext(settings, cwd),
    ...source,
    prompt,
    ...(image.length > 0 && { images: image.map(file => path.resolve(cwd, file)) }),
    promptOf: chat === undefined ? source.adapter : undefined,
    options: { engine, baseOffload, dtype, quantize, chat: chat ?? true, maxNewTokens, temperature, topP, topK, seed },
  } as const;
  const value = await runWorker({ request, terminal, threads: 0 });
  terminal.stream('\n');
  const note = answerNote(value);
  if (note !== undefined) terminal.say('info', note);
  return { value: { ok: true, ...value } };
}

async function promptFromStdin(): Promise<string> {
  if (process.stdin.isTTY)
    throw new CliError('there is no prompt', { code: 'usage', exitStatus: EXIT.usage, hint: 'Give --prompt "…", or pipe text to stdin.' });
  const prompt = (await readAll(process.stdin)).trimEnd();
  if (prompt === '')
    throw new CliError('the prompt on stdin is empty', {
      code: 'usage',
      exitStatus: EXIT.usage,
      hint: 'Give --prompt "…", or pipe text to stdin.',
    });
  return prompt;
}
