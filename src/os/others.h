/* The part of the table of OS operations that concerns signals, children and names of hosts, as Linux gives it. */
#ifndef THRUMI_OTHERS_H
#define THRUMI_OTHERS_H

#include <os/os.h>

int thrumi_os_counter_create(void);
int thrumi_os_count(int fd);
int thrumi_os_process_open(pid_t pid);
pid_t thrumi_os_reap(pid_t pid, int *status);
int thrumi_os_look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                      int *error);

#define THRUMI_OS_OTHERS \
  .counter_create = thrumi_os_counter_create, .count = thrumi_os_count, \
  .process_open = thrumi_os_process_open, .reap = thrumi_os_reap, .look_up = thrumi_os_look_up

#endif
