"""Thumbnails of images, made by a worker while the browser watches."""
