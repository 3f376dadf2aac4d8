/** Formats the results of long requests as Markdown pages and as sentences. Pure; data from a worker is checked, not trusted. */
import { labelIn } from '../trainer/catalog/labels.ts';
import { batchSize, byteSize, compact, countedText, duration, flopCount, grouped, percent } from '../trainer/protocol/text/format.ts';

type Facts = Readonly<Record<string, unknown>>;

export const asFacts = (value: unknown): Facts => (typeof value === 'object' ? { ...value } : {});
const list = (value: unknown): readonly Facts[] => (Array.isArray(value) ? value.map(asFacts) : []);
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);
const bytes = (value: unknown): string => (typeof value === 'number' ? byteSize(value) : 'unknown');

/** Builds a table. Cells are our own text or numbers; a vertical bar in a model name would end its cell. */
function markdownTable(header: readonly string[], rows: readonly (readonly string[])[], align: '---' | '---:' = '---:'): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell => cell.replace(/\|/g, '\\|')).join(' | ')} |`;
  return [line(header), line(header.map((_, i) => (i === 0 ? '---' : align))), ...rows.map(line)].join('\n');
}

/** Returns one sentence for a notification. */
export function estimateSentence(value: unknown): string {
  const { totalBytes, availableBytes, trainable, trainableShare, recompute, gpu } = asFacts(value);
  const { name, memoryBytes, assumed } = asFacts(gpu);
  const fits = numberOf(totalBytes) <= numberOf(availableBytes);
  return `About ${bytes(totalBytes)} (recompute: ${String(recompute)}) of ${bytes(availableBytes)} ${typeof memoryBytes === 'number' ? `on ${String(name)}` : 'free'}${fits ? '' : ', more than is available'}; trains ${grouped(numberOf(trainable))} parameters, ${percent(numberOf(trainableShare), 2)}.${typeof assumed === 'string' ? ` ${assumed}.` : ''}`;
}

/** Returns one sentence about how a recipe fits the card in the settings. */
export function cardSentence(value: unknown): string {
  const { card, totalBytes, source, fits } = asFacts(value);
  const { label, usableBytes } = asFacts(card);
  const by = source === 'compiler' ? "as the card's own compiler counts" : "by a model of its compiler's buffers";
  return `About ${bytes(totalBytes)} of ${bytes(usableBytes)} on ${String(label)}, ${by}${fits === true ? '' : '; more than a run may take there'}. GPU: unmeasured.`;
}

/** Lists the settings that fit the card, below a sentence about it. */
export function cardReport(name: string, value: unknown): string {
  const options = list(asFacts(value).options);
  const cells = ({ precision, batch, recompute, totalBytes, source, overrides }: Facts): string[] => [
    ...[precision, batch, recompute].map(String),
    bytes(totalBytes),
    String(source),
    Array.isArray(overrides) ? overrides.join(' ') : '',
  ];
  return [
    `# Memory of ${name}`,
    cardSentence(value),
    '## Settings that fit',
    options.length === 0
      ? 'None were found.'
      : markdownTable(['precision', 'batch', 'recompute', 'total', 'counted by', 'overrides'], options.map(cells)),
  ].join('\n\n');
}

export function estimateReport(name: string, value: unknown): string {
  const found = asFacts(value);
  const methodRow = (facts: Facts): string[] => [
    `${labelIn('method', String(facts.method))}${typeof facts.r === 'number' ? ` r=${facts.r}` : ''}`,
    grouped(numberOf(facts.trainable)),
    bytes(facts.activationBytes),
    bytes(facts.totalBytes),
  ];
  return [
    `# Memory of ${name}`,
    estimateSentence(value),
    '## By component',
    markdownTable(
      ['component', 'memory'],
      [
        ['weights', bytes(found.weightsBytes)],
        ['trained next to them', bytes(found.trainedBytes)],
        ['gradients between batches', bytes(found.gradientBytes)],
        ['optimizer', bytes(found.optimizerBytes)],
        ...(numberOf(found.offloadedBytes) > 0 ? [['offloaded (not counted)', bytes(found.offloadedBytes)]] : []),
        [
          `activations (recompute: ${String(found.recompute)}${fullBatch(found.buckets)}${countedText(found.source)})`,
          bytes(found.activationBytes),
        ],
        ['engine', bytes(found.engineOverheadBytes)],
        ['**total**', `**${bytes(found.totalBytes)}**`],
      ],
    ),
    '## By level of recomputation',
    markdownTable(
      ['recompute', 'activations', 'total', 'compute per batch'],
      list(found.levels).map(level => [
        String(level.recompute),
        `${bytes(level.activationBytes)}${countedText(level.source)}`,
        bytes(level.totalBytes),
        flopCount(numberOf(level.flops)),
      ]),
    ),
    '## By method, at about as many trained parameters',
    markdownTable(['method', 'trained', 'activations', 'total'], [found, ...list(found.alternatives)].map(methodRow)),
    '',
  ].join('\n\n');
}

/** Names the full batch that the estimate is for; the data may have smaller ones. */
function fullBatch(buckets: unknown): string {
  const { batch, tokens } = asFacts(list(buckets)[0]?.shape);
  return typeof batch === 'number' && typeof tokens === 'number' ? `, a full batch of ${batchSize({ batch, tokens })}` : '';
}

/** "accuracy 97.5%, loss 0.1234, 240 samples" */
export function evaluationSentence(value: unknown): string {
  const { loss, perplexity, labels, measures, samples } = asFacts(value);
  const { accuracy } = asFacts(labels);
  return [
    ...(typeof accuracy === 'number' ? [`accuracy ${percent(accuracy)}`] : []),
    ...(typeof loss === 'number' ? [`loss ${compact(loss)}`] : []),
    ...(typeof perplexity === 'number' ? [`perplexity ${compact(perplexity)}`] : []),
    ...Object.entries(asFacts(measures)).flatMap(([name, measure]) => (typeof measure === 'number' ? [`${name} ${compact(measure)}`] : [])),
    ...(typeof samples === 'number' ? [`${grouped(samples)} samples`] : []),
  ].join(', ');
}

/** Reports the engine, the machine, and each problem with its fix. */
export function doctorReport(value: unknown): string {
  const {
    engine,
    machine,
    gpu,
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
  } = asFacts(value);
  const { cpu, memory } = asFacts(machine);
  const { model, cores, features } = asFacts(cpu);
  const { name, driver } = asFacts(gpu);
  const { summary, matmulGflops, versions, gpu: computing } = asFacts(engine);
  const { name: device, multiprocessors, capability, assumed } = asFacts(computing);
  const { freeBytes, folder } = asFacts(disk);
  const installed = [...(Array.isArray(installedEngines) ? installedEngines : []), ...list(installedPlugins).map(plugin => plugin.name)];
  const found = list(problems);
  return [
    '# Rowtune Doctor',
    found.length === 0
      ? 'No problems were found.'
      : found
          .map(({ severity, message, remedy }) => `- **${String(severity)}**: ${String(message)}  \n  Fix: \`${String(remedy)}\``)
          .join('\n'),
    markdownTable(
      ['what', 'found'],
      [
        ['engine', typeof summary === 'string' ? summary : 'none'],
        ...(typeof matmulGflops === 'number' ? [['matrix products', `${matmulGflops.toFixed(0)} GFLOP/s`]] : []),
        ...Object.entries(asFacts(versions)).map(([part, version]) => [part, String(version)]),
        ...(device === undefined
          ? []
          : [
              [
                'GPU in estimates',
                [`${String(device)}: ${String(multiprocessors)} multiprocessors, compute capability ${String(capability)}`, assumed]
                  .filter(Boolean)
                  .join('. '),
              ],
            ]),
        ['installed', installed.map(String).join(', ') || 'none (the portable engine needs none)'],
        [
          'processor',
          `${String(model)}, ${String(cores)} cores${Array.isArray(features) ? features.map(feature => `, ${String(feature)}`).join('') : ''}`,
        ],
        ['memory', `${bytes(asFacts(memory).availableBytes)} of ${bytes(asFacts(memory).totalBytes)} free`],
        ['GPU', name === undefined ? 'no NVIDIA GPU' : `${String(name)}, driver ${String(driver)}`],
        ['disk', `${bytes(freeBytes)} free in ${String(folder)}`],
        ['system', `${String(platform)}, Node ${String(node)}`],
        ['Python', typeof python === 'string' ? python : 'missing'],
        ['compiler', typeof compiler === 'string' ? compiler : 'missing'],
        ['images', typeof images === 'string' ? images : 'cannot be decoded; **Rowtune: Install Engine** installs the library'],
        ...(Array.isArray(clearedVariables) && clearedVariables.length > 0
          ? [['ignored variables', `${clearedVariables.join(', ')} (training does not inherit them)`]]
          : []),
      ],
      '---',
    ),
    '',
  ].join('\n\n');
}

export interface StatusFacts {
  readonly extensionVersion: string;
  readonly daemon: string;
  /** The daemon's own status, if connected. */
  readonly daemonStatus?: unknown;
  readonly isServerRunning: boolean;
  readonly node: string;
  readonly stateDir: string;
  readonly cacheDir: string;
}

export function statusReport({ extensionVersion, daemon, daemonStatus, isServerRunning, node, stateDir, cacheDir }: StatusFacts): string {
  const { uptimeSeconds, clients, jobs, rssBytes, logFile } = asFacts(daemonStatus);
  const { queued, running, ended } = asFacts(jobs);
  return [
    '# Rowtune Status',
    daemon,
    markdownTable(
      ['what', 'now'],
      [
        ['extension', extensionVersion],
        ['language server', isServerRunning ? 'running' : 'not running; it starts with the first recipe'],
        ...(daemonStatus === undefined
          ? []
          : [
              [
                'daemon',
                `up ${duration(numberOf(uptimeSeconds))}, ${bytes(rssBytes)}, ${String(clients)} ${clients === 1 ? 'client' : 'clients'}`,
              ],
              ['jobs', `${String(running)} running, ${String(queued)} queued, ${String(ended)} ended`],
              ['log of the daemon', String(logFile)],
            ]),
        ['Node', node],
        ['state', stateDir],
        ['cache', cacheDir],
      ],
      '---',
    ),
    '',
  ].join('\n\n');
}
