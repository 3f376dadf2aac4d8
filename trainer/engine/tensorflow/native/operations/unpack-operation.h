// A TensorFlow operation that unpacks weights of 4-bit codes.
#pragma once
#include "kernel-run.h"

// Attributes: `T`, the element type of the result; `shape`, its shape; `block`, the number of elements that share a scale.
void* CreateUnpack(TF_OpKernelConstruction*);
void DestroyUnpack(void*);
// Inputs: the codes, two per byte, the scales, and the 16 values of the codes.
void RunUnpack(void*, TF_OpKernelContext*);
