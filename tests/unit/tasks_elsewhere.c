/* Nobody refers to it by name. */
#include <thrum/executor.h>

THRUM_TASK(elsewhere) { return (int)size; }
