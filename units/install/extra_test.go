package install

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExtra checks that the marks of one app do not affect another app, and that the directory of the marks is removed with
// the last mark.
func TestExtra(t *testing.T) {
	s := Store{Run: filepath.Join(t.TempDir(), "run", "clusterctl"), Command: "clusterctl reload shop"}
	if got, err := s.Extra("shop"); err != nil || got != nil {
		t.Errorf("without a directory: got the marks %v, error %v, want none", got, err)
	}
	if err := s.UnmarkExtra("shop", 1); err != nil {
		t.Errorf("UnmarkExtra for a missing mark: %v", err)
	}
	for _, err := range []error{s.MarkExtra("shop", 10, 9), s.MarkExtra("shop", 9), s.MarkExtra("shop-2", 3)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Extra("shop")
	if d := cmp.Diff([]int{9, 10}, got); d != "" || err != nil {
		t.Errorf("error %v, marks (-want +got):\n%s", err, d)
	}
	if err := s.UnmarkExtra("shop", 9, 10); err != nil {
		t.Error(err)
	}
	if got, _ := s.Extra("shop-2"); !cmp.Equal(got, []int{3}) {
		t.Errorf("the other app: got the marks %v, want 3", got)
	}
	if err := s.UnmarkExtra("shop-2", 3); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.extraDir()); !os.IsNotExist(err) {
		t.Errorf("the directory of the marks: got %v, want fs.ErrNotExist", err)
	}
}
