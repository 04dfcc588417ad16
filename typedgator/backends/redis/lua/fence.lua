#!lua flags=allow-oom
-- Writes, so that a WAIT behind it waits for all that this server wrote before, by whomever: also for a known job.
-- KEYS    meta
-- ARGV
-- Result  1
-- Cost    O(1)
-- Needs
redis.call('HSET', KEYS[1], 'fence', '1')
return 1
