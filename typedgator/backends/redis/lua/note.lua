#!lua flags=allow-oom
-- Keeps progress beside a running job, if its token is this worker's.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker, token, progress
-- Result  1 or 0
-- Cost    O(n), n the jobs that the worker has
-- Needs   numbers counting keys batches
if not C('ZSCORE', beats, ARGV[1]) then return 0 end
for _, each in ipairs(belongings(KEYS[33])) do
  if each[1] == ARGV[2] then
    C('HSET', notes, each[2], ARGV[3])
    return 1
  end
end
return 0
