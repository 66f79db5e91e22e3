/* Signals that a program may leave to thrum: the fault of an overflown stack, and the one that prints the dump. */
#ifndef THRUMI_FAULT_H
#define THRUMI_FAULT_H

#include <thrum/runtime.h>

/* Installs what the configuration asks for. By default only where nobody handles the signal yet. */
void thrumi_fault_start(const thrum_config *config);

#endif
