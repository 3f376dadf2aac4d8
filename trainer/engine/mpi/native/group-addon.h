#pragma once
#include <node_api.h>

// Adds to the addon's exports: joinGroup, leaveGroup, watchGroup, failGroup, groupFailure, groupCounts, gatherFromRanks.
void ExportGroup(napi_env env, napi_value exports);
