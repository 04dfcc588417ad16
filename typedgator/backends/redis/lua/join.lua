#!lua flags=allow-oom
-- A worker comes: its lease starts, its own hash is there.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker, lease ms, the queues that it serves, separated by blanks
-- Result  1
-- Cost    O(log W)
-- Needs   numbers keys clock versions
local worker = ARGV[1]
C('ZADD', beats, int(now + ARGV[2]), worker)
C('HSET', workers, worker, ARGV[2] .. ' ' .. ARGV[3])
-- So long that the server keeps a table, not a list through which it would search for each token.
C('HSET', KEYS[33], '', '0' .. string.rep(' ', 64))
renew('crew')
return 1
