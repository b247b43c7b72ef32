// SPDX-License-Identifier: Apache-2.0

// Package schema is the vocabulary that crypto libraries and crau-otel share: static tables, no state.
//
//   - A [Context] describes one registered context name, such as tls::handshake: its keys, and the contexts that may
//     open below it. [NameOf] looks one up, older names included.
//   - A [Key] is an event key, such as tls::group, with the attribute that it becomes. [NewKey] makes one.
//   - An [Attribute] documents one attribute of spans and resources. Code takes attribute keys from the variables whose
//     names start with Attr, so that an undocumented one cannot be emitted. docs/attributes.md is generated from them.
//
// To add a key: list it in the keys of its context in contexts.go. It becomes the attribute with the same name. Only a key
// whose value the judgement reads, or that becomes another attribute, also needs a [KeyID].
//
// What a program's contexts and keys mean for its security is decided in package meaning, not here.
package schema
