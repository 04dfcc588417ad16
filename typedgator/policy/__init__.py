"""Pure decisions: no I/O, no threads, no time of their own."""
