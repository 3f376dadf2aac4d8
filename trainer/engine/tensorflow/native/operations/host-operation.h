// The values of a JavaScript array as a TensorFlow operation: copied once, into the memory that the variable keeps.
#pragma once
#include "kernel-run.h"

// Attributes: `T`, the element type of the result; `shape`, its shape.
void* CreateHost(TF_OpKernelConstruction*);
void DestroyHost(void*);
// Input: int32 [4], the lower and upper halves of the array's address and of a HostForm. The caller keeps the array alive.
void RunHost(void*, TF_OpKernelContext*);

enum class HostForm : int64_t {
  // The array has the bytes of the result.
  kSame = 0,
  // bfloat16 bits for a float32 result.
  kBits = 1,
  // There is no array: the result is zero.
  kZeros = 2,
};
