/* SPDX-License-Identifier: Apache-2.0 */
/* A library with probes, for programs that load it late. */
#include "crau.h"

void speak(void);

void speak(void)
{
	crau_push(CRAU_NAME("pk::sign"), CRAU_STRING("pk::algorithm", "ED25519"));
	crau_pop();
}
