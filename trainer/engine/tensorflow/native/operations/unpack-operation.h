// Weights of 4-bit codes as an operation of TensorFlow.
#pragma once
#include "kernel-run.h"

// Attributes: `T`, the element type of the result; `shape`, its shape; `block`, the elements that share a scale.
void* CreateUnpack(TF_OpKernelConstruction*);
void DestroyUnpack(void*);
// Inputs: the codes, two a byte, the scales, and the 16 numbers that codes stand for.
void RunUnpack(void*, TF_OpKernelContext*);
