// Command sbom writes the software bill of materials of a release, in the JSON of CycloneDX 1.5: which modules, in which
// versions and under which licences, are in the programs. It reads the programs themselves, so it cannot tell of
// anything that is not in them; the licences are recognised from the module cache, as "go list -m -json all" on standard
// input names it. Nothing is asked of a network.
//
//	go list -m -json all | go run ./packaging/sbom -version 1.2.3 -epoch 1795458313 bin/clusterctl bin/clusterctl-shim
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	version := flag.String("version", "", "version of the release")
	epoch := flag.Int64("epoch", 0, "time of the release, in seconds since 1970")
	flag.Parse()
	if err := run(*version, *epoch, flag.Args(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// module is what "go list -m -json" says of one.
type module struct {
	Path, Version, Dir string
	Main               bool
}

type component struct {
	Type     string       `json:"type"`
	Ref      string       `json:"bom-ref"`
	Name     string       `json:"name"`
	Version  string       `json:"version"`
	PURL     string       `json:"purl,omitempty"`
	Hashes   []hash       `json:"hashes,omitempty"`
	Licences []licence    `json:"licenses,omitempty"`
	Notes    []annotation `json:"properties,omitempty"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type licence struct {
	Licence struct {
		ID string `json:"id"`
	} `json:"license"`
}

type annotation struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

const product = "clusterctl"

func run(version string, epoch int64, programs []string, modules io.Reader, out io.Writer) error {
	if version == "" || len(programs) == 0 {
		return errors.New("-version and the programs are needed")
	}
	dirs, err := moduleDirs(modules)
	if err != nil {
		return err
	}
	top := component{Type: "application", Ref: product, Name: product, Version: version,
		PURL: "pkg:golang/github.com/clusterctl/clusterctl@" + version, Licences: []licence{named("MIT")}}
	b := bom{Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata: metadata{Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339), Component: top}}
	whole := dependency{Ref: product, DependsOn: []string{}}
	for _, path := range programs {
		program, parts, err := describe(path, version, dirs)
		if err != nil {
			return err
		}
		uses := dependency{Ref: program.Ref, DependsOn: []string{}}
		for _, c := range parts {
			uses.DependsOn = append(uses.DependsOn, c.Ref)
			if !slices.ContainsFunc(b.Components, func(o component) bool { return o.Ref == c.Ref }) {
				b.Components = append(b.Components, c)
				b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref, DependsOn: []string{}})
			}
		}
		b.Components = append(b.Components, program)
		b.Dependencies = append(b.Dependencies, uses)
		whole.DependsOn = append(whole.DependsOn, program.Ref)
	}
	b.Dependencies = append(b.Dependencies, whole)
	slices.SortFunc(b.Components, func(a, o component) int { return strings.Compare(a.Ref, o.Ref) })
	slices.SortFunc(b.Dependencies, func(a, o dependency) int { return strings.Compare(a.Ref, o.Ref) })
	if b.Serial, err = serial(b); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// serial is a UUID made from the content, so that the same release has the same one.
func serial(b bom) (string, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(data)
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // version 8: vendor specific
	s := hex.EncodeToString(h[:16])
	return fmt.Sprintf("urn:uuid:%s-%s-%s-%s-%s", s[:8], s[8:12], s[12:16], s[16:20], s[20:]), nil
}

// moduleDirs reads where the modules are.
func moduleDirs(r io.Reader) (map[string]string, error) {
	dirs := map[string]string{}
	for d := json.NewDecoder(r); ; {
		var m module
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return dirs, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the list of modules: %w", err)
		}
		dirs[m.Path] = m.Dir
	}
}

// describe reads a program: itself, and the modules and the Go that it is made of.
func describe(path, version string, dirs map[string]string) (component, []component, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return component{}, nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return component{}, nil, err
	}
	sum := sha256.Sum256(data)
	arch := ""
	for _, s := range info.Settings {
		if s.Key == "GOARCH" {
			arch = s.Value
		}
	}
	name := filepath.Base(path)
	program := component{Type: "application", Ref: name + "-" + arch, Name: name, Version: version,
		Hashes:   []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
		Licences: []licence{named("MIT")}, Notes: []annotation{{"architecture", arch}}}
	goVersion := strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")
	parts := []component{{Type: "library", Ref: "go", Name: "go", Version: goVersion, PURL: "pkg:golang/std@" + goVersion,
		Licences: []licence{named("BSD-3-Clause")}}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Ref: m.Path, Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version,
			Notes: []annotation{{"go.sum", m.Sum}}}
		ids, err := licences(dirs[m.Path])
		if err != nil {
			return component{}, nil, fmt.Errorf("the licence of %s: %w", m.Path, err)
		}
		for _, id := range ids {
			c.Licences = append(c.Licences, named(id))
		}
		parts = append(parts, c)
	}
	return program, parts, nil
}

func named(id string) licence {
	var l licence
	l.Licence.ID = id
	return l
}

// licences recognises those of a module by words that each text has and no other; one that is not recognised is an
// error, for somebody to look at.
func licences(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || dir == "" || len(files) == 0 {
		return nil, fmt.Errorf("there is no file of it in %q", dir)
	}
	var ids []string
	for _, f := range append(files, filepath.Join(dir, "NOTICE")) {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // no NOTICE
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(string(data), ">", "")), " ")
		for _, l := range []struct {
			id  string
			has bool
		}{
			{"Apache-2.0", strings.Contains(text, "Apache License Version 2.0")},
			{"MIT", strings.Contains(text, "Permission is hereby granted, free of charge") ||
				strings.Contains(text, "original MIT license")},
			{"BSD-3-Clause", strings.Contains(text, "Redistribution and use in source and binary forms") &&
				strings.Contains(text, "endorse or promote products")},
			{"BSD-2-Clause", strings.Contains(text, "Redistribution and use in source and binary forms") &&
				!strings.Contains(text, "endorse or promote products")},
		} {
			if l.has && !slices.Contains(ids, l.id) {
				ids = append(ids, l.id)
			}
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%q is none that is known", files)
	}
	return ids, nil
}
