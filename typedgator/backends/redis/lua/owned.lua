#!lua flags=allow-oom
-- What a worker has; nothing once it is over. It writes nothing, but may not say so: a replica, which may not have heard
-- of a settlement yet, would answer.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker
-- Result  {id, token, id, token, …}, tokens as text
-- Cost    O(n), n the jobs that it has
-- Needs   numbers counting keys batches
local mine = {}
if not C('ZSCORE', beats, ARGV[1]) then return mine end
for _, each in ipairs(belongings(KEYS[33])) do mine[#mine + 1], mine[#mine + 2] = each[2], each[1] end
return mine
