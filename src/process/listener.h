/* Options of listeners and dialers, and the handshake. */
#ifndef THRUMI_LISTENER_H
#define THRUMI_LISTENER_H

#include <process/challenge.h>
#include <thrum/time.h>

/* *out: those given, or the defaults. 0, -EINVAL, or -ENOSYS: a key, and nobody to compute HMACs. The strings stay the caller's. */
int thrumi_conn_options(thrum_conn_options *out, const thrum_conn_options *given);

/* Proves and has proved, with options that were looked at. */
int thrumi_authenticate(thrum_conn *c, int side, const thrum_conn_options *o, thrum_time deadline);

#endif
