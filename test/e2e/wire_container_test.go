// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Handshakes of programs in containers, which have separate network namespaces and cgroups, have the container's id.
func TestWireShowsContainers(t *testing.T) {
	harness.RequireBPF(t)
	for name, path := range map[string]string{
		"docker":     "/docker/",
		"containerd": "/kubepods.slice/kubepods-pod275ecb36_5aa8_4c2a_9c47_d8bb681b9aff.slice/cri-containerd-",
	} {
		t.Run(name, func(t *testing.T) {
			ids := map[string]string{"server": strings.Repeat("0123456789abcdef", 4), "client": strings.Repeat("fedcba9876543210", 4)}
			in := func(role string, cmd *exec.Cmd) *exec.Cmd {
				where := path + ids[role]
				if name == "containerd" {
					where += ".scope"
				}
				folder, err := os.Open(harness.Cgroup(t, where))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = folder.Close() })
				cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
				return cmd
			}
			inNetwork(t, func() {
				pids := make(map[int]string)
				pids[serve(t, in("server", peer("https", "443")), "443")] = "server"
				a := startWire(t)
				client := in("client", peer("get", "443", "X25519MLKEM768", "X25519"))
				if out, err := client.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				pids[client.Process.Pid] = "client"
				a.Stop()
				const handshake = " 1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 [X25519MLKEM768 x25519] hybrid in "
				handshakesOf(t, a, pids).check(t, shakes{
					"client: client" + handshake + ids["client"]: 1, "server: server" + handshake + ids["server"]: 1,
				})
			})
		})
	}
}
