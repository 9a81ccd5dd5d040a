package units

// Unexported functions for the tests in package units_test.
var (
	QuoteWord      = quoteWord
	SafeExecutable = safeExecutable
)
