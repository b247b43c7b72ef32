// SPDX-License-Identifier: Apache-2.0

// Package identity describes observed processes as OpenTelemetry resources, and determines their owners and whether
// their reports can be believed.
//
// A [Resolver] answers questions of package mapping about a process, from the kernel's record of the process and from
// /proc:
//
//	r := identity.New(identity.Config{Host: host, Log: log}).With(cfg.Services, false)
//	attributes := r.Describe(pid, process) // service.name, container.id, systemd.unit, ...
//	owner := r.Owner(pid, process)         // whose share of the limits it uses
//
// [Code] examines which files a process executes, for the attribute crypto.process.trust. It gives up on a process that
// does not answer. [Host] returns the attributes of the host, which all resources share.
//
// Names that a process or an unprivileged user can forge have other attributes than names that the system assigns: see
// docs/threats.md.
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

// patience is how long events may wait for one answer about a process or from a file system.
const patience = 100 * time.Millisecond

// unitKey is the attribute for the systemd unit of a process that is in no container.
const unitKey = attribute.Key("systemd.unit")

// Attributes for names in cgroups below the owner's. The owner's processes have chosen these names: see [host.Place].
const (
	nestedContainerKey = attribute.Key("crau.nested.container.id")
	nestedPodKey       = attribute.Key("crau.nested.k8s.pod.uid")
	nestedUnitKey      = attribute.Key("crau.nested.systemd.unit")
)

// Config configures a [Resolver].
type Config struct {
	Host *sdkresource.Resource // attributes that all programs of the host share
	Log  *slog.Logger
}

// Resolver identifies processes. It is not safe for concurrent use, except for OwnerOfUser and OwnerOfCgroup.
type Resolver struct {
	services []config.Service // rules for service.name
	full     bool             // add the attributes of privacy.process: full
	host     string           // id of the host, from identify
	unified  bool             // the host has no version 1 cgroups, so the cgroup in the kernel's record is sufficient
	cgroups  *host.Cgroups    // nil if cgroups cannot be watched
	helpers  *host.Helpers    // for processes and file systems that may not answer
	builds   builds
}

// New returns a Resolver. The caller must close it.
func New(cfg Config) *Resolver {
	helpers := host.NewHelpers(host.HelpersConfig{Log: cfg.Log, Patience: patience})
	r := &Resolver{helpers: helpers, builds: newBuilds(helpers)}
	r.host = identify(cfg.Host, "/")
	own, err := os.ReadFile("/proc/self/cgroup")
	r.unified = err == nil && bytes.HasPrefix(own, []byte("0::")) && bytes.Count(own, []byte("\n")) == 1
	if r.cgroups, err = host.NewCgroups(); err != nil {
		cfg.Log.Debug("cgroup watch unavailable; containers of short-lived processes will be missing", "error", err)
	}
	return r
}

// identify returns an identifier of the host: host.id or, without that, host.name and the boot id. The boot id is
// necessary because hosts with a default name share that name.
func identify(host *sdkresource.Resource, root string) string {
	if id, ok := host.Set().Value(semconv.HostIDKey); ok && id.AsString() != "" {
		return id.AsString()
	}
	name, _ := host.Set().Value(semconv.HostNameKey)
	return name.AsString() + bootID(root)
}

// With returns a Resolver that shares the state of r, but has these services and this value of full. The first service
// that matches a program gives it its name. full adds the attributes of privacy.process: full.
func (r *Resolver) With(services []config.Service, full bool) *Resolver {
	with := *r
	with.services, with.full = services, full
	return &with
}

// Close releases the resources of r and of every Resolver that With derived from it.
func (r *Resolver) Close() error {
	r.helpers.Close()
	if r.cgroups == nil {
		return nil
	}
	return r.cgroups.Close()
}

// Describe returns the resource attributes of a process. p is the kernel's record of the process. If the process has
// ended, attributes are missing that have to be read from /proc.
func (r *Resolver) Describe(pid uint32, p event.Process) []attribute.KeyValue {
	return r.describe(pid, p, r.place(pid, p))
}

func (r *Resolver) describe(pid uint32, p event.Process, place host.Place) []attribute.KeyValue {
	group := place.Known
	var attrs []attribute.KeyValue
	if group.ContainerID != "" {
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
	for _, nested := range []attribute.KeyValue{
		nestedContainerKey.String(place.Nested.ContainerID), nestedPodKey.String(place.Nested.PodUID),
		nestedUnitKey.String(place.Nested.Unit),
	} {
		if nested.Value.AsString() != "" {
			attrs = append(attrs, nested)
		}
	}
	executed, buildID, owner := p, "", ownerAt(place, p.UID).ID
	if loaded, ok := r.loadedBy(pid, p, owner); ok {
		p.Executable, buildID = loaded.name, loaded.buildID
		attrs = append(attrs, semconv.ServiceName(loaded.name), semconv.ProcessExecutableName(loaded.name))
	} else {
		buildID = r.builds.of(pid, p, owner)
	}
	if buildID != "" {
		attrs = append(attrs, semconv.ProcessExecutableBuildIDGNU(buildID))
	}
	if name := r.service(p.Executable, group.Unit); name != "" {
		attrs = append(attrs, semconv.ServiceName(name))
	}
	unique := []string{r.host, place.Path, p.Executable}
	if r.full {
		attrs = append(attrs, describeProcess(r.helpers, pid, executed, owner)...)
		unique = append(unique, fmt.Sprint(pid), fmt.Sprint(p.StartTime))
	}
	return append(attrs, semconv.ServiceInstanceID(instance(unique)))
}

// service returns the name that the configuration gives to a program, or "" if it gives none.
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

// place returns the cgroup of a process, from the kernel's record if that is sufficient, else from /proc.
func (r *Resolver) place(pid uint32, p event.Process) (place host.Place) {
	if r.cgroups != nil && p.CgroupID != 0 {
		var ok bool
		if place, ok = r.cgroups.Locate(p.CgroupID); ok && (r.unified || names(place)) {
			return place
		}
	}
	if !alive(pid, p) {
		return place
	}
	path, err := host.Process(pid).CgroupPath()
	switch {
	case err != nil:
		return place
	case r.unified && r.cgroups != nil:
		return r.cgroups.LocatePath(path)
	}
	if located := host.Locate(path); place.Path == "" || names(located) {
		return located
	}
	return place // the same result as for a process that has ended
}

// names reports whether a cgroup's path names a container, unit, pod or user.
func names(p host.Place) bool { return p.Known != (host.Cgroup{}) || p.IsUser }

// namespace is the UUID namespace that OpenTelemetry's conventions define for service.instance.id.
var namespace = uuid.MustParse("4d63009a-8d0f-11ee-aad7-4c796ed8e320")

// instance returns the service.instance.id that identifies the list of parts.
func instance(parts []string) string {
	return uuid.NewSHA1(namespace, []byte(strings.Join(parts, "\x00"))).String()
}
