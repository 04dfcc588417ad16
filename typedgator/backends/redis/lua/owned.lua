#!lua flags=allow-oom
-- What a worker has; nothing once it is over. It writes nothing, but may not say so: a replica, which may not have heard
-- of a settlement yet, would answer.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker
-- Result  {id, token, id, token, …}, tokens as text
-- Cost    O(n), n the jobs that it has
-- Needs   keys
local mine = {}
if not C('ZSCORE', beats, ARGV[1]) then return mine end
local found = C('HGETALL', KEYS[34])
for i = 1, #found, 2 do
  if found[i] ~= '' then
    mine[#mine + 1], mine[#mine + 2] = found[i], string.match(found[i + 1], '^%d+')
  end
end
return mine
