/* Times as people read them. */
#ifndef THRUM_TRACE_UNITS_H
#define THRUM_TRACE_UNITS_H

#include <stdint.h>

enum { UNITS_ROOM = 24 };

/* "12 ns", "3.45 us", "120 ms", "2.50 s": three digits that count. Into `buffer`, of UNITS_ROOM bytes; returns it. */
const char *units_time(int64_t ns, char *buffer);

#endif
