// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"slices"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

func TestSSHKeyExchange(t *testing.T) {
	t.Parallel()
	sha1 := []string{"sha1_key_exchange"}
	for name, want := range map[string]judgement{
		"diffie-hellman-group1-sha1":                  {registry.Classical, []string{"dh_below_2048", "sha1_key_exchange"}},
		"diffie-hellman-group14-sha1":                 {registry.Classical, sha1},
		"diffie-hellman-group-exchange-sha1":          {registry.Classical, sha1},
		"diffie-hellman-group15-sha512":               {registry.Classical, nil},
		"gss-group1-sha1-toWM5Slw5Ew8Mqkay+al2g==":    {registry.Classical, []string{"dh_below_2048", "sha1_key_exchange"}},
		"gss-group14-sha1-toWM5Slw5Ew8Mqkay+al2g==":   {registry.Classical, sha1},
		"gss-group14-sha256-toWM5Slw5Ew8Mqkay+al2g==": {registry.Classical, nil},
		"gss-gex-sha1-toWM5Slw5Ew8Mqkay+al2g==":       {registry.Classical, sha1},
		"gss-nistp256-sha256-kyber768":                {registry.Classical, nil}, // kyber768 is the digest
		"gss-":                                        {registry.Unknown, nil},
		"rsa1024-sha1":                                {registry.Classical, []string{"rsa_below_2048", "sha1_key_exchange"}},
		"rsa2048-sha256":                              {registry.Classical, nil},
		"curve448-sha512":                             {registry.Classical, nil},
		"ecdh-sha2-1.3.132.0.10":                      {registry.Classical, nil},
		"ecdh-sha2-1.3.132.0.1":                       {registry.Classical, []string{"ec_below_224"}}, // nistk163
		"ecdh-sha2-1.2.840.10045.3.1.1":               {registry.Classical, []string{"ec_below_224"}}, // nistp192
		"mlkem768x25519-sha256@example.com":           {registry.Hybrid, nil},
		"x25519-kyber-512r3-sha256-d00@amazon.com":    {registry.Hybrid, nil},
		"mlkem768-sha256":                             {registry.PostQuantum, nil},
		"sntrup4591761x25519-sha512@tinyssh.org":      {registry.Hybrid, nil},
		"kex-strict-s-v00@openssh.com":                {registry.Unknown, nil},
		"foo@mlkem.example":                           {registry.Unknown, nil},
		"":                                            {registry.Unknown, nil},
	} {
		status, weak := registry.SSHKeyExchange(name)
		want.check(t, name, status, weak)
	}
	for _, row := range rows(t, "ssh_kex.csv", 17) {
		status, weak := registry.SSHKeyExchange(row[0])
		if status.String() != row[1] {
			t.Errorf("%v came back as %v", row, status)
		}
		// With another domain the name is not in the table. The words of the name must give the same result.
		byWords, weakByWords := registry.SSHKeyExchange(row[0] + "@example.com")
		if byWords != status || !slices.Equal(weakByWords, weak) {
			t.Errorf("%s by words: %v %v, want %v %v", row[0], byWords, weakByWords, status, weak)
		}
	}
}

func TestSSHKeyAlgorithm(t *testing.T) {
	t.Parallel()
	sha1 := []string{"sha1_signature"}
	for name, want := range map[string]judgement{
		"ssh-rsa":                                           {registry.Classical, sha1},
		"ssh-rsa-cert-v01@openssh.com":                      {registry.Classical, sha1},
		"ssh-dss":                                           {registry.Classical, []string{"sha1_signature", "dsa_below_2048"}},
		"ssh-dss-cert-v01@openssh.com":                      {registry.Classical, []string{"sha1_signature", "dsa_below_2048"}},
		"x509v3-ssh-rsa":                                    {registry.Classical, sha1},
		"rsa-sha2-256":                                      {registry.Classical, nil},
		"rsa-sha2-512":                                      {registry.Classical, nil},
		"rsa-sha2-512-cert-v01@openssh.com":                 {registry.Classical, nil},
		"x509v3-rsa2048-sha256":                             {registry.Classical, nil},
		"ecdsa-sha2-nistp256":                               {registry.Classical, nil},
		"ecdsa-sha2-nistp521-cert-v01@openssh.com":          {registry.Classical, nil},
		"sk-ecdsa-sha2-nistp256@openssh.com":                {registry.Classical, nil},
		"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com":       {registry.Classical, nil},
		"webauthn-sk-ecdsa-sha2-nistp256@openssh.com":       {registry.Classical, nil},
		"ssh-ed25519":                                       {registry.Classical, nil},
		"ssh-ed448":                                         {registry.Classical, nil},
		"sk-ssh-ed25519-cert-v01@openssh.com":               {registry.Classical, nil},
		"ssh-mldsa65":                                       {registry.PostQuantum, nil},
		"ssh-mldsa-87":                                      {registry.PostQuantum, nil},
		"ssh-slh-dsa-sha2-128s":                             {registry.PostQuantum, nil},
		"ssh-xmss@openssh.com":                              {registry.PostQuantum, nil},
		"ssh-xmss-cert-v01@openssh.com":                     {registry.PostQuantum, nil},
		"ssh-ed25519-ml-dsa-65":                             {registry.Hybrid, nil},
		"ssh-mldsa44-ed25519@openssh.com":                   {registry.Hybrid, nil},
		"ssh-ecdsa-nistp384-dilithium3@openquantumsafe.org": {registry.Hybrid, nil},
		"null": {registry.Unknown, nil},
		"":     {registry.Unknown, nil},
	} {
		status, weak := registry.SSHKeyAlgorithm(name, 0)
		want.check(t, name, status, weak)
	}
}

func TestSSHKeyExchangeGroup(t *testing.T) {
	t.Parallel()
	for group, want := range map[string]judgement{
		"nistp256":       {registry.Classical, nil},
		"Curve25519":     {registry.Classical, nil},
		"modp1024":       {registry.Classical, []string{"dh_below_2048"}},
		"modp2048":       {registry.Classical, nil},
		"X25519MLKEM768": {registry.Hybrid, nil},
		"made-up":        {registry.Unknown, nil},
	} {
		status, weak := registry.SSHKeyExchangeGroup(group)
		want.check(t, group, status, weak)
	}
}
