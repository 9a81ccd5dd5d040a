//go:build lab

package units_test

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
