// SPDX-License-Identifier: Apache-2.0

// Package identity says what an observed program is: its service, its
// container, unit or pod, and the build of its executable.
package identity

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// patience is how long events wait for one answer of a process or file system.
const patience = 20 * time.Millisecond

// unitKey is the systemd unit of a process that is in no container.
const unitKey = attribute.Key("systemd.unit")

// Config says what to tell.
type Config struct {
	Host *sdkresource.Resource // what all programs of the host have in common
	Log  *slog.Logger
}

// Resolver identifies processes. It is used from one goroutine.
type Resolver struct {
	services []config.Service
	full     bool
	host     string // host.id, or host.name without it
	unified  bool   // there are no cgroups of version 1, so that the kernel's record of the cgroup says all
	cgroups  *host.Cgroups
	helpers  *host.Helpers // ask processes and file systems that may not answer
	builds   builds
}

// New returns a resolver; it must be closed.
func New(cfg Config) *Resolver {
	helpers := host.NewHelpers(host.HelpersConfig{Log: cfg.Log, Patience: patience})
	r := &Resolver{helpers: helpers, builds: newBuilds(helpers)}
	for _, key := range []attribute.Key{semconv.HostIDKey, semconv.HostNameKey} {
		if value, ok := cfg.Host.Set().Value(key); ok {
			r.host = value.AsString()
			break
		}
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	r.unified = err == nil && bytes.HasPrefix(own, []byte("0::")) && bytes.Count(own, []byte("\n")) == 1
	if r.cgroups, err = host.NewCgroups(); err != nil {
		cfg.Log.Debug("containers of processes that end at once are not told", "error", err)
	}
	return r
}

// With returns a resolver that shares what r knows and holds. Its services name programs, the first that matches, and
// with full it tells what privacy.process: full does, too.
func (r *Resolver) With(services []config.Service, full bool) *Resolver {
	with := *r
	with.services, with.full = services, full
	return &with
}

// Close releases what the resolver holds.
func (r *Resolver) Close() error {
	r.helpers.Close()
	if r.cgroups == nil {
		return nil
	}
	return r.cgroups.Close()
}

// Describe returns the resource attributes of a process, of which the kernel recorded p. What takes a look at the process
// itself is left out if it has ended.
func (r *Resolver) Describe(pid uint32, p event.Process) []attribute.KeyValue {
	group := r.cgroup(pid, p)
	var attrs []attribute.KeyValue
	where := group.Unit
	if group.ContainerID != "" {
		where = group.ContainerID
		attrs = append(attrs, semconv.ContainerID(group.ContainerID))
		if group.Runtime != "" {
			attrs = append(attrs, semconv.ContainerRuntimeName(group.Runtime))
		}
	} else if group.Unit != "" {
		attrs = append(attrs, unitKey.String(group.Unit))
	}
	if group.PodUID != "" {
		attrs = append(attrs, semconv.K8SPodUID(group.PodUID))
	}
	if id := r.builds.of(pid, p); id != "" {
		attrs = append(attrs, semconv.ProcessExecutableBuildIDGNU(id))
	}
	if name := r.service(p.Executable, group.Unit); name != "" {
		attrs = append(attrs, semconv.ServiceName(name))
	}
	unique := []string{r.host, where, p.Executable}
	if r.full {
		attrs = append(attrs, describeProcess(r.helpers, pid, p)...)
		unique = append(unique, fmt.Sprint(pid), fmt.Sprint(p.StartTime))
	}
	return append(attrs, semconv.ServiceInstanceID(instance(unique)))
}

// service returns the name that the configuration gives, "" if none.
func (r *Resolver) service(executable, unit string) string {
	fits := func(pattern, text string) bool {
		ok, err := path.Match(pattern, text)
		return pattern == "" || ok && err == nil
	}
	for _, s := range r.services {
		if fits(s.Executable, executable) && fits(s.Unit, unit) {
			return s.Name
		}
	}
	return ""
}

// cgroup goes by the kernel's record where that is enough, and else asks the process if it has not ended.
func (r *Resolver) cgroup(pid uint32, p event.Process) host.Cgroup {
	var group host.Cgroup
	if r.cgroups != nil && p.CgroupID != 0 {
		if where, ok := r.cgroups.Path(p.CgroupID); ok {
			group = host.ParseCgroup(where)
			if r.unified || group != (host.Cgroup{}) {
				return group
			}
		}
	}
	if alive(pid, p) {
		if where, err := host.Process(pid).CgroupPath(); err == nil {
			return host.ParseCgroup(where)
		}
	}
	return group
}

// namespace is what the OpenTelemetry resource conventions give for service.instance.id made of what is unique already.
var namespace = uuid.MustParse("4d63009a-8d0f-11ee-aad7-4c796ed8e320")

// instance returns the service.instance.id that the parts stand for.
func instance(parts []string) string {
	return uuid.NewSHA1(namespace, []byte(strings.Join(parts, "\x00"))).String()
}
