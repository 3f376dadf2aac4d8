// Writes chosen columns or single elements of a variable, as an operation of TensorFlow.
#pragma once
#include "kernel-run.h"

// Attributes: `T`, the element type; `width`, the elements of a row, or 0 for single elements of the variable in its flat order.
void* CreateUpdateColumns(TF_OpKernelConstruction*);
void DestroyUpdateColumns(void*);
// Inputs: an alias of the variable, which is written; the int32 numbers of the columns, each there once; the new elements, row by row.
void RunUpdateColumns(void*, TF_OpKernelContext*);
