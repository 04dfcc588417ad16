"""`python -m thumbnails`: serves on 127.0.0.1, at PORT or 8000."""

import os

import uvicorn

uvicorn.run("thumbnails.app:app", host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
