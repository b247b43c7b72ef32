// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// remoteHost is a network namespace with a link to the test's namespace. It stands for another host.
type remoteHost struct {
	namespace string
	address   string
	us        string // address of the test's side of the link
}

func newRemoteHost(t *testing.T) remoteHost {
	t.Helper()
	harness.RequireBPF(t) // needs root
	name := fmt.Sprintf("crau%d", os.Getpid())
	h := remoteHost{name, "203.0.113.2", "203.0.113.1"}
	h.ip(t, "netns add "+name)
	t.Cleanup(func() { h.ip(t, "netns del "+name) })
	t.Cleanup(func() { h.ip(t, "link del "+name) }) // deletes the link before the kernel frees the namespace
	for _, command := range []string{
		"link add " + name + " type veth peer name eth0 netns " + name,
		"address add " + h.us + "/30 dev " + name,
		"link set " + name + " up",
		"-n " + name + " address add " + h.address + "/30 dev eth0",
		"-n " + name + " link set eth0 up",
	} {
		h.ip(t, command)
	}
	return h
}

func (h remoteHost) ip(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v\n%s", command, err, out)
	}
}

// listen returns a listener on the remote host.
func (h remoteHost) listen(t *testing.T) net.Listener {
	t.Helper()
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		namespace, err := os.Open("/run/netns/" + h.namespace)
		if err == nil {
			err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
			_ = namespace.Close()
		}
		if err != nil {
			done <- result{err: err}
			return
		}
		l, err := net.Listen("tcp", h.address+":0")
		done <- result{l, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.listener
}

// die cuts the host off, as if it had lost power: the host closes no connection and answers nothing.
func (h remoteHost) die(t *testing.T) {
	t.Helper()
	h.ip(t, "-n "+h.namespace+" route add blackhole "+h.us)
	h.ip(t, "-n "+h.namespace+" route flush cache")
}

// If a receiver's host dies without closing connections, and another host takes over its name, spans are sent to the
// new host after about 10 s. With the kernel's defaults, TCP would retransmit to the old host for a quarter of an hour.
func TestDeadReceiverIsNoticed(t *testing.T) {
	remote := newRemoteHost(t)
	s := useNameServer(t)
	s.set([4]byte(net.ParseIP(remote.address).To4()))
	first := harness.Receive(t, harness.ReceiverConfig{Listener: remote.listen(t)})
	_, port := splitHostPort(t, first.Address())
	e := open(t, "http://collector.test:"+port)
	eventually(t, e)

	remote.die(t)
	s.set([4]byte{127, 0, 0, 3})
	second := harness.Receive(t, harness.ReceiverConfig{Address: "127.0.0.3:" + port})
	began := time.Now()
	eventually(t, e)
	t.Logf("noticed after %s", time.Since(began))
	if n := second.Accepted.Load(); n != 1 {
		t.Errorf("%d spans arrived at the new host, want 1", n)
	}
}
