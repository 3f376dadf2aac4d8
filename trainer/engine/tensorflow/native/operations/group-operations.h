// TensorFlow operations for sums over the ranks of a run.
#pragma once
#include "kernel-run.h"

// Attributes: `form`, a SumForm; `residual`, the name under which its rounding error is kept, or empty.
void* CreateBeginSum(TF_OpKernelConstruction*);
void DestroyBeginSum(void*);
void* CreateNothing(TF_OpKernelConstruction*);
void DestroyNothing(void*);
// Starts summing x over all ranks; only RunEndSum may read its output.
void RunBeginSum(void*, TF_OpKernelContext*);
// Waits until the sum is complete.
void RunEndSum(void*, TF_OpKernelContext*);
