package journal

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// appendSafe appends untrusted text, and escapes characters that could change the terminal: control characters, bytes
// that are not UTF-8, and characters that change the direction of writing. Examples of escapes are \x1b, \xff and
// \u202e. If the parameter colour is true, escape sequences that only select colours and weight are kept; otherwise
// they are removed. The result coloured reports whether the text contains such a sequence.
func appendSafe(dst, text []byte, colour bool) (_ []byte, coloured bool) {
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c < 0x7f || c == '\t' {
			start := i
			for i++; i < len(text) && (text[i] >= 0x20 && text[i] < 0x7f || text[i] == '\t'); i++ {
			}
			dst = append(dst, text[start:i]...)
			continue
		}
		if n := sgr(text[i:]); n > 0 {
			if colour && onlyStyle(text[i+2:i+n-1]) {
				dst, coloured = append(dst, text[i:i+n]...), true
			}
			i += n
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n <= 1, c < 0x20, c == 0x7f:
			dst, n = fmt.Appendf(dst, `\x%02x`, c), 1
		case r < 0xa0 || !unicode.IsGraphic(r) && r != '\u200d' && r != '\ufe0f' || unicode.Is(unicode.Bidi_Control, r):
			format := `\u%04x`
			if r > 0xffff {
				format = `\U%08x`
			}
			dst = fmt.Appendf(dst, format, r)
		default:
			dst = append(dst, text[i:i+n]...)
		}
		i += n
	}
	return dst, coloured
}

// maxSGR is the maximum length of a colour sequence.
const maxSGR = 40

// sgr returns the length of a colour sequence (ECMA-48, SGR) at the start of text, or 0.
func sgr(text []byte) int {
	if len(text) < 3 || text[0] != 0x1b || text[1] != '[' {
		return 0
	}
	for i := 2; i < min(len(text), maxSGR); i++ {
		switch c := text[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && c != ':' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// onlyStyle reports whether the parameters of a sequence only select colours and weight, and do not hide text (8),
// make it blink (5, 6) or select a font.
func onlyStyle(parameters []byte) bool {
	n, skip := 0, 0
	check := func() bool {
		if skip > 0 {
			skip--
			if n == 2 && skip == 1 {
				skip = 3 // 38;2;R;G;B
			}
			return true
		}
		if n == 38 || n == 48 {
			skip = 2 // 38;5;N
			return true
		}
		return n <= 4 || n == 7 || n >= 21 && n <= 24 || n == 27 || n >= 30 && n <= 37 || n == 39 || n >= 40 && n <= 47 ||
			n == 49 || n >= 90 && n <= 97 || n >= 100 && n <= 107
	}
	for _, c := range parameters {
		if c == ';' || c == ':' {
			if !check() {
				return false
			}
			n = 0
			continue
		}
		n = min(n*10+int(c-'0'), 1000)
	}
	return check()
}
