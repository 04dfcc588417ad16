#!lua flags=allow-oom
-- One who waits for outcomes is told of these.
-- KEYS    its mailbox
-- ARGV    ids (at most a call's)
-- Result  1
-- Cost    O(n)
-- Needs
for _, id in ipairs(ARGV) do redis.call('RPUSH', KEYS[1], id) end
redis.call('PEXPIRE', KEYS[1], 60000)
return 1
