/** Tests texts that users read: progress, status bar, notices, reports, errors. */
import { describe, expect, test } from 'vitest';
import { isCanceled, logText, reportError } from '../../../client/ask/error-report.ts';
import { remedyItems } from '../../../client/ask/remedies.ts';
import { COMMANDS } from '../../../client/commands/command-ids.ts';
import { failedText, idsToRemember, missedJobNotices } from '../../../client/daemon/missed-jobs.ts';
import {
  cardReport,
  cardSentence,
  doctorReport,
  estimateReport,
  estimateSentence,
  evaluationSentence,
  statusReport,
} from '../../../client/reports.ts';
import {
  ageText,
  foremost,
  metricText,
  progressText,
  shortProgressText,
  statusBarText,
  waitingText,
} from '../../../client/status/status-text.ts';
import type { JobRecord } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { DaemonError } from '../../../trainer/rpc/daemon-error.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';

const progress = (change: Partial<NonNullable<JobRecord['progress']>> = {}) =>
  ({ type: 'progress', phase: 'train', done: 12, total: 60, unit: 'steps', ...change }) as const;

describe('progress', () => {
  test.each([
    [{ state: 'queued' }, 'waiting for another job'],
    [{ state: 'stopping' }, 'ending'],
    [{}, 'starting'],
    [{ phase: 'compile' }, 'compiling'],
    [{ phase: 'some_phase' }, 'some phase'],
    [{ progress: progress({ secondsLeft: 65 }) }, 'training, 12 of 60 steps (20%), 1 min 5 s left'],
    [{ progress: progress({ phase: 'download', unit: 'bytes', done: 1e6, total: 2.5e6 }) }, 'downloading the model, 1.0 MB of 2.5 MB'],
    [{ progress: progress({ total: 0, unit: 'tokens' }) }, 'training, 12 tokens'],
    [{ progress: progress({ done: 1200, total: 200_000 }) }, 'training, 1,200 of 200,000 steps (0%)'],
  ] as const)('%o', (change, text) => expect(progressText(jobRecord(change))).toBe(text));

  test('a short form for narrow places', () => {
    expect(shortProgressText(jobRecord({ progress: progress({ secondsLeft: 65 }) }))).toBe('20% · 1 min 5 s left');
    expect(shortProgressText(jobRecord({ progress: progress({ phase: 'load' }) }))).toBe('loading the model 20%');
    expect(shortProgressText(jobRecord({ state: 'stopping', progress: progress() }))).toBe('ending');
    // An evaluation between two updates is over when its count is complete.
    const evaluation = (done: number) =>
      jobRecord({ phase: 'train', progress: progress({ phase: 'evaluate', done, total: 20, unit: 'batches' }) });
    expect(shortProgressText(evaluation(5))).toBe('evaluating 25%');
    expect(shortProgressText(evaluation(20))).toBe('training');
  });

  test('a waiting job shows what it waits for, and how to start sooner', () => {
    const queued = jobRecord({ id: 'two', kind: 'generate', state: 'queued' });
    expect(waitingText([jobRecord(), queued])).toBe('waiting for the training of spam to finish; use Stop and Save to end it sooner');
    expect(waitingText([jobRecord({ kind: 'export' }), queued])).toBe('waiting for the export of spam to finish');
    expect(waitingText([queued])).toBe('waiting for another job');
    // Next to a training, answers are given one at a time.
    expect(waitingText([jobRecord(), jobRecord({ id: 'one', kind: 'generate' }), queued])).toBe('waiting for the answer of spam to finish');
  });

  test('a run is described by its evaluation, or else by its loss', () => {
    expect(metricText({ loss: 0.5, eval_loss: 0.4, eval_accuracy: 0.975 })).toBe('accuracy 97.5%');
    expect(metricText({ loss: 0.5, eval_loss: 0.4 })).toBe('held-out loss 0.4');
    expect(metricText({ loss: 0.5 })).toBe('loss 0.5');
    expect(metricText({ learning_rate: 1 })).toBeUndefined();
  });

  test.each([
    [5, 'just now'],
    [300, '5 min ago'],
    [7200, '2 h ago'],
    [3 * 86_400, '3 days ago'],
  ])('%i s are %s', (seconds, text) => expect(ageText(seconds)).toBe(text));
});

describe('the status bar', () => {
  const connected = { kind: 'connected', pid: 7, version: '0.1.0', isRemote: false } as const;

  test('is about the training before anything else', () => {
    const jobs = [jobRecord({ id: 'text', kind: 'generate' }), jobRecord({ id: 'queued', state: 'queued' }), jobRecord({ id: 'training' })];
    expect(foremost(jobs)?.id).toBe('training');
    expect(foremost(jobs.slice(0, 2))?.id).toBe('text');
    expect(foremost([])).toBeUndefined();
  });

  test('shows progress, and the number of further jobs', () => {
    const { text, kind } = statusBarText(connected, [jobRecord({ progress: progress() }), jobRecord({ id: 'two', state: 'queued' })]);
    expect([text, kind]).toEqual(['$(sync~spin) spam: 20% (+1)', 'normal']);
  });

  test('says that the daemon cannot be reached', () => {
    expect(statusBarText({ kind: 'failed', error: new Error('no') }, [])).toMatchObject({ kind: 'error', text: '$(warning) Rowtune' });
  });

  test('has links to commands of the extension only, and escapes the title', () => {
    const { tooltip } = statusBarText(connected, [jobRecord({ title: '](command:evil) **x**', runDir: '/r' })]);
    const links = [...tooltip.matchAll(/\]\(command:([\w.]+)(?:\?([^)]*))?\)/g)];
    expect(links.length).toBeGreaterThan(6);
    for (const [, command] of links) expect(Object.values(COMMANDS)).toContain(command);
    expect(JSON.parse(decodeURIComponent(links[0]?.[2] ?? ''))).toEqual(['one']);
  });
});

describe('what happened meanwhile', () => {
  test.each([
    [
      { progress: progress({ secondsLeft: 65 }), metrics: { step: 12, values: { loss: 1.5 } } },
      'info',
      'Training of spam is still running: 20% · 1 min 5 s left (loss 1.5).',
    ],
    [
      { state: 'succeeded', metrics: { step: 60, values: { eval_accuracy: 1 } } },
      'info',
      'Training of spam finished while you were away (accuracy 100.0%).',
    ],
    [
      { state: 'failed', failure: { code: 'x', message: 'the disk is full' } },
      'error',
      'Training of spam failed while you were away: the disk is full',
    ],
    [
      { state: 'failed', failure: { code: 'model-file', message: 'a.safetensors:\n  - b\n  - c\n  - d\nDownload it again.' } },
      'error',
      'Training of spam failed while you were away: a.safetensors: b, and 2 more. Download it again.',
    ],
    [
      { state: 'failed', failure: { code: 'daemon-ended', message: 'the daemon ended' }, resume: { runDir: '/r' } },
      'error',
      'Training of spam was cut off while you were away, because the trainer daemon ended. It can be resumed.',
    ],
    [{ state: 'stopped' }, 'info', 'Training of spam was stopped while you were away.'],
  ] as const)('%o', (change, severity, message) => {
    expect(missedJobNotices(['one'], [jobRecord(change)])).toEqual([expect.objectContaining({ severity, message })]);
  });

  test('a training that the end of the daemon cut off, while the window looks on', () => {
    const job = jobRecord({ state: 'failed', failure: { code: 'daemon-ended', message: 'the daemon ended' } });
    expect(failedText(job, '', 'The daemon ended')).toBe('Training of spam was cut off, because the trainer daemon ended.');
  });

  test('lists only long jobs that this window knew', () => {
    expect(missedJobNotices(['another'], [jobRecord()])).toEqual([]);
    expect(idsToRemember([jobRecord(), jobRecord({ id: 'text', kind: 'generate' }), jobRecord({ id: 'over', state: 'stopped' })])).toEqual([
      'one',
    ]);
  });
});

describe('errors', () => {
  test.each([
    [
      'a known code has its own advice and buttons',
      new DaemonError('daemon-missing', 'no daemon answers at ws://x', { hint: 'rowtune daemon start' }),
      'No daemon answers at ws://x. Start the daemon.',
      ['startDaemon', 'showDaemonLog'],
    ],
    [
      'another keeps its hint',
      new DaemonError('disk-full', 'the disk is full', { hint: 'Free some space' }),
      'The disk is full. Free some space.',
      ['showLog'],
    ],
    [
      'an engine that is missing can be installed',
      { code: 'engine', message: 'the engine is not installed' },
      'The engine is not installed',
      ['installEngine', 'doctor'],
    ],
    [
      'so can the library for images',
      { code: 'image-library', message: 'the library is not installed' },
      'The library is not installed',
      ['installImages', 'doctor'],
    ],
    [
      'an address is written as it is',
      { code: 'daemon-refused', message: 'wss://box:1 refuses the connection' },
      'wss://box:1 refuses the connection. Check the token and the address of the daemon.',
      ['enterToken', 'openUrlSetting'],
    ],
    [
      'so is the name of a file',
      { code: 'bad-recipe', message: 'mine.rowtune.yaml: no data' },
      'mine.rowtune.yaml: no data. Fix the problems that are marked in the recipe.',
      ['showProblems'],
    ],
    [
      'a list keeps the advice after it in sight',
      { code: 'model-file', message: `a.safetensors:${'\n  - a tensor is cut off'.repeat(20)}\nDownload it again.` },
      'a.safetensors: a tensor is cut off, and 19 more. Download it again.',
      [],
    ],
    ['a plain error', new TypeError('x is undefined\n  somewhere'), 'X is undefined somewhere', ['showLog']],
    ['what is no error', 'a text', 'A text', ['showLog']],
  ])('%s', (_, error, message, remedies) => {
    expect(reportError(error, { hasRecipe: false, isRemote: false })).toEqual({ message, remedies });
  });

  test('a daemon on another machine is not started from here', () => {
    const error = new DaemonError('daemon-missing', 'no daemon answers at wss://box:1');
    const { message, remedies } = reportError(error, { hasRecipe: false, isRemote: true });
    expect(message).toContain('Check that the daemon is running on that machine');
    expect(remedies).toEqual(['reconnect', 'openUrlSetting']);
  });

  test('a bad recipe offers to open it if there is a recipe', () => {
    const error = new DaemonError('bad-recipe', 'spam.rowtune.yaml: unknown key');
    expect(reportError(error, { hasRecipe: true, isRemote: false }).remedies).toEqual(['openRecipe', 'showProblems']);
    const full = new DaemonError('output-unusable', 'the disk is full', { hint: 'Choose another output_dir' });
    expect(reportError(full, { hasRecipe: true, isRemote: false }).remedies).toEqual(['openRecipe']);
    expect(reportError(error, { hasRecipe: false, isRemote: false }).remedies).toEqual(['showProblems']);
  });

  test('a stack goes to the log alone, and a long message is cut', () => {
    const error = new Error(`long ${'x'.repeat(1000)}`);
    expect(reportError(error, { hasRecipe: false, isRemote: false }).message.length).toBeLessThanOrEqual(400);
    expect(logText(error)).toContain('texts.test.ts');
    expect(logText(new DaemonError('data', 'no rows', { hint: 'Look again' }))).toBe('no rows Look again (data)');
  });

  test('a cancellation is not reported as an error', () => {
    expect(isCanceled(new DaemonError('canceled', 'x'))).toBe(true);
    expect(isCanceled(new Error('x'))).toBe(false);
  });
});

describe('the steps of an error in a view', () => {
  test('are its commands, so that a daemon that did not start can be started again', () => {
    const { remedies } = reportError(new DaemonError('daemon-start', 'the daemon did not start'), { hasRecipe: false, isRemote: false });
    expect(remedyItems(remedies).map(({ label, command }) => [label, command])).toEqual([
      ['Start Daemon', COMMANDS.startDaemon],
      ['Show Daemon Log', COMMANDS.showDaemonLog],
    ]);
  });

  test('lead to the setting that is wrong, with its name', () => {
    expect(remedyItems(['openNodeSetting'])).toEqual([
      { remedy: 'openNodeSetting', label: 'Open Setting', command: COMMANDS.openSettings, args: ['rowtune.node'] },
    ]);
  });

  test('are none of those that need more than a command', () => expect(remedyItems(['showLog', 'openRecipe'])).toEqual([]));
});

describe('reports', () => {
  const estimate = {
    method: 'spsft',
    r: 8,
    trainable: 7680,
    trainableShare: 0.0983,
    weightsBytes: 3e8,
    trainedBytes: 0,
    gradientBytes: 0,
    optimizerBytes: 61_440,
    activationBytes: 1e6,
    engineOverheadBytes: 6.9e8,
    totalBytes: 9.9e8,
    availableBytes: 2e9,
    recompute: 'none',
    levels: [{ recompute: 'none', activationBytes: 1e6, totalBytes: 9.9e8, flops: 3e9 }],
    alternatives: [{ method: 'full', trainable: 78_144, activationBytes: 2e6, totalBytes: 2e9 }],
  };

  test('of memory', () => {
    expect(estimateSentence(estimate)).toBe('About 990 MB (recompute: none) of 2.0 GB free; trains 7,680 parameters, 9.83%.');
    expect(estimateSentence({ ...estimate, availableBytes: 5e8 })).toContain('more than is available');
    const report = estimateReport('spam', estimate);
    expect(report).toContain('| none | 1.0 MB | 990 MB | 3.0 GFLOP |');
    expect(report).toContain('| Full fine-tuning | 78,144 | 2.0 MB | 2.0 GB |');
  });

  test('of memory on a card, by its compiler or by a model', () => {
    const option = {
      precision: "the recipe's",
      batch: 2,
      recompute: 'block',
      totalBytes: 6e8,
      source: 'compiler',
      overrides: ['recompute=block'],
    };
    const onCard = {
      card: { label: 'RTX 4090', usableBytes: 2.47e10 },
      totalBytes: 6.4e8,
      source: 'compiler',
      fits: true,
      options: [option],
    };
    expect(cardSentence(onCard)).toBe("About 640 MB of 24.7 GB on RTX 4090, as the card's own compiler counts. GPU: unmeasured.");
    expect(cardSentence({ ...onCard, source: 'model', fits: false })).toContain(
      "by a model of its compiler's buffers; more than a run may take there",
    );
    expect(cardReport('spam', onCard)).toContain("| the recipe's | 2 | block | 600 MB | compiler | recompute=block |");
    expect(cardReport('spam', { ...onCard, options: [] })).toContain('None were found.');
  });

  test('of an evaluation', () => {
    const value = { loss: 0.25, perplexity: 1.284, labels: { accuracy: 0.9 }, measures: { f1: 0.88 }, samples: 240 };
    expect(evaluationSentence(value)).toBe('accuracy 90.0%, loss 0.25, perplexity 1.284, f1 0.88, 240 samples');
  });

  test('of the doctor: problems with their remedies', () => {
    const problems = [{ severity: 'error', message: 'no compiler was found', remedy: 'sudo apt install g++' }];
    expect(doctorReport({ problems })).toContain('- **error**: no compiler was found  \n  Fix: `sudo apt install g++`');
    expect(doctorReport({ problems: [] })).toContain('No problems were found.');
    expect(doctorReport({ images: 'sharp 0.35' })).toContain('| images | sharp 0.35 |');
    expect(doctorReport({})).toContain('| images | cannot be decoded; **Rowtune: Install Engine** installs the library |');
    expect(doctorReport({ installedEngines: ['tensorflow-2'], installedPlugins: [{ name: 'pjrt-cpu-1' }] })).toContain(
      '| installed | tensorflow-2, pjrt-cpu-1 |',
    );
  });

  test('values of any shape are reported without an exception', () => {
    for (const value of [undefined, null, 3, {}, { levels: 'x', problems: [null] }])
      for (const report of [
        cardReport('a', value),
        estimateReport('a', value),
        doctorReport(value),
        estimateSentence(value),
        evaluationSentence(value),
      ])
        expect(typeof report).toBe('string');
  });

  test('of the status', () => {
    const facts = {
      extensionVersion: '0.1.0',
      daemon: 'The daemon is not running.',
      isServerRunning: true,
      node: 'node',
      stateDir: '/s',
      cacheDir: '/c',
    };
    expect(statusReport(facts)).toContain('| language server | running |');
    expect(
      statusReport({
        ...facts,
        daemonStatus: { uptimeSeconds: 5, clients: 2, jobs: { queued: 0, running: 1, ended: 2 }, rssBytes: 1e8, logFile: '/l' },
      }),
    ).toContain('| jobs | 1 running, 0 queued, 2 ended |');
  });
});
