#include <thrum/executor.h>

THRUM_TASK(in_cxx) { return thrum_out_write(out, "C++", 3); }
