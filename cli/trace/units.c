/* Times as people read them: see units.h. */
#include "units.h"

#include <stdio.h>

const char *units_time(int64_t ns, char *buffer) {
  static const struct {
    const char *name;
    double ns;
  } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  int u = 0;
  while (u < 3 && (double)ns >= 999.5 * units[u].ns) u++;
  double value = (double)ns / units[u].ns;
  int places = u == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  snprintf(buffer, UNITS_ROOM, "%.*f %s", places, value, units[u].name);
  return buffer;
}
