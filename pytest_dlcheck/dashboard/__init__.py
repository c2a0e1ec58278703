"""A static site made from a history: needs no server, no network and no other file."""
