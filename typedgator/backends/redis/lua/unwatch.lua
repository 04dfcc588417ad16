#!lua flags=allow-oom
-- The wait is given up.
-- KEYS    the fixed ones
-- ARGV    id
-- Result  1
-- Cost    O(1)
-- Needs   numbers keys
local id = ARGV[1]
if C('HEXISTS', waiters, id) == 1 and C('HINCRBY', waiters, id, -1) <= 0 then C('HDEL', waiters, id) end
return 1
