/**
 * Sends metrics as a run to an MLflow tracking server with its REST API 2.0. Files are not supported: MLflow 3 refuses its own file store.
 * A resumed run replaces the previous one, because a server never removes a metric.
 */
import path from 'node:path';
import { isRecord } from '../../narrow.ts';
import type { TrackerSettings } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { askServer } from './ask-server.ts';
import { LineSender, type LineTarget, type SenderTimes, type TimedLine } from './line-sender.ts';
import { finiteMetricsOf, type MetricsTracker, settingsOf, type TrackedEnd, type TrackedRun, TrackerError } from './tracker.ts';
import { keepTrackerIds, readTrackerIds } from './tracker-file.ts';

/** Limits of the API. */
const [MAX_METRICS, MAX_PARAMS, LONGEST_PARAM] = [1000, 100, 500];

const STATUS: Readonly<Record<TrackedEnd, string>> = { finished: 'FINISHED', stopped: 'KILLED', failed: 'FAILED' };

/** @throws TrackerError without an address */
export function mlflowTracker({ lines, ...run }: TrackedRun, times?: SenderTimes): MetricsTracker {
  const { mlflow: settings } = settingsOf(run);
  const { uri } = settings;
  if (uri === undefined) throw new TrackerError('set MLFLOW_TRACKING_URI to the address of a tracking server');
  if (!/^https?:\/\//.test(uri))
    throw new TrackerError(
      `MLFLOW_TRACKING_URI is ${uri}, but only servers (http:// or https://) are supported; start one with mlflow server`,
    );
  const address = uri.replace(/\/+$/, '');
  return new LineSender(answered => new MlflowRun({ run, settings, uri: address, answered }), lines, { times });
}

interface MlflowParams {
  readonly run: Omit<TrackedRun, 'lines'>;
  readonly settings: TrackerSettings['mlflow'];
  readonly uri: string;
  /** Called for each answer of the server. */
  readonly answered: () => void;
}

class MlflowRun implements LineTarget {
  private readonly params: MlflowParams;
  private id = '';

  constructor(params: MlflowParams) {
    this.params = params;
  }

  async open(): Promise<void> {
    const { run, settings, uri } = this.params;
    const { runDir, recipe } = run;
    const experimentId = await this.experiment(settings.experiment);
    const { mlflow: earlier } = await readTrackerIds(runDir);
    if (earlier?.uri === uri) await this.forget(earlier.runId);
    const created = await this.ask('runs/create', {
      experiment_id: experimentId,
      run_name: path.basename(runDir),
      start_time: Date.now(),
      tags: [
        { key: 'mlflow.source.name', value: 'rowtune' },
        { key: 'rowtune.run_dir', value: runDir },
      ],
    });
    this.id = textAt(created, 'run', 'info', 'run_id');
    await keepTrackerIds(runDir, { mlflow: { uri, runId: this.id } });
    for (const params of inParts(paramsOf(recipe), MAX_PARAMS)) await this.ask('runs/log-batch', { run_id: this.id, params });
  }

  async send(lines: readonly TimedLine[]): Promise<void> {
    const metrics = lines.flatMap(({ line, at }) =>
      finiteMetricsOf(line).map(([key, value]) => ({ key, value, timestamp: at, step: line.step ?? 0 })),
    );
    for (const part of inParts(metrics, MAX_METRICS)) await this.ask('runs/log-batch', { run_id: this.id, metrics: part });
  }

  async close(how: TrackedEnd): Promise<void> {
    await this.ask('runs/update', { run_id: this.id, status: STATUS[how], end_time: Date.now() });
  }

  private async experiment(name: string): Promise<string> {
    const find = async (): Promise<string> => {
      return textAt(await this.ask(`experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`), 'experiment', 'experiment_id');
    };
    try {
      return await find();
    } catch (error) {
      if (!hasCode(error, 'RESOURCE_DOES_NOT_EXIST')) throw error;
    }
    try {
      return textAt(await this.ask('experiments/create', { name }), 'experiment_id');
    } catch (error) {
      // Another run has just created it.
      if (!hasCode(error, 'RESOURCE_ALREADY_EXISTS')) throw error;
      return find();
    }
  }

  /** Deletes a run of an earlier part, which the server may have lost. */
  private async forget(runId: string): Promise<void> {
    await this.ask('runs/delete', { run_id: runId }).catch((error: unknown) => {
      if (!(error instanceof TrackerError) || error.code === undefined) throw error;
    });
  }

  private async ask(method: string, body?: object): Promise<Readonly<Record<string, unknown>>> {
    const { uri, answered } = this.params;
    const answer = await askServer({ url: `${uri}/api/2.0/mlflow/${method}`, headers: this.headers(), ...(body && { body }) });
    answered();
    return answer;
  }

  private headers(): Readonly<Record<string, string>> {
    const { token, user, password } = this.params.settings;
    if (token !== undefined) return { authorization: `Bearer ${token}` };
    if (user === undefined) return {};
    return { authorization: `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}` };
  }
}

const hasCode = (error: unknown, code: string): boolean => error instanceof TrackerError && error.code === code;

/** The text under these keys. @throws TrackerError if the server answered in another form */
function textAt(value: unknown, ...keys: readonly string[]): string {
  const found = keys.reduce<unknown>((inside, key) => (isRecord(inside) ? inside[key] : undefined), value);
  if (typeof found === 'string') return found;
  throw new TrackerError(`the answer of the tracking server has no ${keys.join('.')}`);
}

/** The settings of the recipe, with dotted names in groups: `importance.measure`. */
function paramsOf(recipe: Recipe): readonly { readonly key: string; readonly value: string }[] {
  const flat = (group: object, prefix: string): { key: string; value: string }[] =>
    Object.entries(group).flatMap(([name, value]: [string, unknown]) => {
      const key = `${prefix}${name}`;
      if (value === undefined || value === null) return [];
      if (isRecord(value)) return flat(value, `${key}.`);
      return [{ key, value: (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, LONGEST_PARAM) }];
    });
  return flat(recipe, '');
}

function* inParts<T>(all: readonly T[], most: number): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += most) yield all.slice(from, from + most);
}
