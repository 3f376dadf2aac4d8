/** The PJRT plugins that can be installed, and the wheels that each needs: projects, versions and checksums on PyPI. */
import { namesOf } from '../../catalog/entries.ts';
import type { TargetMaker } from '../../catalog/tpus.ts';
import { required } from '../../narrow.ts';
import { CUDA_12_LIBRARIES, CUDA_13_LIBRARIES } from './cuda-libraries.ts';

export interface PluginWheel {
  readonly project: string;
  readonly version: string;
  readonly bytes: number;
  /** Checksum of the wheel, so that no other file is ever loaded. */
  readonly sha256: string;
  /** The Python whose wheel is taken, for a project that has one for each, of different checksums: "3.12". No code of it runs in Python. */
  readonly python?: string;
  /** Files that are needed from the wheel. If omitted, the NVIDIA libraries in it. */
  readonly files?: readonly string[];
}

/** An option of a plugin's client; a flag is 0 or 1. */
export type ClientOption = readonly [name: string, kind: 'integer' | 'float' | 'flag', value: number];

/**
 * Makes XLA's client allocate memory as needed, up to all of it, as our TensorFlow does; by default it takes three quarters of a GPU at
 * once. Names and kinds are those of xla/pjrt/c/pjrt_c_api_gpu_internal.cc.
 */
const MEMORY_AS_NEEDED: readonly ClientOption[] = [
  ['preallocate', 'flag', 0],
  ['memory_fraction', 'float', 1],
];

/** How a device is detected: `engine/install/find-device.ts`. */
export type DeviceKind = 'cpu' | 'nvidia' | 'amd' | 'intel' | 'apple' | 'google' | 'any';

export interface PjrtPlugin {
  /** The devices that it supports, for messages. */
  readonly label: string;
  readonly device: DeviceKind;
  /** Oldest supported driver of an NVIDIA GPU. */
  readonly oldestDriver?: number;
  /** Lowest supported compute capability of an NVIDIA GPU. */
  readonly oldestCapability?: number;
  readonly wheel: PluginWheel;
  /** Path of the plugin in its wheel, or anywhere on the machine. */
  readonly library: string;
  /** `process.platform` and `process.arch` of the supported machines. */
  readonly platforms: readonly string[];
  /** Options of the plugin's client. */
  readonly options: readonly ClientOption[];
  /** The option that divides a CPU into a number of devices. If omitted, the plugin uses the devices that it finds. */
  readonly dividedBy?: string;
  /** Wheels needed to compile for a card that is not present; omitted if the plugin cannot. */
  readonly compiler?: readonly PluginWheel[];
  /**
   * True if the plugin is linked with libraries that it does not need in order to compile. Stand-ins for them are built from the names that
   * it imports, and it then only decides the memory of a program: it chooses kernels on the device.
   */
  readonly standsIn?: true;
  /** Additional wheels needed to compute. */
  readonly runtime?: readonly PluginWheel[];
  /** Folder of NVIDIA's compiler among the wheels: XLA runs its `bin/ptxas` and reads its `nvvm/libdevice`. */
  readonly toolkit?: string;
  /** Libraries among the wheels that the plugin opens by name, in the order in which they are loaded before it. */
  readonly preloaded?: readonly string[];
  /**
   * True if XLA benchmarks several kernels on the device and caches the results in a given folder
   * (`xla_gpu_per_fusion_autotune_cache_dir`).
   */
  readonly tunes?: true;
  /**
   * True if its XLA can exclude kernels with a nondeterministic order of addition (`xla_gpu_exclude_nondeterministic_ops`) without
   * excluding Triton's kernels.
   */
  readonly orders?: true;
  /** True if small programs are compiled without LLVM's passes. Machine code of GPUs is always optimized. */
  readonly skipsPasses?: true;
  /** The terms of a plugin that is not open source. */
  readonly terms?: string;
  /** Required software that is not on PyPI. */
  readonly needs?: string;
}

/** Plugins by variant name. Those for GPUs have not been run: they were only installed, loaded and used to compile, and are unmeasured. */
const entries = {
  cuda13: {
    label: 'NVIDIA GPUs, CUDA 13',
    device: 'nvidia',
    oldestDriver: 580,
    // NVIDIA's libraries for CUDA 13 do not support older GPUs.
    oldestCapability: 7.5,
    wheel: {
      project: 'jax-cuda13-pjrt',
      version: '0.12.0.1',
      bytes: 134_922_808,
      sha256: '5899bb6177eda86ea532afb9a26794f2bdd04966f6a01f9028266b16c2b6cf90',
      files: ['jax_plugins/xla_cuda13/xla_cuda_plugin.so'],
    },
    library: 'jax_plugins/xla_cuda13/xla_cuda_plugin.so',
    toolkit: 'nvidia/cu13',
    preloaded: CUDA_13_LIBRARIES,
    platforms: ['linux x64'],
    options: MEMORY_AS_NEEDED,
    tunes: true,
    orders: true,
    compiler: [
      {
        project: 'nvidia-cuda-nvcc',
        version: '13.0.88',
        bytes: 37_384_532,
        sha256: '56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03',
        files: ['nvidia/cu13/bin/ptxas', 'nvidia/cu13/bin/nvlink'],
      },
      {
        project: 'nvidia-nvvm',
        version: '13.0.88',
        bytes: 61_601_415,
        sha256: 'c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0',
        files: ['nvidia/cu13/nvvm/libdevice/libdevice.10.bc'],
      },
    ],
    runtime: [
      {
        // Before 13.2, kernels for a B200 release memory of a multiprocessor twice, and may corrupt other computations (JAX warns about
        // it).
        project: 'nvidia-cublas',
        version: '13.2.1.1',
        bytes: 401_085_577,
        sha256: '8c13c93cf8be4480b4909905c96d2d31575b4af43fcd3af0e84af94762665e4f',
      },
      {
        project: 'nvidia-cuda-cupti',
        version: '13.0.85',
        bytes: 10_715_597,
        sha256: '4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8',
      },
      {
        project: 'nvidia-cuda-runtime',
        version: '13.0.96',
        bytes: 2_243_632,
        sha256: '7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548',
      },
      {
        project: 'nvidia-cudnn-cu13',
        version: '9.20.0.48',
        bytes: 366_173_588,
        sha256: '0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304',
      },
      {
        project: 'nvidia-cufft',
        version: '12.0.0.61',
        bytes: 214_085_489,
        sha256: '6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3',
      },
      {
        project: 'nvidia-cusolver',
        version: '12.0.4.66',
        bytes: 200_941_980,
        sha256: '0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112',
      },
      {
        project: 'nvidia-cusparse',
        version: '12.6.3.3',
        bytes: 145_942_937,
        sha256: '2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b',
      },
      {
        project: 'nvidia-nccl-cu13',
        version: '2.28.9',
        bytes: 196_493_177,
        sha256: 'e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42',
      },
      {
        project: 'nvidia-nvjitlink',
        version: '13.0.88',
        bytes: 40_713_933,
        sha256: '13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b',
      },
      {
        project: 'nvidia-cuda-nvrtc',
        version: '13.0.88',
        bytes: 90_215_200,
        sha256: 'ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575',
      },
      {
        project: 'nvidia-nvshmem-cu13',
        version: '3.4.5',
        bytes: 60_412_546,
        sha256: '290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80',
      },
    ],
  },
  cuda12: {
    label: 'NVIDIA GPUs, CUDA 12',
    device: 'nvidia',
    oldestDriver: 525,
    oldestCapability: 5.2,
    wheel: {
      project: 'jax-cuda12-pjrt',
      version: '0.12.0.1',
      bytes: 191_846_358,
      sha256: '5ec28e06198d094031c37590b4ea753ae8cde4879ab4b60baf40f0dffb673286',
      files: ['jax_plugins/xla_cuda12/xla_cuda_plugin.so'],
    },
    library: 'jax_plugins/xla_cuda12/xla_cuda_plugin.so',
    toolkit: 'nvidia/cuda_nvcc',
    preloaded: CUDA_12_LIBRARIES,
    platforms: ['linux x64'],
    options: MEMORY_AS_NEEDED,
    tunes: true,
    orders: true,
    compiler: [
      {
        project: 'nvidia-cuda-nvcc-cu12',
        version: '12.9.86',
        bytes: 40_546_229,
        sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
        files: ['nvidia/cuda_nvcc/bin/ptxas', 'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc'],
      },
    ],
    runtime: [
      {
        project: 'nvidia-cublas-cu12',
        version: '12.9.3.13',
        bytes: 581_217_458,
        sha256: 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
      },
      {
        project: 'nvidia-cuda-cupti-cu12',
        version: '12.9.79',
        bytes: 10_814_997,
        sha256: '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
      },
      {
        project: 'nvidia-cuda-runtime-cu12',
        version: '12.9.79',
        bytes: 3_493_179,
        sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
      },
      {
        project: 'nvidia-cudnn-cu12',
        version: '9.20.0.48',
        bytes: 657_910_570,
        sha256: '7d7479e1321c7a039b33827f0247791ee1be091759032c1f66a287c4a643396a',
      },
      {
        project: 'nvidia-cufft-cu12',
        version: '11.4.1.4',
        bytes: 200_877_592,
        sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
      },
      {
        project: 'nvidia-cusolver-cu12',
        version: '11.7.5.82',
        bytes: 338_117_415,
        sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
      },
      {
        project: 'nvidia-cusparse-cu12',
        version: '12.5.9.5',
        bytes: 366_449_081,
        sha256: 'b2f816d34a7bceab4cb00f0eaadb6a99fc9c285204da6401b42b952e4d61b77b',
      },
      {
        project: 'nvidia-nccl-cu12',
        version: '2.28.9',
        bytes: 296_782_137,
        sha256: '485776daa8447da5da39681af455aa3b2c2586ddcf4af8772495e7c532c7e5ab',
      },
      {
        project: 'nvidia-nvjitlink-cu12',
        version: '12.9.86',
        bytes: 39_748_338,
        sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
      },
      {
        project: 'nvidia-cuda-nvrtc-cu12',
        version: '12.9.86',
        bytes: 89_568_129,
        sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
      },
      {
        project: 'nvidia-nvshmem-cu12',
        version: '3.4.5',
        bytes: 139_103_095,
        sha256: '042f2500f24c021db8a06c5eec2539027d57460e1c1a762055a6554f72c369bd',
      },
    ],
  },
  rocm7: {
    label: 'AMD GPUs, ROCm 7',
    device: 'amd',
    wheel: {
      project: 'jax-rocm7-pjrt',
      version: '0.12.0',
      bytes: 133_415_872,
      sha256: '4551d0714523355f2946ca1958c3f584e95661e467a641d36b726f718a1c7934',
      files: ['jax_plugins/xla_rocm7/xla_rocm_plugin.so'],
    },
    library: 'jax_plugins/xla_rocm7/xla_rocm_plugin.so',
    platforms: ['linux x64'],
    options: MEMORY_AS_NEEDED,
    tunes: true,
    orders: true,
    compiler: [],
    standsIn: true,
    // It was built with this version, and needs libraries (librocm_sysdeps) that earlier versions lack.
    needs: 'ROCm 7.14 in /opt/rocm, or on LD_LIBRARY_PATH',
  },
  oneapi: {
    label: 'Intel GPUs, oneAPI',
    device: 'intel',
    wheel: {
      project: 'jax-oneapi-pjrt',
      version: '0.11.2',
      bytes: 135_149_983,
      sha256: 'ae7250c5d4459dcfedf4de1bf683edfef0502861e44b6e9bfaa7d8133b4292c1',
      files: ['jax_plugins/xla_oneapi/xla_oneapi_plugin.so'],
    },
    library: 'jax_plugins/xla_oneapi/xla_oneapi_plugin.so',
    platforms: ['linux x64'],
    options: MEMORY_AS_NEEDED,
    tunes: true,
    needs:
      "Intel's driver for compute, the Level Zero loader (libze1), and oneAPI 2025.1 with MKL and MPI on LD_LIBRARY_PATH, where its setvars.sh puts them",
  },
  metal: {
    label: "Apple's GPUs, Metal",
    device: 'apple',
    wheel: {
      project: 'jax-mps',
      version: '0.11.1',
      bytes: 44_734_365,
      sha256: 'defef43da225b50689e72300f33772610003189377cc09b0acb0f9a1364d4e2a',
      files: ['jax_plugins/mps/lib/libpjrt_plugin_mps.dylib', 'jax_plugins/mps/lib/mlx.metallib'],
    },
    library: 'jax_plugins/mps/lib/libpjrt_plugin_mps.dylib',
    platforms: ['darwin arm64'],
    options: [],
    needs: 'macOS 14 or later',
  },
  tpu: {
    label: "Google's TPUs",
    device: 'google',
    wheel: {
      project: 'libtpu',
      version: '0.0.52',
      python: '3.12',
      bytes: 137_064_515,
      sha256: 'f76ab1f4d697c346371c50058796f6baa93317b89be8cf8a1012715a2655120d',
      files: ['libtpu/libtpu.so', 'libtpu/LICENSE'],
    },
    library: 'libtpu/libtpu.so',
    platforms: ['linux x64'],
    options: [],
    compiler: [],
    terms: 'the Google Cloud Platform Terms of Service',
  },
  'pjrt-cpu': {
    label: 'the CPU',
    device: 'cpu',
    wheel: {
      project: 'lammps-jax-pjrt-cpu',
      version: '0.11.2',
      bytes: 62_711_338,
      sha256: '1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1',
      files: ['lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so'],
    },
    library: 'lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so',
    platforms: ['linux x64'],
    options: [],
    // Without it, the plugin divides the CPU into four devices.
    dividedBy: 'cpu_device_count',
    skipsPasses: true,
  },
} as const satisfies Readonly<Record<string, PjrtPlugin>>;

export type PjrtVariant = keyof typeof entries;

/** The plugins in order of preference: the first one that is installed and runs is used, accelerators before the CPU. */
export const pjrtPlugins: Readonly<Record<PjrtVariant, PjrtPlugin>> = entries;

export const pjrtVariants = namesOf(entries);

/** Returns the plugin that compiles for a maker's devices, and the bytes to download for it. */
export function cardCompilerOf(maker: TargetMaker): { readonly variant: PjrtVariant; readonly bytes: number } {
  const variant = required(
    pjrtVariants.find(name => pjrtPlugins[name].device === maker && pjrtPlugins[name].compiler),
    maker,
  );
  const { wheel, compiler = [] } = pjrtPlugins[variant];
  return { variant, bytes: [wheel, ...compiler].reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Returns the options for a client that uses this many devices. */
export const clientOptions = ({ options, dividedBy }: PjrtPlugin, devices: number): PjrtPlugin['options'] =>
  dividedBy === undefined ? options : [...options, [dividedBy, 'integer', devices]];
