// The coder alone as an addon.
#include "coder-addon.h"

static napi_value Init(napi_env env, napi_value exports) {
  ExportCoder(env, exports);
  return exports;
}

NAPI_MODULE(rowtune_coder, Init)
