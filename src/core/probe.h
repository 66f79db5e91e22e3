/* Probes for tracers that attach to a running program (perf, bpftrace, SystemTap): USDT, provider `thrum`. Each is a nop that such a
 * tracer replaces by a trap. Its arguments are what lies in registers anyway: a thread goes by the address of its record, which stays
 * the same for the thread's life and is used again for others. docs/design/tracing.md lists them. */
#ifndef THRUMI_PROBE_H
#define THRUMI_PROBE_H

#if defined(THRUMI_SDT) && !defined(THRUMI_EXPLORE)
#include <sys/sdt.h>
#define THRUMI_PROBE(name, a, b) DTRACE_PROBE2(thrum, name, a, b)
#else
#define THRUMI_PROBE(name, a, b) ((void)0)
#endif

#endif
