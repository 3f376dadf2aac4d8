/** `rowtune doctor`: the engine and the machine, and the command that fixes each problem. */
import { deviceText } from '../../catalog/device-card.ts';
import { toolCommand } from '../../catalog/tools.ts';
import type { Diagnosis } from '../../engine/doctor.ts';
import { byteSize, table } from '../../protocol/text/format.ts';
import { jobContext } from '../../settings.ts';
import { EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { type EngineOptions, engineOption } from '../job-command.ts';
import { runWorker } from '../run-worker.ts';

export const addDoctor: AddCommand = (program, surroundings) => {
  const command = program
    .command('doctor')
    .description('check the engine and the machine, and show how to fix problems')
    .addOption(engineOption());
  withCommonOptions(command, ['rowtune doctor', 'rowtune doctor --engine portable']).action(() =>
    runCommandWork(command, surroundings, context => doctor(context, command.opts<EngineOptions>())),
  );
};

async function doctor({ settings, terminal, cwd }: CommandContext, { engine }: EngineOptions): Promise<CommandResult> {
  const request = { kind: 'doctor', context: jobContext(settings, cwd), engine } as const;
  const diagnosis = await runWorker({ request, terminal, threads: 0 });
  terminal.print(describe(diagnosis));
  const ok = !diagnosis.problems.some(({ severity }) => severity === 'error');
  return { value: { ok, ...diagnosis }, exitStatus: ok ? EXIT.ok : EXIT.failed };
}

/** The accelerator with its plugin, otherwise a GPU that no plugin supports. */
function gpuText({ gpu, accelerator }: Pick<Diagnosis, 'gpu' | 'accelerator'>): string {
  if (accelerator) return `${accelerator.found}; plugin of the pjrt engine for it: ${accelerator.variant}`;
  return gpu ? `${gpu.name}, driver ${gpu.driver}` : 'none was found';
}

function describe({
  engine,
  machine,
  gpu,
  accelerator,
  disk,
  node,
  platform,
  python,
  compiler,
  images,
  installedEngines,
  installedPlugins,
  clearedVariables,
  problems,
}: Diagnosis): string {
  const rows = [
    ['engine', engine?.summary ?? 'none'],
    ...(engine ? [['matrix products', `${engine.matmulGflops.toFixed(0)} GFLOP/s`]] : []),
    ...Object.entries(engine?.versions ?? {}).map(([name, version]) => [`  ${name}`, version]),
    ...(engine?.gpu ? [['GPU in estimates', deviceText(engine.gpu)]] : []),
    ['installed', [...installedEngines, ...installedPlugins.map(({ name }) => name)].join(', ') || 'none (the portable engine needs none)'],
    ['processor', `${machine.cpu.model}, ${machine.cpu.cores} cores${machine.cpu.features.map(feature => `, ${feature}`).join('')}`],
    ['memory', `${byteSize(machine.memory.availableBytes)} of ${byteSize(machine.memory.totalBytes)} free`],
    ['GPU', gpuText({ gpu, accelerator })],
    ['disk', `${byteSize(disk.freeBytes)} free in ${disk.folder}`],
    ['system', `${platform}, Node ${node}`],
    ['Python', python ?? 'missing'],
    ['compiler', compiler ?? 'missing'],
    ['images', images ?? `cannot be decoded; to decode them, run: ${toolCommand('images')}`],
    ...(clearedVariables.length > 0 ? [['ignored variables', `${clearedVariables.join(', ')} (training does not inherit them)`]] : []),
  ];
  const found = problems.map(({ severity, message, remedy }) => `${severity}: ${message}\n  fix: ${remedy}`);
  return [table(rows), ...(found.length === 0 ? ['no problems found'] : found)].join('\n');
}
