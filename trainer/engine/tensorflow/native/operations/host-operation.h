// The numbers of an array of JavaScript as an operation of TensorFlow: copied once, into the memory that the variable keeps.
#pragma once
#include "kernel-run.h"

// Attributes: `T`, the element type of the result; `shape`, its shape.
void* CreateHost(TF_OpKernelConstruction*);
void DestroyHost(void*);
// Input: int32 [4], the lower and upper half of the array's address, and of a HostForm. Whoever runs it keeps the array.
void RunHost(void*, TF_OpKernelContext*);

enum class HostForm : int64_t {
  // The array has the bytes of the result.
  kSame = 0,
  // Bits of bfloat16 for a result of float32.
  kBits = 1,
  // There is no array: the result is zero.
  kZeros = 2,
};
