/** What the addon's sources are compiled with, since it takes no options: it is put in front of them by the compiler. */

/**
 * Sessions get a ConfigProto { graph_options { optimizer_options { opt_level: L0 } rewrite_options { disable_meta_optimizer: true } } }:
 * our graphs are folded, shared and ordered already, and the rewrites of a 15,000-node step took 7 s and 200 MB. The rewrite to
 * oneDNN kernels is no part of that and stays. After a run, memory that was freed (a compiled graph leaves much) goes back to the system.
 */
export const ADDON_HEADER = `
#include "tensorflow/c/c_api.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif
static inline TF_SessionOptions *RowtuneSessionOptions() {
  static const unsigned char config[] = {
      0x52, 0x12,  // graph_options (10), 18 bytes
      0x1a, 0x0b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,  // optimizer_options (3): opt_level (3) = -1
      0x52, 0x03, 0x98, 0x01, 0x01};  // rewrite_options (10): disable_meta_optimizer (19)
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Status *status = TF_NewStatus();
  TF_SetConfig(options, config, sizeof(config), status);
  TF_DeleteStatus(status);
  return options;
}
static inline void RowtuneGiveBack() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  static size_t kept = 0;
  const size_t unused = mallinfo2().fordblks;
  if (unused > kept + (16u << 20)) {
    malloc_trim(0);
    kept = mallinfo2().fordblks;
  }
#endif
}
static inline void RowtuneSessionRun(TF_Session *session, const TF_Buffer *run_options, const TF_Output *inputs, TF_Tensor *const *input_values,
                                     int ninputs, const TF_Output *outputs, TF_Tensor **output_values, int noutputs,
                                     const TF_Operation *const *targets, int ntargets, TF_Buffer *metadata, TF_Status *status) {
  TF_SessionRun(session, run_options, inputs, input_values, ninputs, outputs, output_values, noutputs, targets, ntargets, metadata, status);
  RowtuneGiveBack();
}
#define TF_NewSessionOptions RowtuneSessionOptions
#define TF_SessionRun RowtuneSessionRun
`;
