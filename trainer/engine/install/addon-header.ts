/** The compile settings of the addon's sources, which have no options for them: the compiler includes this header first. */

/**
 * Gives sessions a ConfigProto {
 *   graph_options { optimizer_options { opt_level: L0 } rewrite_options { disable_meta_optimizer: true } }
 *   experimental { optimize_for_static_graph: true disable_output_partition_graphs: true }
 * }. Our graphs are already folded, deduplicated and ordered, and the rewrites of a 15,000-node step took 7 s and 200 MB. The rewrite to
 * oneDNN kernels is separate and stays enabled. The graph is never extended, so TensorFlow need not keep its definition and its partitions
 * in addition (7 MB for a 20,000-node program).
 */
export const ADDON_HEADER = `
#include "tensorflow/c/c_api.h"
static inline TF_SessionOptions *RowtuneSessionOptions() {
  static const unsigned char config[] = {
      0x52, 0x12,  // graph_options (10), 18 bytes
      0x1a, 0x0b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,  // optimizer_options (3): opt_level (3) = -1
      0x52, 0x03, 0x98, 0x01, 0x01,  // rewrite_options (10): disable_meta_optimizer (19)
      0x82, 0x01, 0x04, 0x60, 0x01, 0x70, 0x01};  // experimental (16): optimize_for_static_graph (12), disable_output_partition_graphs (14)
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Status *status = TF_NewStatus();
  TF_SetConfig(options, config, sizeof(config), status);
  TF_DeleteStatus(status);
  return options;
}
#define TF_NewSessionOptions RowtuneSessionOptions
`;
