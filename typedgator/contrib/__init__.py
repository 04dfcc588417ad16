"""Other people's frameworks, each in a folder of its own, which alone imports that framework; `asgi` needs none."""
