/** NVIDIA's libraries among the wheels of a plugin for CUDA, in the order in which they are loaded. */

/**
 * NVIDIA's libraries, as loaded by JAX's `jax_plugins/cuda/__init__.py`. The plugin finds most of them relative to itself; cuDNN for CUDA
 * 12 looks for NVRTC in a different folder from its wheel's.
 */
export const CUDA_13_LIBRARIES = [
  'nvidia/cu13/lib/libcudart.so.13',
  'nvidia/cu13/lib/libnvrtc.so.13',
  'nvidia/cu13/lib/libcublas.so.13',
  'nvidia/cu13/lib/libcublasLt.so.13',
  'nvidia/nccl/lib/libnccl.so.2',
  'nvidia/cu13/lib/libcupti.so.13',
  'nvidia/cu13/lib/libcusparse.so.12',
  'nvidia/cu13/lib/libcusolver.so.12',
  'nvidia/cu13/lib/libcufft.so.12',
  'nvidia/nvshmem/lib/libnvshmem_host.so.3',
  'nvidia/cudnn/lib/libcudnn.so.9',
];
export const CUDA_12_LIBRARIES = [
  'nvidia/cuda_runtime/lib/libcudart.so.12',
  'nvidia/cuda_nvrtc/lib/libnvrtc.so.12',
  'nvidia/cublas/lib/libcublas.so.12',
  'nvidia/cublas/lib/libcublasLt.so.12',
  'nvidia/nccl/lib/libnccl.so.2',
  'nvidia/cuda_cupti/lib/libcupti.so.12',
  'nvidia/cusparse/lib/libcusparse.so.12',
  'nvidia/cusolver/lib/libcusolver.so.11',
  'nvidia/cufft/lib/libcufft.so.11',
  'nvidia/nvshmem/lib/libnvshmem_host.so.3',
  'nvidia/cudnn/lib/libcudnn.so.9',
];
