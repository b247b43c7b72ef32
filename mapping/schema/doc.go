// SPDX-License-Identifier: Apache-2.0

// Package schema contains the names that crypto libraries and crau-otel share, as static tables.
//
//   - A [Context] describes one registered context name, such as tls::handshake: its keys, and the contexts that may
//     open below it. [NameOf] looks up a registered or older name.
//   - A [Key] is an event key, such as tls::group, with the attribute that it becomes. [NewKey] returns the Key for a
//     name.
//   - An [Attribute] documents one attribute of spans and resources. Code takes attribute keys from the variables whose
//     names start with Attr, so that it cannot emit an undocumented attribute. docs/attributes.md is generated from the
//     attributes.
//
// To add a key, list it in the keys of its context in contexts.go. It becomes the attribute with the same name, with
// dots instead of "::". A key also needs a [KeyID] if package meaning reads its value or turns it into other
// attributes.
//
// What a program's contexts and keys mean for its security is decided in package meaning, not here.
package schema
