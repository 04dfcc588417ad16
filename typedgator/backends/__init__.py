"""Storage, and nothing else: a backend never sees a task, never decodes an envelope, never calls user code."""
