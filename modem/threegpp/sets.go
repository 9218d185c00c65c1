package threegpp

func setFacts(c *subcommand) []Fact { return nil }

func routedSMS(l line, body string) []Fact { return nil }
