/**
 * `rowtune estimate --card "TPU v5e"`: the memory of a run on a TPU, which need not be present, as its compiler counts it. A TPU stores
 * tensors in tiles of 8 × 128 elements, and no model of its buffers is close enough, so nothing is said without the compiler.
 */
import { type TpuName, tpuCatalog } from '../catalog/tpus.ts';
import { locateCardCompiler } from '../engine/install/pjrt-folder.ts';
import { cardCompilerOf } from '../engine/install/pjrt-plugins.ts';
import type { CardResult } from '../handlers/card-memory.ts';
import type { RecipeEstimate } from '../plan/memory/predict.ts';
import { byteSize, grouped, percent, table } from '../protocol/text/format.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { compilerText, compileStep, ON_CARDS } from './estimate-on-card.ts';
import { ENCODER_ROW, judgeHeaders, modelHeaders, teacherHeaders } from './model-headers.ts';
import { readRecipe } from './read-recipe.ts';
import { withReader } from './with-reader.ts';

export interface TpuEstimateParams {
  readonly file: string;
  readonly overrides: readonly string[];
  readonly tpu: TpuName;
  /** False if the user forbids the compiler. */
  readonly compile: boolean;
}

/** The words of libtpu where a program does not fit. */
const TOO_LARGE = /total memory required .*? exceeds available HBM \([^)]*\)|Ran out of memory[^\n]*/;

/** libtpu's name of the error for a program in which a recomputed block moves a weight from the host's memory again. */
const REFUSED_PLACE = 'CompileTimeHostOffloadOutputLocationMismatch';

export async function estimateOnTpu(context: CommandContext, { file, overrides, tpu, compile }: TpuEstimateParams): Promise<CommandResult> {
  const { label, usableBytes } = tpuCatalog[tpu];
  requireCompiler(context, label, compile);
  const { recipe, source } = await readRecipe(context, file, { overrides });
  if (recipe.attention === 'fused')
    throw new CliError(`'attention: fused' is a kernel of NVIDIA's, which ${label} does not have; use 'attention: chunked'`, {
      code: 'attention',
      exitStatus: EXIT.usage,
    });
  const headers = await modelHeaders(context, recipe, source.baseDir);
  const dataIn = { baseDir: source.baseDir, cacheDir: context.settings.cacheDir };
  const teacher = await teacherHeaders(context, recipe, source.baseDir);
  const judge = await judgeHeaders(context, recipe, source.baseDir);
  const asked = { recipe, ...headers, teacher, judge, dataIn, ...ON_CARDS, usableBytes, allLevels: false, compare: false } as const;
  // Only its recompute level and its counts of parameters are used: its bytes are those of a GPU.
  const found = await withReader(reader => reader.ask('estimate', asked, `Planning ${file}`));
  context.terminal.say('info', `the memory of ${label} is only known to its compiler, so the training step is compiled`);
  const compiled = await compileStep(context, { recipe, headers, target: tpu, found }).catch((error: unknown) => explained(error, label));
  const tpuFacts = { name: tpu, label, usableBytes };
  if (typeof compiled === 'string') {
    const reason = `the training step does not fit ${label}. Its compiler says: ${compiled}`;
    context.terminal.say('warning', reason);
    return { value: { ok: true, card: tpuFacts, fits: false, source: 'compiler', recompute: found.recompute, reason } };
  }
  const mostBytes = Math.max(compiled.totalBytes, compiled.encoder?.totalBytes ?? 0);
  const fits = mostBytes <= usableBytes;
  context.terminal.print(describe(tpu, found, compiled));
  if (!fits)
    context.terminal.say('warning', `the training step needs ${byteSize(mostBytes)}, but ${label} has ${byteSize(usableBytes)} for it`);
  const { totalBytes } = compiled;
  return { value: { ok: true, card: tpuFacts, fits, source: 'compiler', recompute: found.recompute, totalBytes, compiled } };
}

/** @throws CliError that says how to get the compiler, or that the estimate cannot do without it */
function requireCompiler({ settings }: CommandContext, label: string, mayCompile: boolean): void {
  const only = `the memory of ${label} is only known to its compiler: a TPU stores tensors in tiles, so the model for GPUs does not hold`;
  if (!mayCompile) throw new CliError(`${only}. Leave out --no-compile`, { code: 'usage', exitStatus: EXIT.usage });
  if (locateCardCompiler(settings.cacheDir, 'google')) return;
  const { variant, bytes } = cardCompilerOf('google');
  throw new CliError(only, {
    code: 'no-compiler',
    hint: `Install the compiler (${byteSize(bytes)}): rowtune engine install --variant ${variant} --compile-only`,
  });
}

/** Returns what the compiler says about a program that does not fit. @throws every other error, with a remedy if it is known */
function explained(error: unknown, label: string): string {
  const message = error instanceof Error ? error.message : '';
  const said = TOO_LARGE.exec(message)?.[0];
  if (said !== undefined) return said;
  if (!message.includes(REFUSED_PLACE)) throw error;
  throw new CliError(`the compiler of ${label} does not accept weights in host memory that recomputed blocks move again`, {
    code: 'offload',
    hint: 'Set recompute: cheap, or leave out base_offload.',
  });
}

function describe(tpu: TpuName, found: RecipeEstimate, compiled: CardResult): string {
  const { label, memoryGib, usableBytes } = tpuCatalog[tpu];
  const usable = byteSize(usableBytes);
  return [
    `${found.method} trains ${grouped(found.trainable)} of ${grouped(found.parameters)} parameters (${percent(found.trainableShare, 2)})`,
    `${label}: ${memoryGib} GiB, of which programs may use ${usable}, as its plugin says. TPU: unmeasured.`,
    table([
      ['weights, optimizer and batch', byteSize(compiled.arguments)],
      ['of them updated in place', byteSize(compiled.aliased)],
      ['temporaries of the step', byteSize(compiled.temporaries)],
      ['machine code', byteSize(compiled.code)],
      [`total (recompute: ${found.recompute})`, `${byteSize(compiled.totalBytes)} of ${usable}`],
      ...(compiled.host === 0 ? [] : [['in host memory', byteSize(compiled.host)]]),
      ...(compiled.encoder === undefined ? [] : [[ENCODER_ROW, `${byteSize(compiled.encoder.totalBytes)} of ${usable}`]]),
    ]),
    `${compilerText(compiled)} Evaluations and the passes of other models are not counted.`,
  ].join('\n\n');
}
