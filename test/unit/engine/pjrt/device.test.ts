/**
 * Tests facts that only a GPU provides: the counts of its allocator, and that its memory is full. A plugin in C answers like a GPU's, with
 * the arguments in OpenXLA's `pjrt_c_api.h` (version 0.94) for the counts.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { locatePjrt } from '../../../../trainer/engine/install/pjrt-folder.ts';
import type { Compiler } from '../../../../trainer/engine/pjrt/compiler.ts';
import { openPjrt } from '../../../../trainer/engine/pjrt/engine.ts';
import { PjrtSession } from '../../../../trainer/engine/pjrt/session.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { describeFailure } from '../../../../trainer/run-error.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

/** The functions are at the positions in the table that the header defines. */
const PLUGIN = `
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct Parts { size_t size; void *next, *of; void **parts; size_t count; };
struct Text { size_t size; void *next, *of; const char *text; size_t length; };
struct Code { size_t size; void *next, *error; int code; };
struct Create { size_t size; void *next; const void *options; size_t option_count; void *callbacks[4]; void *client; };
struct Stats {
  size_t size; void *next, *device;
  int64_t bytes_in_use;
  int64_t peak_bytes_in_use; bool peak_bytes_in_use_is_set;
  int64_t num_allocs; bool num_allocs_is_set;
  int64_t largest_alloc_size; bool largest_alloc_size_is_set;
  int64_t bytes_limit; bool bytes_limit_is_set;
  int64_t bytes_reserved; bool bytes_reserved_is_set;
  int64_t peak_bytes_reserved; bool peak_bytes_reserved_is_set;
  int64_t bytes_reservable_limit; bool bytes_reservable_limit_is_set;
  int64_t largest_free_block_bytes; bool largest_free_block_bytes_is_set;
  int64_t pool_bytes; bool pool_bytes_is_set;
  int64_t peak_pool_bytes; bool peak_pool_bytes_is_set;
};

static int client, device, memory, exhausted;
static void *one[] = {&device}, *kinds[] = {&memory};

static void *nothing(void *argument) { (void)argument; return NULL; }
static void *message(struct Text *argument) {
  argument->text = "Out of memory while trying to allocate 64 bytes.";
  argument->length = strlen(argument->text);
  return NULL;
}
static void *code(struct Code *argument) { argument->code = 8; return NULL; }
static void *create(struct Create *argument) { argument->client = &client; return NULL; }
static void *devices(struct Parts *argument) { argument->parts = one; argument->count = 1; return NULL; }
static void *memories(struct Parts *argument) { argument->parts = kinds; argument->count = 1; return NULL; }
static void *kind(struct Text *argument) { argument->text = "device"; argument->length = 6; return NULL; }
static void *upload(void *argument) { (void)argument; return &exhausted; }
static void *stats(struct Stats *argument) {
  if (argument->size < sizeof(struct Stats) - 7) return &exhausted;
  argument->bytes_in_use = 1;
  argument->peak_bytes_in_use = 2, argument->peak_bytes_in_use_is_set = true;
  argument->num_allocs = 3, argument->num_allocs_is_set = true;
  argument->largest_alloc_size = 4, argument->largest_alloc_size_is_set = true;
  argument->bytes_limit = 5, argument->bytes_limit_is_set = true;
  argument->pool_bytes = 6, argument->pool_bytes_is_set = true;
  argument->peak_pool_bytes = 7, argument->peak_pool_bytes_is_set = true;
  return NULL;
}

static struct { size_t size; void *extensions; size_t version_size; void *version_extensions; int major, minor; void *functions[200]; } api = {
  2000, NULL, 24, NULL, 0, 94,
  {[0] = nothing, [1] = message, [2] = code, [3] = nothing, [10] = create, [11] = nothing, [16] = devices, [22] = upload, [32] = memories,
   [34] = stats, [36] = kind}};
const void *GetPjrtApi(void) { return &api; }
`;

function compilePlugin(): string {
  const folder = makeTemporaryFolder();
  const [source, library] = [path.join(folder, 'plugin.c'), path.join(folder, 'plugin.so')];
  writeFileSync(source, PLUGIN);
  execFileSync('gcc', ['-shared', '-fPIC', '-o', library, source]);
  return library;
}

const engine = locatePjrt(cacheDir) ? await openPjrt({ cacheDir }) : undefined;

/** A program that adds a weight to its input. */
function addition() {
  const graph = new Graph();
  const y = graph.add(graph.feed('x', [2]), graph.read({ name: 'w', shape: [2], dtype: 'float32' }));
  return assemble({ run: { graph, outputs: { y }, effects: [] } });
}

describeWith('a GPU', engine, 'no PJRT plugin; rowtune engine install --variant pjrt-cpu', ({ device }) => {
  const { addon } = device;
  const opened = addon.open(compilePlugin(), []);

  it('reports the memory that its allocator counts', async () => {
    expect(addon.deviceMemory(await opened)).toEqual({ used: 1, peak: 2, limit: 5, pool: 6 });
  });

  it('out of memory ends a run with advice, though the message does not name the error', async () => {
    const refused = addon.upload(await opened, new Uint8Array(64), 11, [16], 64, '', 0);
    await expect(refused).rejects.toThrow('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 64 bytes.');
    const { event } = describeFailure(await refused.catch((error: unknown) => error));
    expect(event).toMatchObject({ code: 'out-of-memory', hint: expect.stringContaining('recompute: block') });
  });

  it('compiles a program before its weights are there, once', async () => {
    const counts = { compiled: 0 };
    const compiler: Compiler = {
      counts: device.compiler.counts,
      compile: (signature, module) => {
        counts.compiled++;
        return device.compiler.compile(signature, module);
      },
    };
    const session = new PjrtSession({ ...device, compiler, card: { multiprocessors: 2, capability: '9.0' } }, addition());
    await session.compileAhead?.('run');
    expect(counts.compiled).toBe(1);
    await session.load([{ name: 'w', data: Float32Array.of(1, 2) }]);
    expect(await session.run('run', { x: Float32Array.of(3, 4) })).toEqual({ y: Float32Array.of(4, 6) });
    expect(counts.compiled).toBe(1);
    await session.dispose();
    // A processor's compiler does not try kernels.
    const onProcessor = new PjrtSession(device, addition());
    expect(onProcessor.compileAhead).toBeUndefined();
    await onProcessor.dispose();
  });
});
