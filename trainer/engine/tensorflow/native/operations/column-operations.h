// Reads and writes chosen columns of a matrix or single elements, as operations of TensorFlow.
#pragma once
#include "kernel-run.h"

// Attribute: `T`, the element type.
void* CreateReadColumns(TF_OpKernelConstruction*);
void DestroyReadColumns(void*);
// Inputs: a tensor, of which the last axis is that of the columns, and the int32 numbers of the columns.
void RunReadColumns(void*, TF_OpKernelContext*);

// Attributes: `T`, the element type; `width`, the elements of a row, or 0 for single elements of the variable in its flat order.
void* CreateUpdateColumns(TF_OpKernelConstruction*);
void DestroyUpdateColumns(void*);
// Inputs: an alias of the variable, which is written; the int32 numbers of the columns, each there once; the new elements, row by row.
void RunUpdateColumns(void*, TF_OpKernelContext*);
