/** Filters out the messages that TensorFlow, CUDA and Node print at every start. */

/**
 * A log line of Abseil or TensorFlow below error level: "2026-01-02 03:04:05.678: I tensorflow/core/…", "I0000
 * 00:00:17…".
 */
const BELOW_ERROR = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |[IW]\d{4} \d\d:\d\d:)/;

const NOISE: readonly RegExp[] = [
  BELOW_ERROR,
  /^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR/,
  // A machine without a GPU, and libraries that TensorFlow's own build registers twice: both are normal.
  /failed call to cuInit|Unable to register cu(FFT|DNN|BLAS) factory|computation_placer already registered/,
  /^To enable the following instructions: .* rebuild TensorFlow/,
  /\(Use `node --trace-(warnings|deprecation) \.\.\.` to show where the warning was created\)/,
  /\[DEP0(040|169)\] DeprecationWarning/,
  // A proxy is set in the environment.
  /\[UNDICI-EHPA\] Warning/,
];

export const isNoise = (line: string): boolean => line.trim() === '' || NOISE.some(pattern => pattern.test(line));
