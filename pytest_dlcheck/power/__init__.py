"""How many real bugs of released versions our suites find: `dlcheck power`."""
