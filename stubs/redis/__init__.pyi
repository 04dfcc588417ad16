# What typedgator uses of redis-py, as it uses it; tests/integration/redis/test_stubs.py holds it against a live server.
