/** `rowtune estimate --card`: the memory of a run on a graphics card, which need not be present, and the settings that fit it. */
import { CARD_RESERVED_BYTES, type CardName, cardBytes, cardCatalog, findCard, makerOf, usableCardBytes } from '../catalog/cards.ts';
import { CARD_ENGINE } from '../catalog/engines.ts';
import { orList } from '../catalog/entries.ts';
import { type TargetName, targetLabel, tpuNames } from '../catalog/tpus.ts';
import { locateCardCompiler } from '../engine/install/pjrt-folder.ts';
import { cardCompilerOf } from '../engine/install/pjrt-plugins.ts';
import type { CardResult } from '../handlers/card-memory.ts';
import type { HeadersSource } from '../lint/facts/estimate-model.ts';
import { isMisfit } from '../lint/facts/estimates.ts';
import { onHostText } from '../lint/problems/fact-problems.ts';
import { mostBefore } from '../plan/memory/passes-before.ts';
import type { RecipeEstimate } from '../plan/memory/predict.ts';
import type { MemoryPlanning, PlanOption } from '../plan/memory/propose-settings.ts';
import { partsOfBatch } from '../protocol/recipe/global-batch.ts';
import { parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { byteSize, duration, grouped, percent, table } from '../protocol/text/format.ts';
import type { AskReader } from '../reader/reader.ts';
import type { ReaderParamsOf } from '../reader/reader-requests.ts';
import { jobContext } from '../settings.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { ENCODER_ROW, judgeHeaders, modelHeaders, TEACHER_ROW, teacherHeaders } from './model-headers.ts';
import { type ReadRecipe, readRecipe } from './read-recipe.ts';
import { runWorker } from './run-worker.ts';
import { withReader } from './with-reader.ts';

export interface CardEstimateParams {
  readonly file: string;
  readonly overrides: readonly string[];
  /** The name of the card as the user typed it. */
  readonly card: string;
  /** Whether to use the card's own compiler, if it is installed. */
  readonly compile: boolean;
}

/** Settings of one precision that fit. */
interface Fitting extends PlanOption {
  readonly precision: string;
}

/** Each process of a run, and each of its devices, has its own card. */
export const ON_CARDS = { engine: CARD_ENGINE, device: 'gpu', isPerDevice: true } as const;

/** Ways to store the weights, by their overrides; the recipe's own comes first. */
const PRECISIONS: readonly { readonly name: string; readonly overrides: readonly string[] }[] = [
  { name: "the recipe's", overrides: [] },
  { name: 'bfloat16', overrides: ['dtype=bfloat16'] },
  { name: 'nf4, computed in bfloat16', overrides: ['dtype=bfloat16', 'quantize=nf4'] },
];

/** Number of options to show for each precision, fastest first; `--json` has all of them. */
const SHOWN_OPTIONS = 3;

export async function estimateOnCard(context: CommandContext, params: CardEstimateParams): Promise<CommandResult> {
  const named = findCard(params.card);
  if ('problem' in named)
    throw new CliError(`${named.problem}. Known TPUs: ${orList(tpuNames.map(targetLabel))}`, {
      code: 'unknown-card',
      exitStatus: EXIT.usage,
    });
  const { card } = named;
  const { recipe, source } = await readRecipe(context, params.file, { overrides: params.overrides });
  const headers = await modelHeaders(context, recipe, source.baseDir);
  const usableBytes = usableCardBytes(card);
  const teacher = await teacherHeaders(context, recipe, source.baseDir);
  const judge = await judgeHeaders(context, recipe, source.baseDir);
  const dataIn = { baseDir: source.baseDir, cacheDir: context.settings.cacheDir };
  const asked = {
    recipe,
    ...headers,
    teacher,
    judge,
    dataIn,
    ...ON_CARDS,
    card,
    usableBytes,
    allLevels: true,
    compare: true,
    ...compiledFor(context, params),
  } as const;
  const { found, compiled, options } = await withReader(async reader => {
    const found = await reader.ask('estimate', asked, `Estimating the memory of ${params.file}`);
    const compiled = params.compile ? await compileFor(context, { recipe, headers, card, found }) : undefined;
    // Planned after the compilation, whose measurements then count.
    const planned = { ...headers, teacher, judge, dataIn, card, usableBytes, ...compiledFor(context, params) };
    return { found, compiled, options: await fittingOptions(reader, source, planned) };
  });
  const totalBytes = compiled ? totalOf(compiled, recipe, found) : found.totalBytes;
  const priced = { ...found, ...(compiled?.encoder && { encoderBytes: compiled.encoder.totalBytes }) };
  const mostBytes = Math.max(totalBytes, mostBefore(priced));
  const fits = mostBytes <= usableBytes;
  context.terminal.print(describe({ card, recipe, found: priced, compiled, totalBytes, options }));
  if (!fits)
    context.terminal.say(
      'warning',
      `the run needs about ${byteSize(mostBytes)}${partsOfBatch(recipe) > 1 ? ' on each card' : ''}, but ${cardCatalog[card].label} has ${byteSize(usableBytes)} for it${onHostText(found, usableBytes)}`,
    );
  const facts = { name: card, label: cardCatalog[card].label, bytes: cardBytes(card), usableBytes, reservedBytes: CARD_RESERVED_BYTES };
  return { value: { ok: true, card: facts, fits, ...priced, source: compiled ? 'compiler' : 'model', totalBytes, compiled, options } };
}

/** Uses steps that were compiled for the card earlier, unless compiling is turned off. */
const compiledFor = ({ settings }: CommandContext, { compile }: CardEstimateParams) => (compile ? { compiledIn: settings.cacheDir } : {});

interface CompileParams {
  readonly recipe: Recipe;
  readonly headers: HeadersSource;
  readonly card: CardName;
  readonly found: RecipeEstimate;
}

/** Compiles the step; undefined if no compiler is installed, which is reported. */
async function compileFor(context: CommandContext, { recipe, headers, card, found }: CompileParams) {
  const { settings, terminal } = context;
  if (!locateCardCompiler(settings.cacheDir, makerOf(card))) {
    const { variant, bytes } = cardCompilerOf(makerOf(card));
    const command = `rowtune engine install --variant ${variant} --compile-only`;
    terminal.say(
      'info',
      `estimated by a model of the compiler's buffers; for the card's own compiler (${byteSize(bytes)}), run: ${command}`,
    );
    return undefined;
  }
  const modeled = `${byteSize(found.totalBytes)} of ${byteSize(usableCardBytes(card))}`;
  const seesImages = found.encoderBytes !== undefined;
  const programs = seesImages ? 'the step and the encoder of images are compiled' : 'the step is compiled';
  terminal.say('info', `by a model of the compiler's buffers: ${modeled}; for the exact memory, ${programs} (--no-compile skips this)`);
  return compileStep(context, { recipe, headers, target: card, found });
}

interface CompileStepParams extends Omit<CompileParams, 'card'> {
  readonly target: TargetName;
}

/** Compiles the step, and the encoder of images if the samples have any, in a worker. */
export function compileStep(
  { settings, terminal, cwd }: CommandContext,
  { recipe, headers, target, found }: CompileStepParams,
): Promise<CardResult> {
  const model =
    'model' in headers
      ? headers.model
      : { config: headers.headers.config, processor: headers.headers.processor, shapes: shapesOf(headers.headers) };
  // Sums over processes happen outside of a program; those over devices are compiled with it.
  const own = { ...recipe, processes: 1 };
  const request = {
    kind: 'card',
    context: jobContext(settings, cwd),
    recipe: own,
    model,
    card: target,
    recompute: found.recompute,
    seesImages: found.encoderBytes !== undefined,
  } as const;
  return runWorker({ request, terminal, threads: 0 });
}

/** The memory of the compiled step, plus the gradients of a process that wait for their sum after the step. */
const totalOf = (compiled: CardResult, { processes }: Recipe, { exchangeBytes = 0 }: RecipeEstimate): number =>
  compiled.totalBytes + (processes > 1 ? exchangeBytes : 0);

const shapesOf = ({ tensors }: Extract<HeadersSource, { headers: unknown }>['headers']) =>
  [...tensors].map(([name, { shape }]) => [name, shape] as const);

type PlanParams = Omit<ReaderParamsOf<'plan'>, 'recipe' | keyof typeof ON_CARDS> & HeadersSource;

/**
 * The settings that fit, measured by the card's compiler if it has compiled such a step, otherwise estimated by the model of buffers:
 * compiling each would take minutes. Precisions that the recipe's method or model does not support are left out.
 */
async function fittingOptions(reader: AskReader, source: ReadRecipe['source'], given: PlanParams): Promise<Fitting[]> {
  const found: Fitting[] = [];
  const seen = new Set<string>();
  for (const precision of PRECISIONS) {
    const recipe = recipeWith(source, precision.overrides);
    if (recipe === undefined || seen.has(`${recipe.dtype} ${recipe.quantize}`)) continue;
    seen.add(`${recipe.dtype} ${recipe.quantize}`);
    const params = { ...given, recipe, ...ON_CARDS } as const;
    const planned: MemoryPlanning | undefined = await reader
      .ask('plan', params, `Planning the memory of ${source.fileName}`)
      .catch((error: unknown) => {
        if (isMisfit(error)) return undefined;
        throw error;
      });
    if (planned === undefined) continue;
    found.push(
      ...planned.options.map(option => ({
        precision: precision.name,
        ...option,
        overrides: [...precision.overrides, ...option.overrides],
      })),
    );
  }
  return found;
}

/** The recipe with further overrides; undefined if it does not accept them. */
const recipeWith = ({ text, fileName, overrides }: ReadRecipe['source'], further: readonly string[]): Recipe | undefined =>
  parseRecipe(text, { fileName, overrides: [...overrides, ...further] }).recipe;

/** The column title for memory on the host, if any option uses it. */
export const onHostHeads = (options: readonly Pick<PlanOption, 'hostBytes'>[]): readonly string[] =>
  options.some(({ hostBytes }) => hostBytes !== undefined) ? ['in host memory'] : [];

interface Description {
  readonly card: CardName;
  readonly recipe: Recipe;
  readonly found: RecipeEstimate;
  readonly compiled: CardResult | undefined;
  readonly totalBytes: number;
  readonly options: readonly Fitting[];
}

function describe({ card, recipe, found, compiled, totalBytes, options }: Description): string {
  const { label } = cardCatalog[card];
  const usable = byteSize(usableCardBytes(card));
  const trained = `${found.method} trains ${grouped(found.trainable)} of ${grouped(found.parameters)} parameters (${percent(found.trainableShare, 2)})`;
  const reserved = `${label}: ${byteSize(cardBytes(card))}, of which ${byteSize(CARD_RESERVED_BYTES)} are assumed for the driver and its context. GPU: unmeasured.`;
  const shown = PRECISIONS.flatMap(({ name }) => options.filter(({ precision }) => precision === name).slice(0, SHOWN_OPTIONS));
  const onHostHead = onHostHeads(shown);
  const fitting = shown.map(option => [
    option.precision,
    String(option.batch),
    String(option.accumulation),
    option.recompute,
    option.r === undefined ? 'as it is' : String(option.r),
    byteSize(option.totalBytes),
    ...onHostHead.map(() => byteSize(option.hostBytes ?? 0)),
    option.source,
    `×${option.cost.toFixed(2)}`,
    option.overrides.join(' ') || '(the recipe unchanged)',
  ]);
  const heads = ['precision', 'batch', 'accumulation', 'recompute', 'r', 'total', ...onHostHead, 'counted by', 'work', 'overrides'];
  return [
    trained,
    reserved,
    ...assumedText(recipe, found),
    ...attentionText(recipe),
    table([
      ...(compiled ? compiledRows(compiled) : modelRows(found)),
      ...(compiled && totalBytes > compiled.totalBytes ? [['gradients before their sum', byteSize(totalBytes - compiled.totalBytes)]] : []),
      [partsOfBatch(recipe) > 1 ? 'total on each card' : 'total', `${byteSize(totalBytes)} of ${usable}`],
      ...(found.teacherBytes === undefined ? [] : [[TEACHER_ROW, `${byteSize(found.teacherBytes)} of ${usable}`]]),
      ...(found.encoderBytes === undefined ? [] : [[ENCODER_ROW, `${byteSize(found.encoderBytes)} of ${usable}`]]),
    ]),
    compiled ? compilerText(compiled) : "By a model of the compiler's buffers.",
    options.length === 0 ? `no batch, recompute level, precision or rank of this recipe fits ${label}` : table([heads, ...fitting]),
  ].join('\n\n');
}

/** The assumptions about a run on several cards; none for one card. */
function assumedText(recipe: Recipe, { exchangeBytes = 0 }: RecipeEstimate): string[] {
  const { processes, devices } = recipe;
  if (partsOfBatch(recipe) === 1) return [];
  const each = devices > 1 ? `devices: ${devices}. Each device` : `processes: ${processes}. Each process`;
  const sums = devices > 1 ? 'the sums of gradients within its step' : 'the gradients that wait for their sum in the memory of the host';
  return [
    `${each} is assumed to have a card of its own, which holds the whole model, its optimizer's state, the activations of ${recipe.per_device_train_batch_size} rows, and ${sums} (at most ${byteSize(exchangeBytes)}).`,
  ];
}

/** A note on the form of attention in the estimate, if the card may use another. */
function attentionText({ attention, dtype }: Recipe): string[] {
  if (attention === 'chunked' || dtype === 'float32') return [];
  return attention === 'fused'
    ? [
        "Attention counts as one kernel of cuDNN, without the kernel's workspace. A run compares it with chunks first, and ends if they differ.",
      ]
    : ["Attention counts in chunks. A run takes cuDNN's kernel if it passes a comparison: attention=fused shows its memory."];
}

const compiledRows = (compiled: CardResult): string[][] => [
  ['weights, optimizer and batch', byteSize(compiled.arguments)],
  ['of them updated in place', `${byteSize(compiled.aliased)} of ${byteSize(compiled.changedBytes)}`],
  ['temporaries of the step', byteSize(compiled.temporaries)],
];

const modelRows = (found: RecipeEstimate): string[][] => [
  ['weights', byteSize(found.weightsBytes)],
  ['trained next to them', byteSize(found.trainedBytes + found.gradientBytes)],
  ['optimizer', byteSize(found.optimizerBytes)],
  [`temporaries of the step (recompute: ${found.recompute})`, byteSize(found.activationBytes + found.engineOverheadBytes)],
];

export function compilerText({ compiler, encoder, ...training }: CardResult): string {
  const programs = encoder ? 'The training step and the encoder of images were' : 'The training step was';
  const all = [training, ...(encoder ? [encoder] : [])];
  const seconds = all.reduce((sum, each) => sum + each.seconds, 0);
  const code = training.code === 0 ? ', without machine code' : '';
  const cached = all.every(({ found }) => found) ? ', found in the cache' : '';
  return `${programs} compiled for this card by ${compiler}${code} (${duration(seconds)}${cached}).`;
}
