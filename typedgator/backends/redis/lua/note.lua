#!lua flags=allow-oom
-- Keeps progress beside a running job, if its token is this worker's.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker, token, progress
-- Result  1 or 0
-- Cost    O(n), n the jobs that the worker has
-- Needs   numbers keys
if not C('ZSCORE', beats, ARGV[1]) then return 0 end
local found = C('HGETALL', KEYS[34])
for i = 1, #found, 2 do
  if found[i] ~= '' and string.match(found[i + 1], '^%d+') == ARGV[2] then
    C('HSET', notes, found[i], ARGV[3])
    return 1
  end
end
return 0
