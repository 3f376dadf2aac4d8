/** `rowtune estimate`: predicts the memory of a run from the headers of the model. */
import { InvalidArgumentError } from 'commander';
import { deviceText } from '../../catalog/device-card.ts';
import { plannedEngine } from '../../catalog/engines.ts';
import { findTpu } from '../../catalog/tpus.ts';
import { deviceHere } from '../../engine/device-here.ts';
import { onHostText } from '../../lint/problems/fact-problems.ts';
import { availableMemoryBytes } from '../../machine/machine.ts';
import { runMemory } from '../../machine/run-memory.ts';
import type { MemoryEstimate, RecipeEstimate } from '../../plan/memory/predict.ts';
import { describeNothingFits } from '../../plan/memory/propose-settings.ts';
import { batchSize, byteSize, countedText, flopCount, grouped, percent, table } from '../../protocol/text/format.ts';
import { EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { estimateOnCard, onHostHeads } from '../estimate-on-card.ts';
import { estimateOnTpu } from '../estimate-on-tpu.ts';
import { withOverrides } from '../job-command.ts';
import { ENCODER_ROW, JUDGE_ROW, judgeHeaders, modelHeaders, TEACHER_ROW, teacherHeaders } from '../model-headers.ts';
import { readRecipe } from '../read-recipe.ts';
import { withReader } from '../with-reader.ts';

export const addEstimate: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program
      .command('estimate')
      .description('predict the memory of a run, and compare other methods')
      .argument('<recipe>', 'a recipe')
      .option('--plan', 'propose settings for batch, accumulation, recompute and rank that fit, fastest first')
      .option(
        '--card <name>',
        'the memory on a graphics card, which need not be there, and the settings that fit it, for example "RTX 4090"; or the memory on a TPU, for example "TPU v5e"',
      )
      .option('--no-compile', "with --card: by a model of the buffers, without the card's own compiler")
      .option('--memory <size>', 'memory limit of the run with --plan, for example 8GB (default: half of the free memory)', parseSize),
  );
  withCommonOptions(command, [
    'rowtune estimate spam.rowtune.yaml',
    'rowtune estimate spam.rowtune.yaml max_length=2048 recompute=block --json',
    'rowtune estimate spam.rowtune.yaml --plan --memory 4GB',
    'rowtune estimate spam.rowtune.yaml --card "RTX 4090"',
  ]).action((file: string, overrides: string[], { plan, memory, card, compile }: EstimateOptions) =>
    runCommandWork(command, surroundings, context => {
      const tpu = card === undefined ? undefined : findTpu(card);
      if (tpu !== undefined) return estimateOnTpu(context, { file, overrides, tpu, compile });
      if (card !== undefined) return estimateOnCard(context, { file, overrides, card, compile });
      return plan || memory !== undefined ? planCommand(context, file, overrides, memory) : estimate(context, file, overrides);
    }),
  );
};

interface EstimateOptions {
  readonly plan?: boolean;
  /** The memory in bytes. */
  readonly memory?: number;
  readonly card?: string;
  readonly compile: boolean;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 };

/** The number of bytes of '8GB', '800 MB' or '6.5GiB'. */
function parseSize(text: string): number {
  const [, number = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b)?\s*$/i.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  if (number === '' || factor === undefined || Number(number) === 0)
    throw new InvalidArgumentError('Write a size, for example 8GB or 800MB.');
  return Number(number) * factor;
}

async function planCommand(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  memory: number | undefined,
): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const here = deviceHere(plannedEngine(recipe.engine), context.settings.cacheDir);
  const { usableBytes: usable, isPerDevice } = runMemory(here, availableMemoryBytes());
  const params = {
    recipe,
    ...(await modelHeaders(context, recipe, source.baseDir)),
    teacher: await teacherHeaders(context, recipe, source.baseDir),
    judge: await judgeHeaders(context, recipe, source.baseDir),
    dataIn: { baseDir: source.baseDir, cacheDir: context.settings.cacheDir },
    ...here,
    usableBytes: memory ?? usable,
    isPerDevice,
    compiledIn: context.settings.cacheDir,
  } as const;
  const found = await withReader(reader => reader.ask('plan', params, `Planning the memory of ${file}`));
  if (found.options.length === 0) {
    const reason = describeNothingFits(found, recipe);
    context.terminal.say('warning', reason);
    return { value: { ok: false, reason, ...found }, exitStatus: EXIT.failed };
  }
  if (here.gpu) context.terminal.print(deviceText(here.gpu));
  const hasTeacher = params.teacher !== undefined;
  const onHostHead = onHostHeads(found.options);
  context.terminal.print(
    table([
      ['batch', 'accumulation', 'recompute', 'total', ...onHostHead, 'counted by', ...(hasTeacher ? ['teacher'] : []), 'work', 'overrides'],
      ...found.options.map(option => [
        String(option.batch),
        String(option.accumulation),
        option.recompute,
        byteSize(option.totalBytes),
        ...onHostHead.map(() => byteSize(option.hostBytes ?? 0)),
        option.source,
        ...(hasTeacher ? [byteSize(option.teacherBytes ?? 0)] : []),
        `×${option.cost.toFixed(2)}`,
        option.overrides.join(' ') || '(the recipe unchanged)',
      ]),
    ]),
  );
  return { value: { ok: true, ...found } };
}

async function estimate(context: CommandContext, file: string, overrides: readonly string[]): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const here = deviceHere(plannedEngine(recipe.engine), context.settings.cacheDir);
  const { availableBytes, usableBytes, isPerDevice } = runMemory(here, availableMemoryBytes());
  const params = {
    recipe,
    ...(await modelHeaders(context, recipe, source.baseDir)),
    teacher: await teacherHeaders(context, recipe, source.baseDir),
    judge: await judgeHeaders(context, recipe, source.baseDir),
    dataIn: { baseDir: source.baseDir, cacheDir: context.settings.cacheDir },
    ...here,
    usableBytes,
    isPerDevice,
    allLevels: true,
    compare: true,
    compiledIn: context.settings.cacheDir,
  } as const;
  const found = await withReader(reader => reader.ask('estimate', params, `Estimating the memory of ${file}`));
  context.terminal.print(describe(found, availableBytes));
  if (found.runBytes <= availableBytes) return { value: { ok: true, availableBytes, ...found } };
  const warning = `the run needs about ${byteSize(found.runBytes)}, but only ${byteSize(availableBytes)} are free${onHostText(found, availableBytes)}`;
  context.terminal.say('warning', warning);
  return { value: { ok: true, availableBytes, ...found, warning } };
}

function describe(found: RecipeEstimate, availableBytes: number): string {
  const isApart = found.gpu?.memoryBytes !== undefined;
  const each = found.devices > 1 ? 'device' : 'process';
  const ofFree = `of ${byteSize(availableBytes)} ${isApart ? 'on the GPU' : 'free'}`;
  const parts = [
    ['weights', byteSize(found.weightsBytes)],
    ['trained next to them', byteSize(found.trainedBytes)],
    ['gradients between batches', byteSize(found.gradientBytes)],
    ['optimizer', byteSize(found.optimizerBytes)],
    ...(found.offloadedBytes > 0 ? [['offloaded (not counted)', byteSize(found.offloadedBytes)]] : []),
    [`activations (recompute: ${found.recompute}${fullBatch(found)}${countedText(found.source)})`, byteSize(found.activationBytes)],
    ...(found.judgeBytes === undefined ? [] : [[JUDGE_ROW, byteSize(found.judgeBytes)]]),
    ['engine', byteSize(found.engineOverheadBytes)],
    ...(found.processes * found.devices === 1
      ? [['total', `${byteSize(found.totalBytes)} ${ofFree}`]]
      : [
          [`total of each ${each}`, isApart ? `${byteSize(found.totalBytes)} ${ofFree}` : byteSize(found.totalBytes)],
          ...(isApart
            ? []
            : [
                [
                  `total of ${found.devices > 1 ? `${found.devices} devices` : `${found.processes} processes`} on this machine`,
                  `${byteSize(found.runBytes)} ${ofFree}`,
                ],
              ]),
        ]),
    ...(found.scoringBytes === undefined ? [] : [['scoring pass, before training', `${byteSize(found.scoringBytes)} ${ofFree}`]]),
    ...(found.teacherBytes === undefined ? [] : [[TEACHER_ROW, `${byteSize(found.teacherBytes)} ${ofFree}`]]),
    ...(found.encoderBytes === undefined ? [] : [[ENCODER_ROW, `${byteSize(found.encoderBytes)} ${ofFree}`]]),
  ];
  const levels = found.levels.map(({ recompute, activationBytes, source, totalBytes, flops }) => [
    recompute,
    `${byteSize(activationBytes)}${countedText(source)}`,
    byteSize(totalBytes),
    `${flopCount(flops)} per batch`,
  ]);
  return [
    ...(found.gpu ? [deviceText(found.gpu)] : []),
    `${found.method} trains ${grouped(found.trainable)} of ${grouped(found.parameters)} parameters (${percent(found.trainableShare, 2)})`,
    table(parts),
    table([['recompute', 'activations', 'total', 'work'], ...levels]),
    table([['method', 'trained', 'activations', 'total'], ...[found, ...found.alternatives].map(methodRow)]),
  ].join('\n\n');
}

/** The batch that the estimate assumes; the data may make shorter ones. */
const fullBatch = ({ buckets: [first] }: Pick<MemoryEstimate, 'buckets'>): string =>
  first === undefined ? '' : `, a full batch of ${batchSize(first.shape)}`;

const methodRow = ({ method, r, trainable, activationBytes, totalBytes }: MemoryEstimate): string[] => [
  r === undefined ? method : `${method} r=${r}`,
  grouped(trainable),
  byteSize(activationBytes),
  byteSize(totalBytes),
];
