"""Other products as processes that answer: the wire, the host's side of it, and the program that runs over there."""
