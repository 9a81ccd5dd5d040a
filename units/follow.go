package units

import (
	"slices"
	"strings"
)

// WithConditions returns a template with the conditions of another template. With these conditions, instances follow the
// number of CPUs. The rest of the template is unchanged. The checksum matches the new contents, unless the template was
// edited by hand.
func WithConditions(template, from []byte) []byte {
	if ReadInstance(template).Follow == ReadInstance(from).Follow {
		return template
	}
	lines, other := slices.Collect(strings.Lines(string(template))), slices.Collect(strings.Lines(string(from)))
	at, end := conditions(lines)
	otherAt, otherEnd := conditions(other)
	changed := []byte(strings.Join(slices.Replace(lines, at, end, other[otherAt:otherEnd]...), ""))
	if Edited(template) {
		return changed
	}
	return seal(Unseal(changed))
}

// conditions returns the range of lines with the conditions of a template and the comment above them. If the template has
// none, it returns an empty range at the end of the section [Unit].
func conditions(lines []string) (at, end int) {
	hasPrefix := func(i int, prefix string) bool {
		return i >= 0 && i < len(lines) && strings.HasPrefix(lines[i], prefix)
	}
	at = slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "ConditionCPUs=") })
	if at < 0 {
		at = max(0, slices.Index(lines, "[Service]\n"))
		for at > 0 && strings.TrimSpace(lines[at-1]) == "" {
			at--
		}
		return at, at
	}
	for end = at + 1; hasPrefix(end, "ConditionPathExists=|"); end++ {
	}
	for hasPrefix(at-1, "#") {
		at--
	}
	return at, end
}
