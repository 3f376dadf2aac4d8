/** Tests shares of a machine: what a recipe needs, and which runs can run at the same time. */
import { expect, test } from 'vitest';
import { type DeviceShare, shareText } from '../../../trainer/protocol/run/device-share.ts';
import { type Devices, shareNextTo, wantedShare } from '../../../trainer/rpc/jobs/device-shares.ts';

const processor: Devices = { cores: 8, gpus: [] };
const cards: Devices = { cores: 16, gpus: ['0', '1', '4', '5'] };

test.each([
  { title: 'the threads of all processes', recipe: { processes: 2, threads: 3 }, devices: processor, share: { cores: 6, gpus: 0 } },
  { title: 'all cores, where nothing is said', recipe: { processes: 2, threads: 0 }, devices: processor, share: undefined },
  { title: 'all cores, where as many are said', recipe: { processes: 4, threads: 2 }, devices: processor, share: undefined },
  {
    title: 'a GPU for each process, and its part of the cores',
    recipe: { processes: 2, threads: 0 },
    devices: cards,
    share: { cores: 8, gpus: 2 },
  },
  { title: 'a GPU, and the threads that are said', recipe: { processes: 1, threads: 3 }, devices: cards, share: { cores: 3, gpus: 1 } },
  {
    title: 'a GPU for each device of one process',
    recipe: { processes: 1, devices: 3, threads: 0 },
    devices: cards,
    share: { cores: 12, gpus: 3 },
  },
  { title: 'all GPUs', recipe: { processes: 5, threads: 1 }, devices: cards, share: undefined },
  { title: 'the only GPU', recipe: { processes: 1, threads: 1 }, devices: { cores: 16, gpus: ['0'] }, share: undefined },
])('$title', ({ recipe, devices, share }) => {
  expect(wantedShare({ ...recipe, devices: recipe.devices ?? 1 }, devices)).toEqual(share);
});

/** Starts what fits, in order. */
function started(wanted: readonly (Parameters<typeof shareNextTo>[1] | undefined)[], devices: Devices) {
  const running: DeviceShare[] = [];
  return wanted.map(each => {
    const share = shareNextTo(running, each, devices);
    if (share) running.push({ ...share, processes: 1 });
    return share && { cores: share.cores, gpus: share.gpus };
  });
}

test('no two share a core or a GPU, and a job that takes all runs alone', () => {
  const two = { cores: 2, gpus: 2, bytes: 0 };
  const one = { cores: 2, gpus: 1, bytes: 0 };
  expect(started([one, two, one, one], cards)).toEqual([
    { cores: 2, gpus: ['0'] },
    { cores: 2, gpus: ['1', '4'] },
    { cores: 2, gpus: ['5'] },
    undefined,
  ]);
  expect(
    started(
      [
        { cores: 5, gpus: 0, bytes: 1 },
        { cores: 4, gpus: 0, bytes: 1 },
        { cores: 3, gpus: 0, bytes: 1 },
      ],
      processor,
    ),
  ).toEqual([{ cores: 5, gpus: [] }, undefined, { cores: 3, gpus: [] }]);
  expect(started([undefined, one], cards)).toEqual([{ cores: 16, gpus: cards.gpus }, undefined]);
  expect(started([one, undefined], cards)[1]).toBeUndefined();
});

test.each([
  [{ processes: 2, cores: 2, allCores: 8, gpus: [], allGpus: 0 }, '2 processes on 2 of 8 cores'],
  [{ processes: 1, cores: 1, allCores: 1, gpus: [], allGpus: 0 }, '1 process on all 1 core'],
  [{ processes: 2, cores: 8, allCores: 16, gpus: ['1', '4'], allGpus: 4 }, '2 processes on GPU 1, 4 and 8 of 16 cores'],
  [{ processes: 4, cores: 16, allCores: 16, gpus: ['0', '1'], allGpus: 2 }, '4 processes on all 2 GPUs and all 16 cores'],
  [{ processes: 1, cores: 16, allCores: 16, gpus: ['0'], allGpus: 1 }, '1 process on the GPU and all 16 cores'],
])('%j', (share, text) => {
  expect(shareText(share)).toBe(text);
});
