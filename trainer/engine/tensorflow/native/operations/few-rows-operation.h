// The operation RowtuneFewRows: a product of a few rows with a weight in its stored form.
#pragma once
#include "kernel-run.h"

void* CreateFewRows(TF_OpKernelConstruction* construction);
void RunFewRowsOperation(void* kernel, TF_OpKernelContext* context);
void DestroyFewRows(void* kernel);
