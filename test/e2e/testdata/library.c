/* SPDX-License-Identifier: Apache-2.0 */
/* A library with probes, for a program that loads the library at run time. */
#include "crau.h"

void speak(void);

void speak(void)
{
	crau_push(CRAU_NAME("pk::sign"), CRAU_STRING("pk::algorithm", "ED25519"));
	crau_pop();
}
