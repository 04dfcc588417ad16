"""A gator's tasks as contracts: written to a lock file, compared with it, with stored jobs, and told to others.

Reads a registry and, through its reading face, a backend. Nothing here enqueues, claims or settles.
"""
