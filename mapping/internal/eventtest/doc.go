// SPDX-License-Identifier: Apache-2.0

// Package eventtest makes events for the tests of mapping and of the packages below it. A [Source] emits the events of
// a thread of a traced program:
//
//	src := eventtest.NewSource(mapper.Handle)
//	src.Begin(1, event.NoParent, eventtest.Name("tls::handshake"))
package eventtest
