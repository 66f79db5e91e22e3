#include <thrum/executor.h>

THRUM_TASK(in_plugin) {
  int error = thrum_out_write(out, "plugged", 7);
  return error ? error : 7;
}

THRUM_TASK(second) { return 22; }
