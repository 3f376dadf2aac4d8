// Sums over the ranks of a run as operations of TensorFlow.
#pragma once
#include "kernel-run.h"

// Attributes: `form`, a SumForm; `residual`, the name under which what it loses is kept, or empty.
void* CreateBeginSum(TF_OpKernelConstruction*);
void DestroyBeginSum(void*);
void* CreateNothing(TF_OpKernelConstruction*);
void DestroyNothing(void*);
// Begins to sum x over all ranks; its output is not to be read by anything but the next.
void RunBeginSum(void*, TF_OpKernelContext*);
// Waits until the sum is there.
void RunEndSum(void*, TF_OpKernelContext*);
