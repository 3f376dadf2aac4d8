/**
 * The environment variables that a worker inherits from the user. TensorFlow, oneDNN, CUDA, libc and Node read about two hundred variables
 * that change results, memory or speed (TF_XLA_FLAGS rewrites the training step and corrupts it), and new versions add more. So a worker
 * inherits only the variables listed here.
 */

/**
 * Variables for the paths of programs, libraries, the home folder and temporary files; language and time zone; those that Windows needs to
 * start a process.
 */
const SYSTEM = `PATH HOME USER LOGNAME SHELL LANG LANGUAGE LC_* TZ TERM TMPDIR TEMP TMP XDG_* LD_LIBRARY_PATH DYLD_LIBRARY_PATH
  SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERNAME USERPROFILE HOMEDRIVE HOMEPATH APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES*
  NUMBER_OF_PROCESSORS PROCESSOR_*`;
/** Variables for network proxies and trusted certificates. */
const NETWORK = `HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY NODE_USE_ENV_PROXY NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED NODE_USE_SYSTEM_CA
  SSL_CERT_FILE SSL_CERT_DIR`;
/** Variables that select a GPU or locate its driver. */
const DEVICES = `CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_HOME CUDA_PATH CUDA_CACHE_PATH CUDA_CACHE_MAXSIZE CUDA_MPS_PIPE_DIRECTORY
  CUDA_MPS_LOG_DIRECTORY NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES GPU_DEVICE_ORDINAL HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES
  HSA_OVERRIDE_GFX_VERSION ROCM_PATH ZE_AFFINITY_MASK ZE_FLAT_DEVICE_HIERARCHY ONEAPI_DEVICE_SELECTOR TPU_* VK_* MESA_VK_* DISPLAY WAYLAND_DISPLAY`;
/** Rowtune's own variables, and the one that a test runner uses to measure coverage. */
const OURS = 'ROWTUNE_* NODE_V8_COVERAGE';
/** Variables that a daemon reads when it starts (`trainer/settings.ts`) and passes to its jobs as settings. */
const FOR_DAEMON: ReadonlySet<string> = new Set(['HF_ENDPOINT', 'HF_TOKEN', 'HF_HUB_OFFLINE', 'NO_COLOR', 'SLURM_CONF', 'SLURM_CLUSTERS']);
/** Names that a parent process has already cleared, so that its children can report them. */
const CLEARED = 'ROWTUNE_CLEARED_VARIABLES';
const MAX_NAMED = 200;

const names = [SYSTEM, NETWORK, DEVICES, OURS].flatMap(list => list.trim().split(/\s+/));
const exact: ReadonlySet<string> = new Set(names.filter(name => !name.endsWith('*')));
const prefixes = names.filter(name => name.endsWith('*')).map(name => name.slice(0, -1));

/**
 * Variables that affect a process that computes. A run reports those that it did not inherit; others, such as a user's tokens, are private.
 */
const WITH_EFFECT =
  /^(?:TF_|TF2_|TFLITE_|TENSORFLOW_|XLA_|ONEDNN_|DNNL_|MKL_|KMP_|OMP_|GOMP_|BLIS_|OPENBLAS_|EIGEN_|ACL_|ITT_|INTEL_|CUDA_|CUDNN_|CUBLAS|NCCL_|NVIDIA_|LIBTPU_|ROCM_|HIP_|MIOPEN_|GRPC_|ABSL_|MALLOC_|GLIBC_|LD_|DYLD_|NODE_|UV_)/i;

export interface InheritedEnvironment {
  readonly env: Readonly<Record<string, string>>;
  /** Sorted names of variables that were set and would have had an effect. */
  readonly cleared: readonly string[];
}

/** Names on Windows are case-insensitive, and so are those of proxies. */
const isInherited = (name: string): boolean => {
  const upper = name.toUpperCase();
  return exact.has(upper) || prefixes.some(prefix => upper.startsWith(prefix));
};

type Surroundings = Readonly<Record<string, string | undefined>>;

/** Returns the environment of a worker. */
export const inheritedEnvironment = (surroundings: Surroundings): InheritedEnvironment => inherited(surroundings, isInherited);

/**
 * Returns the environment of a daemon that starts in the background: it lives for days, and its jobs must not depend on the shell or window
 * that started it.
 */
export const daemonEnvironment = (surroundings: Surroundings): InheritedEnvironment =>
  inherited(surroundings, name => isInherited(name) || FOR_DAEMON.has(name.toUpperCase()));

function inherited(surroundings: Surroundings, isKept: (name: string) => boolean): InheritedEnvironment {
  const set = Object.entries(surroundings).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[0] !== CLEARED);
  const own = set.filter(([name, value]) => value !== '' && !isKept(name) && WITH_EFFECT.test(name)).map(([name]) => name);
  const before = (surroundings[CLEARED] ?? '').split(',').filter(name => WITH_EFFECT.test(name));
  const cleared = [...new Set([...own, ...before])].sort().slice(0, MAX_NAMED);
  const env = Object.fromEntries(set.filter(([name]) => isKept(name)));
  return { env: cleared.length === 0 ? env : { ...env, [CLEARED]: cleared.join() }, cleared };
}
