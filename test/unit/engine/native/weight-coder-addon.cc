// An addon with only the coder.
#include "coder-addon.h"

static napi_value Init(napi_env env, napi_value exports) {
  ExportCoder(env, exports);
  return exports;
}

NAPI_MODULE(rowtune_coder, Init)
