"""What is stored or sent: envelopes, frames, verdicts, and the schemas of arguments and results.

A change in this room is a compatibility decision. Nothing here does I/O, keeps time or knows a backend.
"""
