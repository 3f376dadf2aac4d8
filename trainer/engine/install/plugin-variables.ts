/** The environment variables that a plugin reads when it is loaded. */
import { filesHere, findTpu } from './find-device.ts';
import type { PjrtManifest } from './pjrt-folder.ts';
import type { PjrtPlugin } from './pjrt-plugins.ts';

/** libtpu writes its log into the folder of temporary files otherwise, and all of it to the standard error of the process. */
const QUIET = { TPU_LOG_DIR: 'disabled', TPU_MIN_LOG_LEVEL: '3', TPU_STDERR_LOG_LEVEL: '3' } as const;

/**
 * For a machine without TPUs, as JAX does (`jax/_src/cloud_tpu_init.py`): otherwise libtpu asks the metadata server of Google's cloud for
 * minutes. The others stand for what that server would say.
 */
const WITHOUT_DEVICE = { TPU_SKIP_MDS_QUERY: '1', TPU_WORKER_HOSTNAMES: 'localhost', TPU_ACCELERATOR_TYPE: 'v5litepod-1' } as const;

/** libtpu lets one process of a machine load it (`/tmp/libtpu_lockfile`). A process that only compiles uses no device. */
const WITHOUT_LOCK = { ALLOW_MULTIPLE_LIBTPU_LOAD: '1' } as const;

/** Returns the variables to set before a plugin is loaded; the user's own values of variables that workers inherit are kept. */
export function pluginVariables(
  { device, library }: Pick<PjrtPlugin, 'device' | 'library'>,
  { isCompileOnly }: Pick<PjrtManifest, 'isCompileOnly'>,
  files: Parameters<typeof findTpu>[0] = filesHere,
  own: Readonly<Record<string, string | undefined>> = process.env,
): Readonly<Record<string, string>> {
  if (device !== 'google' && !library.endsWith('libtpu.so')) return {};
  const isThere = 'found' in findTpu(files);
  const variables = { ...QUIET, ...(!isThere && WITHOUT_DEVICE), ...(isCompileOnly && WITHOUT_LOCK) };
  return Object.fromEntries(Object.entries(variables).filter(([name]) => own[name] === undefined));
}
