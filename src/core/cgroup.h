/* The limits of the control group that this process is in, of version 1, 2 or both. */
#ifndef THRUMI_CGROUP_H
#define THRUMI_CGROUP_H

#include <stdint.h>

/* The least over the group and all its ancestors that can be seen; INT64_MAX: no limit. `root` goes before
 * every path. */
int64_t thrumi_cgroup_cpus(const char *root); /* of the quota, rounded up, at least 1 */
int64_t thrumi_cgroup_pids(const char *root); /* tasks */

#endif
