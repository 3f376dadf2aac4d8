// TensorFlow operations that read and write chosen columns of a matrix, or single elements.
#pragma once
#include "kernel-run.h"

// Attribute: `T`, the element type.
void* CreateReadColumns(TF_OpKernelConstruction*);
void DestroyReadColumns(void*);
// Inputs: a tensor whose last axis is that of the columns, and the int32 column indices.
void RunReadColumns(void*, TF_OpKernelContext*);

// Attributes: `T`, the element type; `width`, the elements per row, or 0 for single elements of the variable in flat order.
void* CreateUpdateColumns(TF_OpKernelConstruction*);
void DestroyUpdateColumns(void*);
// Inputs: an alias of the variable, which is written; the int32 column indices, without duplicates; the new elements, row by row.
void RunUpdateColumns(void*, TF_OpKernelContext*);
