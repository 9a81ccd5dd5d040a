package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/clusterctl/clusterctl/internal/cmdline"
)

// version is set by the linker: -X main.version=1.2.3.
var version string

type versionInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Arch    string `json:"arch"`
	// Systemd is the version of systemd, or 0 if systemd is not running.
	Systemd int `json:"systemd,omitempty"`
}

func versionCommand(e *env) *cmdline.Command {
	var asJSON bool
	return &cmdline.Command{
		Name: "version", Usage: "Print the versions of clusterctl and systemd",
		Description: []string{"If systemd is not running, prints only the version of clusterctl."},
		Examples:    []string{"clusterctl version --json"},
		Flags:       []cmdline.Flag{jsonFlag(&asJSON)},
		Run:         bind(e, &asJSON, runVersion),
	}
}

func runVersion(ctx context.Context, e *env, asJSON bool, _ cmdline.Input) error {
	info := versionInfo{Version: buildVersion(), Go: runtime.Version(), Arch: runtime.GOOS + "/" + runtime.GOARCH}
	if conn, err := e.dial(ctx); err == nil {
		info.Systemd, _ = conn.Version(ctx)
		_ = conn.Close()
	}
	if asJSON {
		return e.printJSON(info)
	}
	fmt.Fprintf(e.stdout, "clusterctl %s (%s, %s)\n", info.Version, info.Go, info.Arch)
	if info.Systemd > 0 {
		fmt.Fprintf(e.stdout, "systemd %d\n", info.Systemd)
	}
	return nil
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
