package units

// What the tests outside of the package look at.
var (
	QuoteWord      = quoteWord
	SafeExecutable = safeExecutable
)
